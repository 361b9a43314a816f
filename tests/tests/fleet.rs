//! `swarm fleet` on real machines: sshd, OpenRC, drones that build. From nothing, again with nothing to do, after drift, in the
//! middle of a build, and with a version that does not come up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use swarm_protocol::admin::{Drift, Drone};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::id::PackageId;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{AttemptPhase, DroneState, Outcome, RunState};
use swarm_tests::cli::Said;
use swarm_tests::fleet::Fleet;
use swarm_tests::machines::{self, Machine};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, fleet, wait};

async fn drones(swarm: &Swarm) -> BTreeMap<String, Drone> {
    let drones = swarm.admin.drones().await.unwrap();
    drones.into_iter().map(|drone| (drone.name.clone(), drone)).collect()
}

/// By node: what came of it.
fn results(said: &Said) -> BTreeMap<String, String> {
    let rows: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(&row["node"]), text(&row["result"]))).collect()
}

fn all(results: &BTreeMap<String, String>, result: &str) -> bool {
    !results.is_empty() && results.values().all(|other| other == result)
}

/// On a busy machine a heartbeat may be late.
async fn is_good(swarm: &Swarm, fleet: &Fleet) {
    wait::until(30, "all machines to be as they shall be", async || {
        (fleet.types(swarm, "status").await.code == 0).then_some(())
    })
    .await;
}

fn slow() -> Plan {
    let package = r#"{"cpv": "swarm-test/slow-1", "slot": "0", "repository": "swarm-box"}"#;
    serde_json::from_str(&format!(r#"{{"packages": [{package}], "edges": []}}"#)).unwrap()
}

fn epoch(machine: &Machine) -> Epoch {
    let epoch = ["/usr/bin/build-drone", "epoch", "--config", "/etc/build-swarm/drone.toml", "--json"];
    let answer: serde_json::Value = serde_json::from_str(&machine.ok(&epoch)).unwrap();
    serde_json::from_value(answer["epoch"].clone()).unwrap()
}

/// Waits until a drone compiles the package, and says so itself in the log.
async fn compiling(swarm: &Swarm, package: PackageId, attempt: usize) -> String {
    wait::until(120, "the package to be compiled", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        let attempt = attempts.get(attempt).filter(|attempt| attempt.phase == AttemptPhase::Building)?;
        let log = swarm.admin.log(attempt.id).await.unwrap();
        String::from_utf8_lossy(&log).contains("waiting for").then(|| attempt.drone.clone())
    })
    .await
}

/// Another build of the same program: what comes after an ELF file's sections, nobody reads.
fn another(program: &[u8]) -> Vec<u8> {
    [program, b"another build"].concat()
}

const TEN: [&str; 10] =
    ["izar", "naos", "atik", "biham", "caph", "dabih", "enif", "fornacis", "gienah", "hadar"];

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_ten_drones_and_not_twice() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &TEN);
    let said = fleet.types(&swarm, "check --json").await;
    assert_eq!(said.code, 0, "{said:?}");

    let said = fleet.types(&swarm, "deploy --dry-run").await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stdout.contains("+ /usr/bin/build-drone ") && said.stdout.contains("enrol with a join"),
        "{said:?}"
    );
    let there = fleet.node("izar").run(&["ls", "/usr/bin/build-drone"]);
    assert!(!there.status.success() && drones(&swarm).await.is_empty(), "a dry run changes nothing");

    let said = fleet.types(&swarm, "deploy --parallel 5 --json").await;
    assert!(said.code == 0 && all(&results(&said), "done"), "{said:?}");
    let first = drones(&swarm).await;
    assert_eq!(first.values().map(|drone| drone.state).collect::<Vec<_>>(), [DroneState::Online; 10]);
    for drone in first.values() {
        assert!(drone.expected.program.is_some() && drone.expected == drone.runs, "{drone:?}");
    }
    for (name, machine) in &fleet.machines {
        let config = machine.ok(&["cat", "/etc/build-swarm/drone.toml"]);
        assert!(config.starts_with(&format!("# {name} of home\nname = \"{name}\"\n")), "{config}");
        assert!(machine.ok(&["rc-update", "show", "default"]).contains("build-drone"));
        assert_eq!(machine.ok(&["stat", "-c", "%a", "/etc/build-swarm/drone.token"]).trim(), "600");
        assert!(!machine.ok(&["find", "/usr/bin", "/etc", "-name", ".*.staged"]).contains("staged"));
    }

    let said = fleet.types(&swarm, "deploy --json").await;
    assert!(said.code == 0 && all(&results(&said), "unchanged"), "{said:?}");
    assert!(said.stderr.is_empty(), "nothing is sent: {}", said.stderr);
    let sessions = |drones: &BTreeMap<String, Drone>| {
        drones.values().map(|drone| drone.session_since).collect::<Vec<_>>()
    };
    assert_eq!(sessions(&drones(&swarm).await), sessions(&first), "nothing is restarted");

    drifted_and_mended(&swarm, &fleet).await;
}

