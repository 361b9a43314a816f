//! What no transition brings about, written into the tables by hand: it is found, told, and mended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::invariants;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::admin::Event;
use swarm_protocol::id::RunId;
use swarm_protocol::state::{Outcome, PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{checker, plans, wait};

/// A library and a program that waits for it.
async fn begun() -> (Swarm, RunId) {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)])).await;
    (swarm, run)
}

/// Writes into the tables what must not be there, and waits until it is reported as a breach of `invariant`.
async fn breaks(swarm: &Swarm, invariant: &str, sql: &'static str) -> Event {
    let before = reported(swarm, invariant).await.len();
    sqlx::raw_sql(sql).execute(&swarm.database.pool).await.unwrap();
    wait::until(30, "the breach to be reported", async || {
        reported(swarm, invariant).await.into_iter().nth(before)
    })
    .await
}

async fn reported(swarm: &Swarm, invariant: &str) -> Vec<Event> {
    let mut events = checker::read(&swarm.admin, &swarm.database.pool).await;
    events.retain(|event| event.kind == "invariant.broken" && event.data["invariant"] == invariant);
    events
}

async fn mended(swarm: &Swarm) {
    wait::until(30, "everything to be as it should", async || {
        let breaches = invariants::breaches(&swarm.database.pool, Duration::from_mins(30)).await.unwrap();
        breaches.is_empty().then_some(())
    })
    .await;
}

/// What `/readyz` complains of.
async fn degraded(swarm: &Swarm) -> String {
    let url = format!("{}/readyz", swarm.url());
    let ready: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    ready["degraded"].to_string()
}

async fn builds_everything(swarm: &Swarm, run: RunId, name: &str) {
    let drone = Arc::new(ScriptedDrone::join(swarm, name, &plans::epoch()).await);
    let _heart = drone.heart();
    for cpv in ["test/library-1", "test/program-1"] {
        let claim = drone.claim(20).await.expect(cpv);
        assert_eq!(claim.cpv.to_string(), cpv);
        drone.build(&claim).await;
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_counters_are_counted_anew() {
    let (swarm, run) = begun().await;
    let too_many = "UPDATE packages SET unmet = 3 WHERE cpv = 'test/library-1'";
    let event = breaks(&swarm, "counters", too_many).await;
    assert_eq!(event.data["text"], "test/library-1 has unmet 3 and stuck 0, but its waits give 0 and 0");
    assert_eq!(event.package, Some(swarm.package(run, "test/library-1").await.id));
    mended(&swarm).await;
    let metrics = reqwest::Client::new().get(format!("{}/metrics", swarm.url())).bearer_auth(&swarm.token);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("swarm_invariant_breaches_total{invariant=\"counters\"} 1"), "{metrics}");
    let told = degraded(&swarm).await;
    assert!(told.contains("was broken and is mended") && told.contains("(counters)"), "{told}");
    // It would be built before its library is there.
    let too_few = "UPDATE packages SET unmet = 0 WHERE cpv = 'test/program-1'";
    breaks(&swarm, "counters", too_few).await;
    mended(&swarm).await;
    let blocked = "UPDATE packages SET unmet = 1, stuck = 1, state = 'blocked' WHERE cpv = 'test/library-1';
         UPDATE packages SET attempts = 0";
    breaks(&swarm, "counters", blocked).await;
    mended(&swarm).await;
    assert_eq!(swarm.package(run, "test/library-1").await.state, PackageState::Needed);
    builds_everything(&swarm, run, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delegated_to_nobody_is_needed_again() {
    let (swarm, run) = begun().await;
    let library = "UPDATE packages SET state = 'delegated' WHERE cpv = 'test/library-1'";
    breaks(&swarm, "holder", library).await;
    mended(&swarm).await;
    builds_everything(&swarm, run, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_what_is_not_delegated_loses_it() {
    let (swarm, run) = begun().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "stray", &plans::epoch()).await);
    let heart = drone.heart();
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    breaks(&swarm, "claim", "UPDATE packages SET state = 'needed', attempts = 0 WHERE state = 'delegated'")
        .await;
    mended(&swarm).await;
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(Outcome::Cancelled));
    drop(heart);
    assert_eq!(drone.beat(&[&claim]).await.unwrap().revoked, [claim.attempt]);
    builds_everything(&swarm, run, "other").await;
    assert_eq!(swarm.admin.attempts(claim.package).await.unwrap()[1].number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_a_wrong_clock_began_ends() {
    let (swarm, run) = begun().await;
    let pause = "UPDATE packages SET not_before = swarm_now() + interval '1 year'";
    breaks(&swarm, "pause", pause).await;
    mended(&swarm).await;
    builds_everything(&swarm, run, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_that_wait_for_each_other_freeze_their_run() {
    let (swarm, run) = begun().await;
    let cycle = "WITH cycle AS (
                     INSERT INTO waits SELECT on_package_id, package_id FROM waits RETURNING package_id)
                 UPDATE packages SET unmet = unmet + 1 WHERE id IN (SELECT package_id FROM cycle)";
    breaks(&swarm, "way_forward", cycle).await;
    let frozen = swarm.run_reaches(run, RunState::Frozen, 30).await;
    assert_eq!(frozen.reason.unwrap(), format!("2 packages of run {run} wait for each other"));
    mended(&swarm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_mend_stands_until_it_is_mended() {
    let (swarm, run) = begun().await;
    let event = breaks(&swarm, "complete", "UPDATE runs SET state = 'validating'").await;
    assert_eq!((event.run, event.package), (Some(run), None));
    wait::until(30, "it to be told", async || {
        let sentence = format!("is broken: run {run} is validating without 2 of its packages (complete)");
        degraded(&swarm).await.contains(&sentence).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_drone_may_build_is_told() {
    let (swarm, run) = begun().await;
    let mut other = plans::epoch();
    other.configuration = swarm_protocol::Digest::of(b"another");
    let drone = Arc::new(ScriptedDrone::join(&swarm, "other", &other).await);
    let _heart = drone.heart();
    assert!(drone.claim(0).await.is_none());
    swarm.shift_clock(Duration::from_secs(301)).await;
    let sentence = "test/library-1 can be built by no drone that is online";
    wait::until(30, "it to be told", async || degraded(&swarm).await.contains(sentence).then_some(())).await;
    builds_everything(&swarm, run, "right").await;
    wait::until(30, "it to be well", async || (!degraded(&swarm).await.contains(sentence)).then_some(()))
        .await;
}
