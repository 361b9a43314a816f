//! Publishing an earlier generation's set again: what clients see, what is refused, and `kill -9` between the steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use swarm_protocol::admin::{Generation, Republish};
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{GenerationState, RunState};
use swarm_tests::cli::{json, ok, types};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

/// What a client reads.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    timestamp: i64,
    cpvs: Vec<String>,
}

async fn index(swarm: &Swarm) -> Index {
    let url = format!("{}/binhost/{}/Packages", swarm.binhost_url(), target());
    let text = reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap();
    let values = |key: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(key));
        lines.map(|value| value.trim().to_owned()).collect::<Vec<_>>()
    };
    Index { timestamp: values("TIMESTAMP:")[0].parse().unwrap(), cpvs: values("CPV:") }
}

async fn promoted(swarm: &Swarm, drone: &ScriptedDrone, plan: Plan) {
    let run = swarm.run(plans::epoch(), plan).await;
    drone.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
}

/// Two generations: one of `test/a-1`, the other of `test/a-2`.
async fn two_generations() -> (Swarm, ScriptedDrone) {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    promoted(&swarm, &drone, plans::plan(&["test/a-1"], &[])).await;
    promoted(&swarm, &drone, plans::plan(&["test/a-2"], &[])).await;
    (swarm, drone)
}

