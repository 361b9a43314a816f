//! What bringing ten machines to a new program costs: boxes with sshd and OpenRC, on each a drone. `make bench-fleet` runs it;
//! standard output is JSON, one object per line.
//!
//! | measured | what |
//! |---|---|
//! | `unchanged` | `swarm fleet deploy` where there is nothing to do |
//! | `deploy` | a new program to all, ten at once, until the swarm has seen ten new sessions |
//! | `loop` | the same by what people do: for each machine `scp`, then `ssh` that renames and restarts; and the time until the swarm has seen ten new sessions, for which the loop does not wait |
//!
//! Deploy and loop take turns, on the same machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;

use common::{host, report};
use serde_json::json;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;
use swarm_protocol::state::DroneState;
use swarm_tests::fleet::{self, Fleet};
use swarm_tests::machines;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::wait;

const MACHINES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const PAIRS: usize = 3;
const UNCHANGED: usize = 7;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(status) = common::wanted(&["fleet"]) {
        return status;
    }
    report::line(&host::machine());
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &MACHINES);
    let program = fleet::stripped("build-drone");
    deploy(&swarm, &fleet).await;

    let mut unchanged = Vec::new();
    for _ in 0..UNCHANGED {
        unchanged.push(deploy(&swarm, &fleet).await);
    }
    report::line(&json!({
        "name": "unchanged", "machines": MACHINES.len(), "unit": "s", "n": UNCHANGED,
        "program_bytes": program.len(), "took": report::spread(&unchanged),
    }));

    let (mut ours, mut loops, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        fleet.program("build-drone", &another(&program, pair, "ours"));
        ours.push(deploy(&swarm, &fleet).await);
        let (finished, online) = shell_loop(&swarm, &fleet, &another(&program, pair, "loop")).await;
        loops.push(finished);
        seen.push(online);
    }
    report::line(&json!({
        "name": "deploy", "machines": MACHINES.len(), "unit": "s", "n": PAIRS, "program_bytes": program.len(),
        "deploy": report::spread(&ours), "loop": report::spread(&loops), "loop_until_online": report::spread(&seen),
    }));
    ExitCode::SUCCESS
}

/// Another build of the program: what comes after an ELF file's sections, nobody reads.
fn another(program: &[u8], pair: usize, side: &str) -> Vec<u8> {
    [program, side.as_bytes(), pair.to_string().as_bytes()].concat()
}

async fn deploy(swarm: &Swarm, fleet: &Fleet) -> f64 {
    let begun = Instant::now();
    let said = fleet.types(swarm, "deploy --parallel 10").await;
    assert_eq!(said.code, 0, "{said:?}");
    begun.elapsed().as_secs_f64()
}

/// Seconds until the loop has ended, and until all drones are online again.
async fn shell_loop(swarm: &Swarm, fleet: &Fleet, program: &[u8]) -> (f64, f64) {
    let file = fleet.files.join("loop-program");
    fs::write(&file, program).unwrap();
    let hosts: Vec<_> = fleet.machines.iter().map(|(_, machine)| machine.ip()).collect();
    let script = format!(
        "set -e; options='-q -F none -o BatchMode=yes -o UserKnownHostsFile={0}/known_hosts -i {0}/key'\n\
         for host in {1}; do\n\
         scp $options {2} root@$host:/usr/bin/build-drone.new\n\
         ssh $options root@$host 'chmod 755 /usr/bin/build-drone.new && \
         mv /usr/bin/build-drone.new /usr/bin/build-drone && rc-service build-drone restart' >/dev/null\n\
         done",
        fleet.files.display(),
        hosts.join(" "),
        file.display()
    );
    let since = swarm.admin.status(None).await.unwrap().now;
    let begun = Instant::now();
    let status = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &script]).status());
    assert!(status.await.unwrap().unwrap().success());
    let finished = begun.elapsed().as_secs_f64();
    wait::until(120, "all drones to be online again", async || {
        let drones = swarm.admin.drones().await.ok()?;
        let back = |drone: &&swarm_protocol::admin::Drone| {
            drone.state == DroneState::Online && drone.session_since.is_some_and(|at| at > since)
        };
        (drones.iter().filter(back).count() == MACHINES.len()).then_some(())
    })
    .await;
    (finished, begun.elapsed().as_secs_f64())
}
