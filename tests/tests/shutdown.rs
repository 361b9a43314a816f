//! SIGTERM, twice SIGTERM and `kill -9` on the real binaries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use rustix::process::Signal;
use std::sync::Arc;
use std::time::Instant;
use swarm_protocol::state::RunState;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{checker, plans};

#[tokio::test(flavor = "multi_thread")]
async fn the_orchestrator_answers_its_long_polls_and_ends() {
    let mut swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "one", &plans::epoch()).await);
    let waiting = tokio::spawn({
        let drone = drone.clone();
        let request = drone.claim_request(60);
        async move { drone.client.claim(&request).await }
    });
    // The poll is in when the scheduler has said why there is nothing.
    tokio::task::yield_now().await;
    drone.beat(&[]).await.unwrap();
    let before = Instant::now();
    let mut orchestrator = swarm.orchestrator.take().unwrap();
    orchestrator.signal(Signal::TERM);
    assert!(orchestrator.ended(15).await.success());
    assert!(before.elapsed().as_secs() < 15, "it does not wait for the end of a poll");
    // Either the poll was answered, or it had not reached the server yet.
    if let Ok(answer) = waiting.await.unwrap() {
        assert!(answer.claims.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binhost_ends() {
    let mut swarm = Swarm::start().await;
    let mut binhost = swarm.binhost.take().unwrap();
    binhost.signal(Signal::TERM);
    assert!(binhost.ended(15).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_killed_in_mid_run_goes_on_where_it_was() {
    let mut swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(6)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    swarm.orchestrator.take().unwrap().kill();
    swarm.start_orchestrator().await;
    // The drone never noticed: its session, its claim and its upload are as good as before.
    drone.beat(&[&claim]).await.unwrap();
    let complete = drone.upload(&claim).await;
    drone.complete(&claim, &complete).await.unwrap();
    drone.build_run(&swarm.admin, run).await;
    let run = swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(run.counts.attempted, 6, "nothing was built twice");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
