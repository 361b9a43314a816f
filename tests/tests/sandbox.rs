//! A drone with limits and packages that behave badly: each is said for what it is, and the next one is built.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use swarm_protocol::plan::Plan;
use swarm_protocol::state::{FailureClass, RunState};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, cli, wait};

const LIMITS: &str = "
[[limits]]
memory_bytes = 192000000

[[limits]]
atom = \"swarm-test/forks\"
processes = 100

[[limits]]
atom = \"swarm-test/slow\"
seconds = 8
";

const RETRIES: &str = "first_pause_seconds = 0\npackage_failures = 1\nresources_failures = 1\n";

fn plan(names: &[&str]) -> Plan {
    let package = |name: &&str| serde_json::json!({"cpv": format!("swarm-test/{name}-1"), "slot": "0", "repository": "swarm-box"});
    let packages: Vec<_> = names.iter().map(package).collect();
    serde_json::from_value(serde_json::json!({"packages": packages, "edges": []})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_behaves_badly_is_quarantined_by_name_and_the_rest_is_built() {
    let swarm = Settings { retries: RETRIES, ..Settings::default() };
    let swarm = machines::reachable_swarm(swarm).await;
    let place = Place { limits: LIMITS, ..Place::default() };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let bad = [
        ("eats-memory", FailureClass::Resources, "it used more than 183 MiB of memory while building"),
        ("forks", FailureClass::Resources, "it ran more than 100 processes and threads while building"),
        ("slow", FailureClass::Resources, "the time limit was exceeded while building"),
        ("opens-socket", FailureClass::Package, "it needs the network"),
    ];
    let names: Vec<_> = bad.iter().map(|(name, ..)| *name).chain(["trivial"]).collect();
    let run = swarm.run(drone.epoch(), plan(&names)).await;
    let frozen = swarm.run_reaches(run, RunState::Frozen, 180).await;
    assert_eq!((frozen.counts.quarantined, frozen.counts.received), (4, 1));
    for (name, class, says) in bad {
        let attempt = only_attempt(&swarm, run, name).await;
        assert_eq!(attempt.class, Some(class), "{attempt:?}");
        assert!(attempt.reason.as_deref().unwrap().contains(says), "{attempt:?}");
        assert!(attempt.usage.unwrap().peak_memory_bytes > 10 << 20, "{attempt:?}");
    }
    let trivial = only_attempt(&swarm, run, "trivial").await;
    let usage = trivial.usage.unwrap();
    assert!(usage.build_seconds > 0.0 && usage.user_seconds > 0.0, "{usage:?}");
    assert!(usage.phases.install > 0.0 && usage.phases.package > 0.0, "{usage:?}");
    let shown = cli::json(&swarm, &format!("attempt show {}", trivial.id)).await;
    assert_eq!(
        serde_json::from_value::<swarm_protocol::drone::Usage>(shown["usage"].clone()).unwrap(),
        usage
    );
    assert_eq!(shown["cpv"], "swarm-test/trivial-1");
    assert!(cli::ok(&swarm, &format!("attempt show {}", trivial.id)).await.contains("MiB at most"));
    // The last attempt is received before its directories are gone.
    wait::until(30, "no process and no file to be left", async || {
        let left = drone.machine.run(&["pgrep", "-f", "emerge|ebuild.sh|bwrap|sleep 600"]);
        let files = drone.machine.ok(&["ls", "/var/lib/build-drone/attempts"]);
        (!left.status.success() && files.is_empty()).then_some(())
    })
    .await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

async fn only_attempt(
    swarm: &Swarm,
    run: swarm_protocol::id::RunId,
    name: &str,
) -> swarm_protocol::admin::Attempt {
    let package = swarm.package(run, &format!("swarm-test/{name}-1")).await.id;
    let mut attempts = swarm.admin.attempts(package).await.unwrap();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    attempts.remove(0)
}
