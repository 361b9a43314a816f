//! `isolation = "host"`: a drone that builds on the live system, which here is a box that is thrown away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use swarm_protocol::admin::World;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{AttemptPhase, RunState};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, cli, wait};

const PIGZ: &str = r#"{"packages": [
    {"cpv": "sys-libs/zlib-1.2.13", "slot": "0/1", "repository": "swarm-box"},
    {"cpv": "app-arch/pigz-2.8", "slot": "0", "repository": "swarm-box"}],
    "edges": [[1, 0, ["buildtime", "runtime"]]]}"#;
const SLOW: &str =
    r#"{"packages": [{"cpv": "swarm-test/slow-1", "slot": "0", "repository": "swarm-box"}], "edges": []}"#;

/// Names the system, and takes out what binds directories into roots.
const PREPARE: &str = "echo 'the box of a test' > /etc/build-swarm/base-id
sed -i '/^\\[\\[bind\\]\\]/,$d' /etc/build-swarm/drone.toml";

async fn on_live_system(swarm: &Swarm) -> DroneMachine {
    let gate = swarm.path().join("gate");
    fs::create_dir(&gate).unwrap();
    let place = Place {
        gate: Some(&gate),
        base_root: Some("/"),
        fields: "isolation = \"host\"",
        prepare: Some(PREPARE),
        ..Place::default()
    };
    DroneMachine::start_at(swarm, "lively", place).await
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_become_a_part_of_the_live_system_and_packages_do_not() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let drone = on_live_system(&swarm).await;
    let world = World { world: vec![], provided: machines::libc() };
    swarm.admin.set_world(&target(), &world).await.unwrap();
    let plan: Plan = serde_json::from_str(PIGZ).unwrap();
    let run = swarm.run(drone.epoch(), plan).await;
    let promoted = swarm.run_reaches(run, RunState::Promoted, 240).await;
    assert_eq!((promoted.counts.succeeded, promoted.counts.failed), (2, 0));
    assert_eq!(drone.machine.ok(&["cat", "/var/db/pkg/sys-libs/zlib-1.2.13/BUILD_ID"]).trim(), "1");
    assert!(!drone.machine.run(&["test", "-e", "/var/db/pkg/app-arch/pigz-2.8"]).status.success());
    assert!(
        !drone.machine.run(&["test", "-s", "/var/lib/portage/world"]).status.success(),
        "nobody asked for it"
    );
    let workstation = machines::workstation(&swarm, "app-arch/pigz\n", None);
    let update = ["emerge", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];
    let _ = workstation.ok(&update);
    let _ = workstation.ok(&["sh", "-c", "echo hello | /opt/swarm/bin/pigz | /opt/swarm/bin/pigz -d"]);
    wait::until(30, "no file of an attempt to be left", async || {
        drone.machine.ok(&["ls", "/var/lib/build-drone/attempts"]).is_empty().then_some(())
    })
    .await;
    let preflight = ["/opt/build-swarm/build-drone", "preflight", "--config", "/etc/build-swarm/drone.toml"];
    let said = drone.machine.ok(&preflight);
    assert!(said.contains("base id") && !said.contains("bwrap"), "{said}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_taken_away_ends_with_all_its_processes() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let drone = on_live_system(&swarm).await;
    let run = swarm.run(drone.epoch(), serde_json::from_str(SLOW).unwrap()).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    wait::until(120, "the package to be compiled", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        let attempt = attempts.last().filter(|attempt| attempt.phase == AttemptPhase::Building)?;
        let log = swarm.admin.log(attempt.id).await.unwrap();
        String::from_utf8_lossy(&log).contains("waiting for").then_some(())
    })
    .await;
    cli::ok(&swarm, &format!("run cancel {run}")).await;
    wait::until(30, "no process and no file to be left", async || {
        let left = drone.machine.run(&["pgrep", "-f", "emerge|ebuild.sh"]);
        let files = drone.machine.ok(&["ls", "/var/lib/build-drone/attempts"]);
        (!left.status.success() && files.is_empty()).then_some(())
    })
    .await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
