//! A workstation with real Portage that installs from a mirror: objects of a real S3 server, read over plain HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::port::Port;
use swarm_tests::process::{Process, binary};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::wait;

const KEYS: [&str; 2] = ["key-of-the-test", "secret-of-the-test"];
/// The bucket and the prefix of the mirror.
const PLACE: &str = "packages/public";

/// A server of the directory `root`: with keys for those who write, without for those who read.
async fn s3(root: &Path, port: &Port, keys: bool, log: &Path) -> Process {
    let address = port.address;
    let mut command = Command::new("s3s-fs");
    command.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]).arg(root);
    if keys {
        command.args(["--access-key", KEYS[0], "--secret-key", KEYS[1]]);
    }
    let process = Process::start(&mut command, log);
    wait::until(30, "the S3 server to listen", async || std::net::TcpStream::connect(address).ok()).await;
    process
}

fn push(swarm: &Swarm, port: &Port) -> String {
    let output = Command::new(binary("build-binhost"))
        .args(["mirror", &format!("s3://{PLACE}"), "--prune", "--config"])
        .arg(swarm.path().join("binhost.toml"))
        .env("AWS_ACCESS_KEY_ID", KEYS[0])
        .env("AWS_SECRET_ACCESS_KEY", KEYS[1])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT", format!("http://{}", port.address))
        .env("AWS_ALLOW_HTTP", "true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn install(workstation: &Machine, package: &str) -> String {
    let emerge = ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--oneshot", package];
    let said = workstation.ok(&emerge);
    let database = workstation.root().join("var/db/pkg").join(package);
    let installed = database
        .parent()
        .unwrap()
        .read_dir()
        .unwrap()
        .any(|entry| entry.unwrap().path().to_str().unwrap().starts_with(database.to_str().unwrap()));
    assert!(installed, "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workstation_installs_from_a_mirror_and_sees_each_new_index() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let root = swarm.path().join("s3");
    fs::create_dir_all(root.join("packages")).unwrap();
    let inside = Port::reserve(Ipv4Addr::LOCALHOST.into());
    let outside = Port::reserve(swarm.binhost_address.ip());
    let _writers = s3(&root, &inside, true, &swarm.path().join("s3-writers.log")).await;
    let _readers = s3(&root, &outside, false, &swarm.path().join("s3-readers.log")).await;

    let trivial = r#"{"cpv": "swarm-test/trivial-1", "slot": "0", "repository": "swarm-box"}"#;
    let first: Plan = serde_json::from_str(&format!(r#"{{"packages": [{trivial}], "edges": []}}"#)).unwrap();
    let run = swarm.run(drone.epoch(), first).await;
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    assert!(push(&swarm, &inside).contains("1 files of "));
    let keys = async |base| reqwest::get(format!("{base}/key.asc")).await.unwrap().text().await.unwrap();
    let (mirrored, served) = (
        keys(format!("http://{}/{PLACE}/{}", outside.address, target())).await,
        keys(format!("{}/binhost/{}", swarm.binhost_url(), target())).await,
    );
    assert_eq!(mirrored, served, "a workstation trusts the mirror's packages by the same keys");
    let workstation = machines::workstation(&swarm, "", None);
    let url = format!("http://{}/{PLACE}/{}", outside.address, target());
    let repos = format!("[mirror]\nsync-uri = {url}\npriority = 10\nverify-signature = true\n");
    fs::write(workstation.root().join("etc/portage/binrepos.conf"), repos).unwrap();
    install(&workstation, "swarm-test/trivial");

    // Promoted and pushed while the first index is fresh at the client.
    let on_trivial = r#"{"cpv": "swarm-test/on-trivial-1", "slot": "0", "repository": "swarm-box"}"#;
    let second =
        format!(r#"{{"packages": [{trivial}, {on_trivial}], "edges": [[1, 0, ["buildtime", "runtime"]]]}}"#);
    let run = swarm.run(drone.epoch(), serde_json::from_str(&second).unwrap()).await;
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    assert!(push(&swarm, &inside).contains("1 were there"));
    let said = install(&workstation, "swarm-test/on-trivial");
    assert!(said.contains(&url), "{said}");
    assert_eq!(push(&swarm, &inside).matches("0 files of 0 bytes").count(), 1);
}
