//! Real drones in boxes of their own, and what befalls them: killed, cut off, told to stop; an orchestrator and a Redis
//! that die in mid-run; packages that do not compile. The ebuilds are small.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::path::PathBuf;
use swarm_protocol::id::PackageId;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{AttemptPhase, Outcome, PackageState, RunState};
use swarm_tests::machines::{self, DroneMachine};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, wait};

/// A directory whose file `go` lets `swarm-test/slow` finish.
fn gate(swarm: &Swarm) -> PathBuf {
    let gate = swarm.path().join("gate");
    fs::create_dir(&gate).unwrap();
    gate
}

fn plan(packages: &str, edges: &str) -> Plan {
    serde_json::from_str(&format!(r#"{{"packages": [{packages}], "edges": [{edges}]}}"#)).unwrap()
}

const SLOW: &str = r#"{"cpv": "swarm-test/slow-1", "slot": "0", "repository": "swarm-box"}"#;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_killed_in_mid_compile_loses_its_package_to_the_other_and_rejoins() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let mut first = DroneMachine::start(&swarm, "first", &gate).await;
    let run = swarm.run(first.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    assert_eq!(compiling(&swarm, package, 0).await, "first");
    let second = DroneMachine::start(&swarm, "second", &gate).await;
    first.daemon.take().unwrap().kill();
    let left = wait::until(30, "the killed drone's build to end with it", async || {
        let processes = first.machine.run(&["pgrep", "-f", "emerge|ebuild.sh|bwrap"]);
        (!processes.status.success()).then_some(())
    });
    left.await;
    assert_eq!(compiling(&swarm, package, 1).await, "second");
    first.start_daemon();
    wait::until(30, "the killed drone to be online again", async || {
        let drones = swarm.admin.drones().await.unwrap();
        drones.iter().all(|drone| drone.state == swarm_protocol::state::DroneState::Online).then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    let attempts = swarm.admin.attempts(package).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert!(
        matches!(outcomes[..], [Some(Outcome::Reclaimed | Outcome::Lost), Some(Outcome::Received)]),
        "{outcomes:?}"
    );
    checker::check(&swarm.admin, &swarm.database.pool).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_cut_off_for_sixty_one_seconds_keeps_its_build() {
    // The times of production: a minute of grace.
    let swarm = machines::reachable_swarm(Settings { times: "", ..Settings::default() }).await;
    let gate = gate(&swarm);
    let drone = DroneMachine::start(&swarm, "far", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    drone.machine.cut();
    let reclaimed = wait::until(120, "the attempt to be reclaimed", async || {
        let attempt = swarm.admin.attempts(package).await.unwrap().swap_remove(0);
        (attempt.outcome == Some(Outcome::Reclaimed)).then(|| attempt.ended_at.unwrap())
    })
    .await;
    // The grace time runs from the last heartbeat, which may have come while the link was being cut.
    let heard = swarm.admin.drones().await.unwrap()[0].seen_at.unwrap();
    assert!((reclaimed - heard).num_seconds() >= 60, "heard at {heard}, reclaimed at {reclaimed}");
    drone.machine.join();
    wait::until(60, "the drone to regain its package", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        attempts.get(1).is_some_and(|attempt| attempt.phase == AttemptPhase::Building).then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    let attempts = swarm.admin.attempts(package).await.unwrap();
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        // The drone sends its whole log again under the new attempt: the same compile, begun once.
        let log = swarm.admin.log(attempt.id).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&log).matches("waiting for").count(), 1, "{attempt:?}");
    }
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_does_not_compile_is_tried_elsewhere_and_quarantined_with_its_log() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let first = DroneMachine::start(&swarm, "first", &gate).await;
    let second = DroneMachine::start(&swarm, "second", &gate).await;
    let bad = r#"{"cpv": "swarm-test/fails-1", "slot": "0", "repository": "swarm-box"}"#;
    let good = r#"{"cpv": "swarm-test/trivial-1", "slot": "0", "repository": "swarm-box"}"#;
    let run = swarm.run(first.epoch(), plan(&format!("{bad}, {good}"), "")).await;
    let frozen = swarm.run_reaches(run, RunState::Frozen, 180).await;
    assert_eq!((frozen.counts.quarantined, frozen.counts.received), (1, 1));
    let package = swarm.package(run, "swarm-test/fails-1").await;
    assert_eq!(package.state, PackageState::Quarantined);
    let attempts = swarm.admin.attempts(package.id).await.unwrap();
    let drones: Vec<_> = attempts.iter().map(|attempt| attempt.drone.as_str()).collect();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_ne!(drones[0], drones[1], "the second try is another drone's");
    for attempt in &attempts {
        assert_eq!(attempt.class, Some(swarm_protocol::state::FailureClass::Package), "{attempt:?}");
        assert!(attempt.excerpt.as_deref().unwrap().contains("swarm-test"), "{attempt:?}");
    }
    checker::check(&swarm.admin, &swarm.database.pool).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_told_to_stop_finishes_its_build_first() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let mut drone = DroneMachine::start(&swarm, "polite", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    wait::until(30, "the drone to say that it stops", async || {
        swarm.admin.drones().await.unwrap()[0].stopping.then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    assert!(drone.daemon.as_mut().unwrap().ended(120).await.success());
    swarm.run_reaches(run, RunState::Promoted, 60).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_told_twice_to_stop_stops_now_and_its_package_is_reclaimed() {
    let swarm = machines::reachable_swarm(Settings::soon_silent()).await;
    let gate = gate(&swarm);
    let mut drone = DroneMachine::start(&swarm, "hasty", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    wait::until(30, "the drone to say that it stops", async || {
        swarm.admin.drones().await.unwrap()[0].stopping.then_some(())
    })
    .await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    // Its patience is thirty seconds; it does not wait for them.
    drone.daemon.as_mut().unwrap().ended(20).await;
    wait::until(30, "its build to end with it", async || {
        let processes = drone.machine.run(&["pgrep", "-f", "emerge|ebuild.sh|bwrap"]);
        (!processes.status.success()).then_some(())
    })
    .await;
    wait::until(30, "the package to be needed again", async || {
        (swarm.package(run, "swarm-test/slow-1").await.state == PackageState::Needed).then_some(())
    })
    .await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_and_a_redis_that_die_in_mid_run_cost_no_build() {
    let mut swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let drone = DroneMachine::start(&swarm, "ant", &gate).await;
    let after = r#"{"cpv": "swarm-test/trivial-1", "slot": "0", "repository": "swarm-box"}"#;
    let run = swarm.run(drone.epoch(), plan(&format!("{SLOW}, {after}"), r#"[1, 0, ["buildtime"]]"#)).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    swarm.flush_redis().await;
    swarm.orchestrator.take().unwrap().kill();
    swarm.redis.take().unwrap().kill();
    // The build ends while nobody listens, and without a Redis.
    fs::write(gate.join("go"), "").unwrap();
    swarm.start_orchestrator().await;
    swarm.package_reaches(run, "swarm-test/slow-1", PackageState::Received).await;
    swarm.start_redis().await;
    let finished = swarm.run_reaches(run, RunState::Promoted, 120).await;
    assert_eq!((finished.counts.attempted, finished.counts.succeeded), (2, 2), "nothing was built twice");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
