//! What the model of the claim protocol found in the layers around the machine: heartbeats that come late, requests
//! that come twice, drones that come back. Each of these failed before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use futures::future::join_all;
use std::collections::HashSet;
use swarm_protocol::Code;
use swarm_protocol::drone::{Claim, HandBack};
use swarm_protocol::id::AttemptId;
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, plans, wait};

async fn reclaimed(swarm: &Swarm, claim: &Claim, attempt: AttemptId) {
    wait::until(30, "the attempt to be reclaimed", async || {
        let attempts = swarm.admin.attempts(claim.package).await.unwrap();
        let attempt = attempts.into_iter().find(|other| other.id == attempt)?;
        (attempt.outcome == Some(Outcome::Reclaimed)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_progress_is_not_given_back_to_its_drone() {
    let times = "heartbeat_seconds = 1\ngrace_seconds = 4\nstall_seconds = 2\nmaintenance_seconds = 1\n";
    let swarm = Swarm::start_with(Settings { times, ..Settings::default() }).await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "stuck", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let answer = wait::until(30, "the build to be taken", async || {
        let answer = drone.beat(&[&claim]).await.unwrap();
        (!answer.revoked.is_empty()).then_some(answer)
    })
    .await;
    assert_eq!((answer.revoked, answer.regained), (vec![claim.attempt], vec![]));
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[0].reason.as_deref(), Some("its build makes no progress"));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grounded_drones_unstarted_package_returns_at_once_and_blames_nobody() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(8)).await;
    let drone = ScriptedDrone::join(&swarm, "broken", &plans::epoch()).await;
    let unstarted = drone.claim(30).await.unwrap();
    for _ in 0..5 {
        let claim = drone.claim(30).await.unwrap();
        drone.fail(&claim, FailureClass::Infrastructure).await;
    }
    wait::until(30, "the unstarted package to be needed again", async || {
        let package = swarm.package(run, &unstarted.cpv.to_string()).await;
        (package.state == PackageState::Needed).then_some(())
    })
    .await;
    let answer = drone.beat(&[&unstarted]).await.unwrap();
    assert_eq!((answer.revoked, answer.regained), (vec![unstarted.attempt], vec![]));
    let attempts = swarm.admin.attempts(unstarted.package).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].outcome), (1, Some(Outcome::HandedBack)));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_request_brings_one_claim_however_often_and_at_once_it_is_sent() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(60)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    for _ in 0..20 {
        let request = drone.claim_request(0);
        let answers = join_all((0..4).map(|_| drone.client.claim(&request))).await;
        let attempts: HashSet<_> = answers
            .into_iter()
            .flat_map(|answer| answer.unwrap().claims)
            .map(|claim| claim.attempt)
            .collect();
        assert_eq!(attempts.len(), 1, "request {}", request.request);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_request_whose_package_was_handed_back_brings_nothing_more() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(3)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let request = drone.claim_request(0);
    let claim = drone.client.claim(&request).await.unwrap().claims.pop().unwrap();
    let hand_back = HandBack { fence: drone.fence(&claim), reason: "test".into() };
    drone.client.hand_back(claim.attempt, &hand_back).await.unwrap();
    assert!(drone.client.claim(&request).await.unwrap().claims.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_heartbeat_does_not_rob_a_drone_that_came_back() {
    let swarm = Swarm::start_with(Settings::soon_silent()).await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "far", &plans::epoch()).await;
    // Sent before the claim was answered, so it lists nothing; it will arrive last.
    let old = drone.heartbeat(vec![]);
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    reclaimed(&swarm, &claim, claim.attempt).await;
    let second = drone.beat(&[&claim]).await.unwrap().regained.pop().unwrap().claim;
    drone.client.heartbeat(&old).await.unwrap();
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[1].phase, AttemptPhase::Building, "{attempts:?}");

    // Away once more: a list that still names the first attempt means the third.
    reclaimed(&swarm, &claim, second.attempt).await;
    let third = drone.beat_listing(vec![second.attempt]).await.unwrap().regained.pop().unwrap().claim;
    let again = drone.beat(&[&claim]).await.unwrap();
    assert_eq!(again.regained[0].claim.attempt, third.attempt);
    drone.build(&third).await;
    let late = drone.beat(&[&claim]).await.unwrap();
    assert_eq!((late.revoked, late.regained), (vec![claim.attempt], vec![]), "it is over");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_do_not_add_up_to_a_quarantine() {
    let settings = Settings {
        retries: "first_pause_seconds = 0\ninfrastructure_failures = 2\n",
        ..Settings::soon_silent()
    };
    let swarm = Swarm::start_with(settings).await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "far", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let mut attempt = claim.attempt;
    for _ in 0..2 {
        reclaimed(&swarm, &claim, attempt).await;
        attempt = drone.beat_listing(vec![attempt]).await.unwrap().regained[0].claim.attempt;
    }
    assert_eq!(swarm.package(run, "test/p0x-1").await.state, PackageState::Delegated);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_not_obeyed() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    // The orchestrator died after it had ended the session and before it ended the session's attempts.
    sqlx::query("UPDATE sessions SET ended_at = swarm_now()").execute(&swarm.database.pool).await.unwrap();
    let error = drone.start(&claim).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::StaleReport));
}