async fn drifted_and_mended(swarm: &Swarm, fleet: &Fleet) {
    is_good(swarm, fleet).await;
    let _ = fleet.node("izar").ok(&["sh", "-c", "echo lookahead = 2 >>/etc/build-swarm/drone.toml"]);
    wait::until(30, "the drift of one machine to show", async || {
        let said = fleet.types(swarm, "status izar naos").await;
        let shown =
            said.stdout.contains("~ /etc/build-swarm/drone.toml") && said.stdout.contains("naos  good");
        (said.code == 7 && shown).then_some(())
    })
    .await;
    let _ = fleet.node("naos").ok(&["rc-update", "del", "build-drone", "default"]);
    let _ = fleet.node("naos").ok(&["rc-service", "build-drone", "stop"]);
    let said = fleet.types(swarm, "status izar naos --json").await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stdout.contains("start: it does not run") && said.stdout.contains("starts with the machine")
    );
    let said = fleet.types(swarm, "deploy izar naos --dry-run").await;
    assert!(said.stdout.contains("-lookahead = 2"), "{said:?}");
    let said = fleet.types(swarm, "deploy izar naos --json").await;
    assert!(said.code == 0 && all(&results(&said), "done"), "{said:?}");
    is_good(swarm, fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_loses_no_build_and_a_broken_version_is_taken_back() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &["izar", "naos"]);
    let said = fleet.types(&swarm, "deploy --parallel 2 --json").await;
    assert!(said.code == 0 && all(&results(&said), "done"), "{said:?}");
    let before = drones(&swarm).await;

    let run = swarm.run(epoch(fleet.node("izar")), slow()).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    let builder = compiling(&swarm, package, 0).await;
    let second = another(&fleet::stripped("build-drone"));
    fleet.program("build-drone", &second);
    let upgrade = background(fleet.command(&swarm, "deploy --parallel 2 --json"));
    let idle = if builder == "izar" { "naos" } else { "izar" };
    wait::until(60, "the drone that builds nothing to be upgraded", async || {
        let drones = drones(&swarm).await;
        let anew = drones[idle].session_since > before[idle].session_since;
        (anew && drones[idle].state == DroneState::Online && drones[&builder].state == DroneState::Draining)
            .then_some(())
    })
    .await;
    assert_eq!(drones(&swarm).await[&builder].session_since, before[&builder].session_since);
    let said = fleet.types(&swarm, &format!("deploy {builder}")).await;
    assert!(said.code == 1 && said.stdout.contains("another deploy is at work there: "), "{said:?}");
    fs::write(fleet.files.join("gate/go"), "").unwrap();
    let said = upgrade.await.unwrap();
    assert!(said.code == 0 && all(&results(&said), "done"), "{said:?}");
    swarm.run_reaches(run, RunState::Promoted, 60).await;
    let attempts = swarm.admin.attempts(package).await.unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(), [Some(Outcome::Received)]);
    let upgraded = drones(&swarm).await;
    assert!(upgraded.values().all(|drone| drone.state == DroneState::Online), "{upgraded:?}");
    is_good(&swarm, &fleet).await;

    // A program that is fine until it has to run.
    fleet.program(
        "build-drone",
        b"#!/bin/sh\ncase $* in --version | *--check-config) exit 0 ;; esac\nexit 1\n",
    );
    let said = fleet.types(&swarm, "deploy --json --verify-seconds 8").await;
    assert_eq!(said.code, 1, "{said:?}");
    let results = results(&said);
    assert_eq!([&results["izar"], &results["naos"]], ["rolled_back", "skipped"], "{said:?}");
    let after = drones(&swarm).await;
    assert_eq!(after["naos"].session_since, upgraded["naos"].session_since);
    assert_eq!([&after["izar"].drift[..], &after["naos"].drift[..]], [&[Drift::Program][..], &[]]);
    wait::until(30, "what ran before to run again", async || {
        let izar = drones(&swarm).await.remove("izar").unwrap();
        (izar.state == DroneState::Online && izar.session_since > upgraded["izar"].session_since)
            .then_some(())
    })
    .await;
    fleet.program("build-drone", &second);
    is_good(&swarm, &fleet).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_is_broken_off_gives_the_drone_work_again_and_a_reset_waits_for_nothing() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &["izar"]);
    assert_eq!(fleet.types(&swarm, "deploy").await.code, 0);
    let run = swarm.run(epoch(fleet.node("izar")), slow()).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    fleet.program("build-drone", &another(&fleet::stripped("build-drone")));

    let said = fleet.types(&swarm, "deploy --drain-seconds 1 --json").await;
    assert!(said.code == 1 && said.stdout.contains("it still builds swarm-test/slow-1"), "{said:?}");
    assert_eq!(drones(&swarm).await["izar"].state, DroneState::Online);

    let mut deploy = fleet.command(&swarm, "deploy");
    let mut deploy = deploy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is = async |state| (drones(&swarm).await["izar"].state == state).then_some(());
    wait::until(30, "the drone to drain", async || is(DroneState::Draining).await).await;
    kill_process(Pid::from_child(&deploy), Signal::INT).unwrap();
    let status = wait::until(30, "the deploy to end", async || deploy.try_wait().unwrap()).await;
    assert_eq!((status.code(), drones(&swarm).await["izar"].state), (Some(1), DroneState::Online));

    let machine = fleet.node("izar");
    let _ = machine.ok(&[
        "sh",
        "-ec",
        "mkdir /var/lib/build-drone/left && mount -t tmpfs left /var/lib/build-drone/left",
    ]);
    let _foreign = machine.spawn(&["sleep", "3600"], &fleet.files.join("foreign.log"));
    let said = fleet.types(&swarm, "deploy --force").await;
    assert!(said.code == 2 && said.stderr.contains("--yes"), "{said:?}");
    let before = drones(&swarm).await["izar"].session_since;
    // Its supervisor does not stop it, as one that is told so in the wrong moment.
    let _ = machine.ok(&["sh", "-ec", "kill -STOP $(cat /run/supervise-build-drone.pid)"]);
    let said = fleet.types(&swarm, "deploy --force --yes --json").await;
    assert!(said.code == 0 && all(&results(&said), "done"), "{said:?}");
    assert!(drones(&swarm).await["izar"].session_since > before);
    assert!(!machine.ok(&["cat", "/proc/mounts"]).contains("/var/lib/build-drone/left"));
    assert!(!machine.run(&["test", "-e", "/var/lib/build-drone/left"]).status.success());
    assert!(machine.run(&["pgrep", "-x", "sleep"]).status.success(), "what is not ours lives on");
    let supervisors = machine.ok(&["pgrep", "-c", "supervise-daemo"]);
    assert_eq!(supervisors.trim(), "1");

    compiling(&swarm, package, 1).await;
    fs::write(fleet.files.join("gate/go"), "").unwrap();
    swarm.run_reaches(run, RunState::Promoted, 60).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// A command that ends with the test, whatever becomes of it.
fn background(command: Command) -> tokio::task::JoinHandle<Said> {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    tokio::spawn(async move { output.await.unwrap().into() })
}
