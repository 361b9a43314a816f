//! Machines that cannot be deployed to: each has its line, the others proceed, and the exit code says partial.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use swarm_protocol::state::DroneState;
use swarm_tests::cli::Said;
use swarm_tests::fleet::{self, Fleet};
use swarm_tests::machines::{self, Machine};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::wait;

/// By node: the code, or the result where there is none.
fn codes(said: &Said) -> BTreeMap<String, String> {
    let rows: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let code = |row: &serde_json::Value| text(&row["code"]).or_else(|| text(&row["result"])).unwrap();
    rows.as_array().unwrap().iter().map(|row| (text(&row["node"]).unwrap(), code(row))).collect()
}

fn node(name: &str, address: &str) -> String {
    format!("[[node]]\nname = \"{name}\"\naddress = \"{address}\"\nos = \"debian\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_machine_that_cannot_be_deployed_to_has_its_line_and_the_others_proceed() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &["good", "impostor", "stranger", "locked-out", "read-only", "full"]);
    fleet.write(&swarm, &node("absent", "10.88.0.253"));
    let hosts = fs::read_to_string(fleet.files.join("known_hosts")).unwrap();
    let ip = |name: &str| fleet.node(name).ip();
    let (good, impostor) = (fleet::host_key(fleet.node("good")), fleet::host_key(fleet.node("impostor")));
    let stranger = format!("{} ", ip("stranger"));
    let hosts = hosts
        .replace(&impostor, &good)
        .lines()
        .filter(|line| !line.starts_with(&stranger))
        .fold(String::new(), |text, line| text + line + "\n");
    fs::write(fleet.files.join("known_hosts"), hosts).unwrap();
    let _ = fleet.node("locked-out").ok(&["rm", "/root/.ssh/authorized_keys"]);
    let read_only = "mount --bind /usr /usr && mount -o remount,bind,ro /usr";
    let _ = fleet.node("read-only").ok(&["sh", "-ec", read_only]);
    let full = "mkdir /tmp/full && mount -t tmpfs -o size=1m full /tmp/full && cd /tmp/full && mkdir upper work && \
                mount -t overlay full /usr/bin -o lowerdir=/usr/bin,upperdir=upper,workdir=work";
    let _ = fleet.node("full").ok(&["sh", "-ec", full]);

    let said = fleet.types(&swarm, "deploy --parallel 4 --json").await;
    assert_eq!(said.code, 7, "{said:?}");
    let expected = [
        ("absent", "unreachable"),
        ("full", "preflight"),
        ("good", "done"),
        ("impostor", "host_key_changed"),
        ("locked-out", "denied"),
        ("read-only", "preflight"),
        ("stranger", "host_key_unknown"),
    ];
    let expected = expected.map(|(name, code)| (name.to_owned(), code.to_owned())).into();
    assert_eq!(codes(&said), expected, "{said:?}");
    let drones = swarm.admin.drones().await.unwrap();
    assert_eq!(drones.iter().map(|drone| drone.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let text = fleet.types(&swarm, "check").await;
    assert_eq!(text.code, 7, "{text:?}");
    for line in [
        "No route to host",
        "its host key is not the pinned one",
        "its host key is not known",
        "nobody is asked for a password",
        "/usr/bin cannot be written to: is it mounted read-only?",
        "/usr/bin has ",
    ] {
        let flat = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(line), "{line}: {}", text.stdout);
    }

    wrong_programs_and_clocks(&swarm, &fleet).await;
}

async fn wrong_programs_and_clocks(swarm: &Swarm, fleet: &Fleet) {
    let program = fleet::stripped("build-drone");
    let mut foreign = program.clone();
    foreign[18..20].copy_from_slice(&[0xb7, 0]);
    fleet.program("build-drone", &foreign);
    let said = fleet.types(swarm, "deploy good --json").await;
    assert!(said.code == 1 && said.stdout.contains("a program for aarch64, and it is x86_64"), "{said:?}");

    // It has an interpreter that is not there, as a program for another C library.
    fleet.program("build-drone", b"#!/lib/ld-musl-x86_64.so.1\n");
    let said = fleet.types(swarm, "deploy good --json").await;
    assert!(said.code == 1 && said.stdout.contains("it would not start there"), "{said:?}");

    fleet.program("build-drone", &program);
    let template = fs::read_to_string(fleet.files.join("drone.toml.in")).unwrap();
    fs::write(fleet.files.join("drone.toml.in"), format!("lookahed = 1\n{template}")).unwrap();
    let said = fleet.types(swarm, "deploy good --json").await;
    assert!(said.code == 1 && said.stdout.contains("lookahed"), "{said:?}");
    fs::write(fleet.files.join("drone.toml.in"), template).unwrap();
    let drone = swarm.admin.drones().await.unwrap().remove(0);
    assert_eq!(drone.state, DroneState::Online, "it has noticed nothing of all that");
    let staged = fleet.node("good").ok(&["find", "/usr/bin", "/etc", "-name", ".*.staged"]);
    assert_eq!(staged, "", "and nothing of it is left");
    assert_eq!(fleet.types(swarm, "deploy good --json").await.code, 0);

    swarm.shift_clock(Duration::from_hours(1)).await;
    let said = fleet.types(swarm, "deploy good --json").await;
    assert!(said.code == 1 && said.stdout.contains("s behind the swarm's"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_dies_in_mid_copy_is_finished_by_the_next_deploy() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &["frail"]);
    // What it writes with stops, so that the copy is under way when the power goes.
    let slow = "mv /usr/bin/cat /usr/bin/cat.real && printf '#!/bin/sh\\ncase $# in 0) head -c 1000; exec sleep 600 ;; *) exec cat.real \"$@\" ;; esac\\n' \
                >/usr/bin/cat && chmod 755 /usr/bin/cat";
    let _ = fleet.node("frail").ok(&["sh", "-ec", slow]);
    let mut command = fleet.command(&swarm, "deploy --json");
    let deploy = tokio::task::spawn_blocking(move || Said::from(command.output().unwrap()));
    let staged = ["sh", "-c", "test -s /usr/bin/.build-drone.staged"];
    wait::until(60, "the copy to begin", async || {
        fleet.node("frail").run(&staged).status.success().then_some(())
    })
    .await;
    fleet.node("frail").power_off();
    let said = deploy.await.unwrap();
    assert_eq!((said.code, &*codes(&said)["frail"]), (1, "lost"), "{said:?}");
    fleet.node("frail").power_on();
    let _ = fleet.node("frail").ok(&["mv", "/usr/bin/cat.real", "/usr/bin/cat"]);
    assert!(!exists(fleet.node("frail"), "/usr/bin/build-drone"), "nothing is half installed");
    let said = fleet.types(&swarm, "deploy --json").await;
    assert_eq!((said.code, &*codes(&said)["frail"]), (0, "done"), "{said:?}");
    assert!(!exists(fleet.node("frail"), "/usr/bin/.build-drone.staged"));
}

fn exists(machine: &Machine, path: &str) -> bool {
    machine.run(&["test", "-e", path]).status.success()
}
