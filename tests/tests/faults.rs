//! Drones that die, fall silent, come back, lie and fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::drone::{Fail, Fence};
use swarm_protocol::id::AttemptToken;
use swarm_protocol::state::{DroneState, FailureClass, Outcome, PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, plans, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_drones_work_is_built_by_another_and_its_late_completion_is_refused() {
    let swarm = Swarm::start_with(Settings::soon_silent()).await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let dead = ScriptedDrone::join(&swarm, "dead", &plans::epoch()).await;
    let claim = dead.claim(30).await.unwrap();
    dead.start(&claim).await.unwrap();
    // The dead drone says nothing more; the other one keeps its heart beating while it waits for work.
    let other = ScriptedDrone::join(&swarm, "other", &plans::epoch()).await;
    let second = wait::until(30, "the package to be reclaimed", async || {
        other.beat(&[]).await.unwrap();
        other.claim(1).await
    })
    .await;
    assert_eq!(second.package, claim.package);
    assert_eq!(second.number, 2);
    assert!(second.build_id > claim.build_id, "a BUILD_ID is never reused");
    let complete = dead.upload(&claim).await;
    let error = dead.complete(&claim, &complete).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::StaleReport), "late: {error}");
    other.build(&second).await;
    let error = dead.complete(&claim, &complete).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::StaleReport), "later still: {error}");
    // The dead one restarts and rejoins.
    let reborn = ScriptedDrone::open(&swarm, "dead", dead.token.clone(), &plans::epoch()).await;
    assert_ne!(reborn.session, dead.session);
    assert_eq!(dead.beat(&[]).await.unwrap_err().code(), Some(Code::StaleSession));
    let drones = swarm.admin.drones().await.unwrap();
    assert!(drones.iter().all(|drone| drone.state == DroneState::Online));
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_was_cut_off_goes_on_with_its_build() {
    let swarm = Swarm::start_with(Settings::soon_silent()).await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "far", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    wait::until(30, "the attempt to be reclaimed", async || {
        let attempts = swarm.admin.attempts(claim.package).await.unwrap();
        (attempts[0].outcome == Some(Outcome::Reclaimed)).then_some(())
    })
    .await;
    let answer = drone.beat(&[&claim]).await.unwrap();
    assert!(answer.revoked.is_empty());
    let regained = &answer.regained[0];
    assert_eq!(regained.former, claim.attempt);
    assert_eq!(
        regained.claim.build_id, claim.build_id,
        "the compile that runs has this BUILD_ID in its PKGDIR"
    );
    // The answer got lost: the drone lists the former attempt again, and hears the same.
    let again = drone.beat(&[&claim]).await.unwrap();
    assert_eq!(again.regained[0].claim.attempt, regained.claim.attempt);
    let complete = drone.upload(&regained.claim).await;
    drone.complete(&regained.claim, &complete).await.unwrap();
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_returns_the_formers_work_at_once() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let reborn = ScriptedDrone::open(&swarm, "one", drone.token.clone(), &plans::epoch()).await;
    let again = reborn.claim(30).await.expect("the package is there again");
    assert_eq!((again.package, again.number), (claim.package, 2));
    assert_eq!(drone.start(&claim).await.unwrap_err().code(), Some(Code::StaleReport));
    // The former process still speaks: that is an alarm, once.
    for _ in 0..2 {
        assert_eq!(drone.beat(&[&claim]).await.unwrap_err().code(), Some(Code::StaleSession));
    }
    let events = checker::read(&swarm.admin, &swarm.database.pool).await;
    assert_eq!(events.iter().filter(|event| event.kind == "drone.two_sessions").count(), 1);
    let ready: serde_json::Value =
        reqwest::get(format!("{}/readyz", swarm.url())).await.unwrap().json().await.unwrap();
    assert!(ready["degraded"].to_string().contains("two processes speak for the drone one"), "{ready}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_its_drone_does_not_list_is_returned_at_once() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.beat(&[&claim]).await.unwrap();
    drone.beat(&[]).await.unwrap();
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(Outcome::Lost));
    let answer = drone.beat(&[&claim]).await.unwrap();
    assert_eq!(answer.revoked, [claim.attempt]);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_with_a_wrong_token_session_or_attempt_changes_nothing() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let other = ScriptedDrone::join(&swarm, "two", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    let good = drone.fence(&claim);
    for fence in [
        Fence { token: AttemptToken::random(), ..good },
        Fence { session: other.session, ..good },
        Fence { token: AttemptToken::random(), session: other.session },
    ] {
        let start = swarm_protocol::drone::Start { fence };
        let error = drone.client.start(claim.attempt, &start).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::StaleReport));
    }
    // Even with the right fence, another drone's token does not speak for this attempt.
    let start = swarm_protocol::drone::Start { fence: good };
    let error = other.client.start(claim.attempt, &start).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::StaleReport));
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[0].phase, swarm_protocol::state::AttemptPhase::Held);
    assert_eq!(swarm.admin.run(run).await.unwrap().counts.delegated, 1);
    drone.start(&claim).await.unwrap();
    drone.start(&claim).await.expect("a repeated report is answered as at first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_fails_on_two_drones_is_quarantined_and_its_dependents_are_blocked() {
    let swarm = Swarm::start().await;
    let plan = plans::plan(
        &["test/bad-1", "test/needs-bad-1", "test/needs-that-1", "test/good-1"],
        &[(1, 0), (2, 1)],
    );
    let run = swarm.run(plans::epoch(), plan).await;
    let first = Arc::new(ScriptedDrone::join(&swarm, "first", &plans::epoch()).await);
    let second = Arc::new(ScriptedDrone::join(&swarm, "second", &plans::epoch()).await);
    let _hearts = [first.heart(), second.heart()];
    let claim = first.claim(30).await.unwrap();
    assert_eq!(claim.cpv.to_string(), "test/bad-1", "the longest chain goes first");
    first.start(&claim).await.unwrap();
    let report = first.failure(&claim, FailureClass::Package);
    first.client.fail(claim.attempt, &report).await.unwrap();
    first.client.fail(claim.attempt, &report).await.expect("a repeated report is answered as at first");
    first.forget(&claim);
    let other = first.claim(30).await.unwrap();
    assert_eq!(
        other.cpv.to_string(),
        "test/good-1",
        "never again to the drone that failed it while another can try"
    );
    first.build(&other).await;
    let claim = second.claim(30).await.unwrap();
    assert_eq!(claim.cpv.to_string(), "test/bad-1");
    second.fail(&claim, FailureClass::Package).await;

    let frozen = swarm.run_reaches(run, RunState::Frozen, 30).await;
    assert_eq!((frozen.counts.quarantined, frozen.counts.blocked, frozen.counts.received), (1, 2, 1));
    assert_eq!((frozen.counts.attempted, frozen.counts.failed), (2, 2));
    let bad = swarm.package(run, "test/bad-1").await;
    let why = swarm.admin.why_package(bad.id).await.unwrap();
    let failed: Vec<_> =
        why.causes.iter().map(|cause| (cause.subject.as_str(), cause.reason.as_str())).collect();
    assert_eq!(failed, [("second", "package"), ("first", "package")]);
    let far = swarm.package(run, "test/needs-that-1").await;
    let why = swarm.admin.why_package(far.id).await.unwrap();
    assert_eq!(why.causes[0].subject, "test/bad-1", "what it waits behind, two packages away");
    assert_eq!((bad.state, bad.reason.as_deref()), (PackageState::Quarantined, Some("gcc said no")));
    let behind = swarm.package(run, "test/needs-that-1").await;
    assert_eq!(behind.state, PackageState::Blocked);
    assert_eq!(behind.reason.as_deref(), Some("waits behind test/bad-1"));
    checker::check(&swarm.admin, &swarm.database.pool).await;

    // A person releases it: the whole cone is free again, and the run goes on to its end.
    swarm.admin.release(bad.id).await.unwrap();
    for cpv in ["test/bad-1", "test/needs-bad-1", "test/needs-that-1"] {
        let claim = second.claim(30).await.unwrap();
        assert_eq!(claim.cpv.to_string(), cpv);
        second.build(&claim).await;
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_fails_everything_is_grounded_and_pardoned() {
    let settings = Settings {
        times: "heartbeat_seconds = 1\ngrace_seconds = 30\nmaintenance_seconds = 1\ngrounded_seconds = 3600\n",
        ..Settings::default()
    };
    let swarm = Swarm::start_with(settings).await;
    swarm.run(plans::epoch(), plans::flat(8)).await;
    let drone = ScriptedDrone::join(&swarm, "broken", &plans::epoch()).await;
    for _ in 0..5 {
        let claim = drone.claim(30).await.unwrap();
        drone.fail(&claim, FailureClass::Infrastructure).await;
    }
    assert_eq!(swarm.admin.drones().await.unwrap()[0].state, DroneState::Grounded);
    assert!(drone.claim(0).await.is_none(), "a grounded drone gets no work");
    swarm.shift_clock(Duration::from_secs(3601)).await;
    wait::until(30, "the drone to be pardoned", async || {
        drone.beat(&[]).await.unwrap();
        (swarm.admin.drones().await.unwrap()[0].state == DroneState::Online).then_some(())
    })
    .await;
    assert!(drone.claim(30).await.is_some());
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_robs_nobody() {
    let swarm = Swarm::start_with(Settings::soon_silent()).await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    // Let the leader be in office for longer than the grace time, so that only the jump protects the drone.
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drone.beat(&[&claim]).await.unwrap();
    }
    swarm.shift_clock(Duration::from_hours(2)).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answer = drone.beat(&[&claim]).await.unwrap();
        assert_eq!(answer, swarm_protocol::drone::HeartbeatAnswer::default(), "nothing was taken from it");
    }
    drone.build(&claim).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_run_ends_its_attempts() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(2)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    swarm.admin.cancel_run(run).await.unwrap();
    assert_eq!(drone.beat(&[&claim]).await.unwrap().revoked, [claim.attempt]);
    assert!(drone.claim(0).await.is_none());
    assert_eq!(swarm.admin.cancel_run(run).await.unwrap_err().code(), Some(Code::WrongState));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_run_supersedes_the_open_one() {
    let swarm = Swarm::start().await;
    let first = swarm.run(plans::epoch(), plans::flat(1)).await;
    let second = swarm.run(plans::epoch(), plans::flat(2)).await;
    assert_eq!(swarm.admin.run(first).await.unwrap().state, RunState::Superseded);
    assert_eq!(swarm.admin.run(second).await.unwrap().state, RunState::Building);
    let target = &swarm.admin.targets().await.unwrap()[0];
    assert_eq!(target.open_run, Some(second));
}

/// First the drone that has more memory, then fewer jobs beside each other.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_of_memory_goes_to_a_bigger_drone_and_then_gets_fewer_jobs() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let small = ScriptedDrone::join(&swarm, "small", &plans::epoch()).await;
    let big = ScriptedDrone::join_with(&swarm, "big", &plans::epoch(), 32 << 30).await;
    let hearts = [Arc::new(small), Arc::new(big)];
    let [small, big] = &hearts;
    let _hearts = [small.heart(), big.heart()];
    let out_of_memory = async |drone: &ScriptedDrone, claim: &swarm_protocol::drone::Claim| {
        drone.start(claim).await.unwrap();
        let report = Fail { out_of_memory: true, ..drone.failure(claim, FailureClass::Resources) };
        drone.client.fail(claim.attempt, &report).await.unwrap();
        drone.forget(claim);
    };
    let claim = small.claim(30).await.unwrap();
    assert_eq!(claim.halvings, 0);
    out_of_memory(small, &claim).await;
    assert!(small.claim(1).await.is_none(), "it takes more than it has");
    let claim = big.claim(30).await.unwrap();
    assert_eq!(claim.halvings, 0, "there was a bigger drone");
    out_of_memory(big, &claim).await;
    let claim = big.claim(30).await.unwrap();
    assert_eq!(claim.halvings, 1, "there is no bigger one");
    big.build(&claim).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