async fn generation(swarm: &Swarm, number: i64) -> Generation {
    let generations = swarm.admin.generations(&target()).await.unwrap();
    generations.into_iter().find(|generation| generation.number.0 == number).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_a_new_generation_that_clients_take() {
    let (swarm, drone) = two_generations().await;
    let before = index(&swarm).await;
    assert_eq!(before.cpvs, ["test/a-2"]);
    let said = ok(&swarm, "generations rollback box").await;
    assert_eq!(said, "Generation 3 of box with the set of generation 1 is current.\n");
    let after = index(&swarm).await;
    assert_eq!(after.cpvs, ["test/a-1"]);
    assert!(after.timestamp >= before.timestamp + 6, "{before:?} {after:?}");

    let said = types(&swarm, "generations rollback box").await;
    assert!(said.code == 1 && said.stderr.contains("no generation before"), "{said:?}");
    let said = types(&swarm, "generations rollback box --to 3").await;
    assert!(said.code == 1 && said.stderr.contains("generation 3 has that set already"), "{said:?}");
    assert_eq!(types(&swarm, "generations rollback box --to 9").await.code, 5);
    let said = ok(&swarm, "generations rollback box --to 2").await;
    assert!(said.contains("Generation 4 of box with the set of generation 2 is current"), "{said}");
    assert!(ok(&swarm, "generations list box").await.contains("rollback to 1"));

    // The next run goes on from there.
    promoted(&swarm, &drone, plans::plan(&["test/a-3"], &[])).await;
    assert_eq!(index(&swarm).await.cpvs, ["test/a-3"]);
    let events = checker::check(&swarm.admin, &swarm.database.pool).await;
    assert_eq!(events.iter().filter(|event| event.kind == "generation.current").count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_are_compared_and_pinned() {
    let (mut swarm, _) = two_generations().await;
    let said = ok(&swarm, "generations diff box").await;
    assert!(said.starts_with("From generation 1 to generation 2 of box: 1 updated.\n"), "{said}");
    let diff = json(&swarm, "generations diff box 2 1").await;
    let change = &diff["changes"][0];
    assert_eq!(
        (&change["kind"], &change["package"], &change["from"]["cpv"], &change["to"]["cpv"]),
        (&"updated".into(), &"test/a".into(), &"test/a-2".into(), &"test/a-1".into())
    );
    let said = types(&swarm, "generations diff box 2 9").await;
    assert!(said.code == 5 && said.stderr.contains("generation 9 is not kept"), "{said:?}");

    assert_eq!(ok(&swarm, "generations pin box 1").await, "Generation 1 of box is kept for good.\n");
    assert_eq!(types(&swarm, "generations pin box 9").await.code, 5);
    swarm.binhost.take().unwrap().kill();
    let list = json(&swarm, "generations list box").await;
    assert!(list[1]["pinned"].is_null(), "the list needs no binhost: {list}");
    assert!(types(&swarm, "generations unpin box 1").await.stderr.contains("does not answer"));
    swarm.start_binhost().await;
    let pinned = async || {
        let generations = swarm.admin.generations(&target()).await.unwrap();
        generations.into_iter().map(|generation| generation.pinned).collect::<Vec<_>>()
    };
    assert_eq!(pinned().await, [Some(false), Some(true)]);
    ok(&swarm, "generations unpin box 1").await;
    assert_eq!(pinned().await, [Some(false), Some(false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_force() {
    let (swarm, _) = two_generations().await;
    sqlx::query("UPDATE artifacts SET withdrawn_at = swarm_now() WHERE cpv = 'test/a-1'")
        .execute(&swarm.database.pool)
        .await
        .unwrap();
    let said = types(&swarm, "generations rollback box").await;
    assert!(said.code == 1 && said.stderr.contains("1 withdrawn artifacts (test/a-1)"), "{said:?}");
    ok(&swarm, "generations rollback box --force").await;
    assert_eq!(index(&swarm).await.cpvs, ["test/a-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_c_library_is_not_published_by_accident() {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    promoted(&swarm, &drone, plans::plan(&["sys-libs/glibc-2.9"], &[])).await;
    promoted(&swarm, &drone, plans::plan(&["sys-libs/glibc-2.41"], &[])).await;
    let said = types(&swarm, "generations rollback box").await;
    assert!(said.code == 1 && said.stderr.contains("refuses to replace sys-libs/glibc-2.41"), "{said:?}");
}

async fn order(swarm: &Swarm) {
    let order = Republish { of: Some(GenerationNumber(1)), force: false };
    swarm.admin.republish(&target(), &order).await.unwrap();
}

async fn becomes_current(swarm: &Swarm) {
    wait::until(30, "generation 3 to be current", async || {
        (generation(swarm, 3).await.state == GenerationState::Current).then_some(())
    })
    .await;
    assert_eq!(index(swarm).await.cpvs, ["test/a-1"]);
    assert_eq!(generation(swarm, 2).await.state, GenerationState::Retired);
    let events = checker::check(&swarm.admin, &swarm.database.pool).await;
    assert_eq!(events.iter().filter(|event| event.kind == "generation.current").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_before_anything_is_prepared() {
    let (mut swarm, _) = two_generations().await;
    swarm.binhost.take().unwrap().kill();
    order(&swarm).await;
    let second = swarm.admin.republish(&target(), &Republish::default()).await.unwrap_err().to_string();
    assert!(second.contains("generation 3 is on its way"), "{second}");
    swarm.orchestrator.take().unwrap().kill();
    swarm.start_binhost().await;
    swarm.start_orchestrator().await;
    becomes_current(&swarm).await;
}

/// The orchestrator died after the binhost did something, and before it wrote that down.
async fn dies_after(state: &str) {
    let (mut swarm, _) = two_generations().await;
    order(&swarm).await;
    becomes_current(&swarm).await;
    swarm.orchestrator.take().unwrap().kill();
    let mut tx = swarm.database.pool.begin().await.unwrap();
    for undo in [
        "DELETE FROM events WHERE kind = 'generation.current' AND data->>'number' = '3'".to_owned(),
        format!("UPDATE generations SET state = '{state}', promoted_at = NULL WHERE number = 3"),
        "UPDATE generations SET state = 'current' WHERE number = 2".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(undo)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    swarm.start_orchestrator().await;
    becomes_current(&swarm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orchestrator_dies_after_the_switch() {
    dies_after("prepared").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orchestrator_dies_after_it_was_prepared() {
    dies_after("preparing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_the_switch() {
    let (swarm, drone) = two_generations().await;
    // A file where the binhost wants to make a directory: it fails, and is asked again at every turn.
    let obstacle = swarm.binhost_directory().join(format!("targets/{}/generations/.new-3", target()));
    std::fs::write(&obstacle, "").unwrap();
    let run = swarm.run(plans::epoch(), plans::plan(&["test/a-3"], &[])).await;
    order(&swarm).await;
    drone.beat(&[]).await.unwrap();
    drone.build(&drone.claim(30).await.unwrap()).await;
    let turns = || {
        let log = swarm.orchestrator.as_ref().unwrap().output();
        log.matches("the binhost cannot be asked at the moment").count()
    };
    let received = turns();
    // The turn that had begun when the package was received, and a whole one after it.
    wait::until(30, "two turns of the loop", async || (turns() >= received + 2).then_some(())).await;
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Building, "complete, and held up");
    std::fs::remove_file(&obstacle).unwrap();
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(index(&swarm).await.cpvs, ["test/a-3"]);
    assert_eq!(generation(&swarm, 3).await.state, GenerationState::Retired);
    assert_eq!(generation(&swarm, 4).await.run, Some(run));
}
