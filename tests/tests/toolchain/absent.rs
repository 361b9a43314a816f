//! With a real drone, and packages of a toolchain that cannot be brought or installed.

use crate::{promoted, start};
use std::fs;
use swarm_protocol::Digest;
use swarm_protocol::admin::{NewBundle, NewTarget};
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::BuildId;
use swarm_tests::definitions::{configuration, push, snapshot};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::wait;

/// Sends bytes that stand for a package of a toolchain.
async fn sent(swarm: &Swarm, bytes: &[u8]) -> Dependency {
    let (published, size) = (Digest::of(bytes), bytes.len() as u64);
    let upload = swarm.admin.offer_bundles(vec![NewBundle { digest: published, bytes: size }]).await.unwrap();
    let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
    binhost.upload_bundle(published, size, bytes.to_vec()).await.unwrap();
    let path = "sys-devel/cc/cc-2-1.gpkg.tar".to_owned();
    Dependency { cpv: "sys-devel/cc-2".parse().unwrap(), build_id: BuildId(1), path, published, size }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toolchain_that_cannot_be_installed_is_told_and_holds_up_nobody() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = snapshot(&swarm, &machines::repository(&swarm)).await;
    let configuration = configuration(swarm.path().join("configuration"), "");
    let blob = |package: &Dependency| {
        let digest = package.published.to_string();
        swarm.binhost_directory().join("blobs").join(&digest[..2]).join(&digest)
    };
    let no_package = sent(&swarm, b"no package").await;
    let outside = Dependency { path: "../cc-2-1.gpkg.tar".to_owned(), ..no_package.clone() };
    let damaged = sent(&swarm, b"good bytes").await;
    fs::remove_file(blob(&damaged)).unwrap();
    fs::write(blob(&damaged), "evil bytes").unwrap();
    let absent = Dependency { published: Digest::of(b"never sent"), ..no_package.clone() };
    let cases = [
        ("absent", absent, "cannot be brought: there is no bundle"),
        ("damaged", damaged, "other bytes than were asked for"),
        ("outside", outside, "leads out of PKGDIR"),
        ("unfit", no_package, "while installing"),
    ];
    for (name, package, _) in &cases {
        let name: TargetName = name.parse().unwrap();
        let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
        swarm.admin.create_target(&new).await.unwrap();
        push(&swarm, &name, &configuration, &repository, "swarm-test/trivial").await;
        let toolchain = serde_json::to_value([package]).unwrap();
        let give = "UPDATE definitions SET toolchain = $1 WHERE target_id = (SELECT id FROM targets WHERE name = $2)";
        sqlx::query(give).bind(toolchain).bind(name.as_str()).execute(&swarm.database.pool).await.unwrap();
    }
    push(&swarm, &target(), &configuration, &repository, "swarm-test/trivial").await;
    let _drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    promoted(&swarm, start(&swarm).await).await;
    for (name, _, says) in &cases {
        let reason = wait::until(60, &format!("{name} to be told"), async || {
            let targets = swarm.admin.targets().await.ok()?;
            let target = targets.into_iter().find(|target| target.name.as_str() == *name)?;
            Some(target.unbrought.first()?.reason.clone())
        })
        .await;
        assert!(reason.starts_with("its toolchain: ") && reason.contains(says), "{name}: {reason}");
    }
}
