//! What a swarm build costs over plain `emerge --buildpkgonly` of the same package in the same box, in turns.
//!
//! | side | what it does | what is measured |
//! |---|---|---|
//! | swarm | clean root, fetch, install and check the closure, build, upload, stage | *claimed* to *received*, and *started* to *received*, by Postgres's clock |
//! | plain | build alone, in the box's own root, where its dependency is installed already | emerge, by our clock |

use crate::{processes, report};
use serde_json::json;
use std::time::Instant;

use swarm_protocol::admin::{NewRun, NewTarget};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine};
use swarm_tests::swarm::{Settings, Swarm};

const PAIRS: usize = 7;

/// What is built: its name, and the plan that ends with it.
const CASES: [(&str, &str); 2] = [
    (
        "swarm-test/trivial-1",
        r#"{"packages": [{"cpv": "swarm-test/trivial-1", "slot": "0", "repository": "swarm-box"}], "edges": []}"#,
    ),
    (
        "app-arch/pigz-2.8",
        r#"{"packages": [
               {"cpv": "sys-libs/zlib-1.2.13", "slot": "0/1", "repository": "swarm-box"},
               {"cpv": "app-arch/pigz-2.8", "slot": "0", "repository": "swarm-box"}],
            "edges": [[1, 0, ["buildtime", "runtime"]]]}"#,
    ),
];

/// The options by which the drone builds, and no others.
const EMERGE: [&str; 8] = [
    "emerge",
    "--ignore-default-opts",
    "--color=n",
    "--ask=n",
    "--autounmask=n",
    "--oneshot",
    "--quiet-build=n",
    "--buildpkgonly",
];

pub(crate) async fn run() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = swarm.path().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let drone = DroneMachine::start(&swarm, "ant", &gate).await;
    memory_of(&drone, "idle");
    let _ = drone.machine.ok(&["emerge", "--ignore-default-opts", "--oneshot", "=sys-libs/zlib-1.2.13"]);
    for (case, (cpv, plan)) in CASES.into_iter().enumerate() {
        let atom = format!("={cpv}");
        // The drone keeps source archives, too.
        let _ = drone.machine.ok(&["emerge", "--ignore-default-opts", "--fetchonly", "--nodeps", &atom]);
        let (mut claimed, mut started, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            // A target of its own: a second run of one target would keep what the first built.
            let target = format!("case-{case}-{pair}").parse().unwrap();
            let (from_claim, from_start) = swarm_build(&swarm, &target, &drone, (cpv, plan)).await;
            claimed.push(from_claim);
            started.push(from_start);
            let begun = Instant::now();
            let _ = drone.machine.ok(&[&EMERGE[..], &[&atom]].concat());
            plain.push(begun.elapsed().as_secs_f64());
        }
        let pairs = || claimed.iter().zip(&plain);
        let ratios: Vec<_> = pairs().map(|(swarm, plain)| swarm / plain).collect();
        let differences: Vec<_> = pairs().map(|(swarm, plain)| swarm - plain).collect();
        report::line(&json!({
            "name": "overhead", "package": cpv, "unit": "s", "n": PAIRS,
            "swarm_from_claim": report::list(&claimed), "swarm_from_start": report::list(&started),
            "plain": report::list(&plain), "ratio": report::spread(&ratios),
            "difference": report::spread(&differences),
        }));
    }
    memory_of(&drone, "after its builds");
    processes::memory(&swarm, "after the builds in boxes");
}

fn memory_of(drone: &DroneMachine, when: &str) {
    let outside = drone.daemon.as_ref().unwrap().id();
    processes::memory_of("drone", processes::below(outside, "build-drone"), when);
}

/// Seconds from *claimed* and from *started* to *received*.
async fn swarm_build(
    swarm: &Swarm,
    target: &TargetName,
    drone: &DroneMachine,
    (cpv, plan): (&str, &str),
) -> (f64, f64) {
    let plan: Plan = serde_json::from_str(plan).unwrap();
    swarm
        .admin
        .create_target(&NewTarget { name: target.clone(), world: vec![], provided: machines::libc() })
        .await
        .unwrap();
    let run = NewRun { epoch: Some(drone.epoch()), plan: Some(plan) };
    let run = swarm.admin.start_run(target, &run).await.unwrap().id;
    swarm.run_reaches(run, RunState::Promoted, 300).await;
    let package = swarm.package(run, cpv).await;
    let attempts = swarm.admin.attempts(package.id).await.unwrap();
    let [attempt] = attempts.as_slice() else { panic!("{cpv} took more than one attempt: {attempts:?}") };
    let ended = attempt.ended_at.unwrap();
    let begins = [attempt.claimed_at, attempt.started_at.unwrap()];
    let [from_claim, from_start] = begins.map(|begin| (ended - begin).as_seconds_f64());
    (from_claim, from_start)
}
