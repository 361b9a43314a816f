//! What the binhost need not keep: views of runs that are over, old generations; and what it should have kept and lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::retention;
use std::fs;
use swarm_protocol::id::RunId;
use swarm_protocol::state::{PackageState, RunState};
use swarm_tests::cli::{ok, types};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

fn view(swarm: &Swarm, run: RunId) -> std::path::PathBuf {
    swarm.binhost_directory().join(format!("targets/{}/runs/{run}", target()))
}

async fn dropped(swarm: &Swarm, run: RunId) {
    let what = format!("the view of run {run} to be dropped");
    wait::until(30, &what, async || (!view(swarm, run).exists()).then_some(())).await;
}

/// Whether the maintenance loop may drop the view now.
async fn is_droppable(swarm: &Swarm, run: RunId) -> bool {
    let droppable = retention::droppable(&swarm.database.pool).await.unwrap();
    droppable.iter().any(|view| view.run == run)
}

async fn built(swarm: &Swarm, drone: &ScriptedDrone, run: RunId) {
    drone.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_stays_until_nobody_can_inherit_from_it_or_build_in_it() {
    let mut swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let first = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1"], &[])).await;
    let finished = drone.claim(30).await.unwrap();
    drone.build(&finished).await;
    let live = drone.claim(30).await.unwrap();
    drone.start(&live).await.unwrap();
    assert!(view(&swarm, first).exists());
    // Two successors take over what it received, and the build that reads its view.
    let plan = || plans::plan(&["test/a-1", "test/b-1", "test/c-1"], &[]);
    let second = swarm.run(plans::epoch(), plan()).await;
    assert!(!is_droppable(&swarm, first).await, "its successor is open");
    let third = swarm.run(plans::epoch(), plan()).await;
    swarm.run_reaches(second, RunState::Superseded, 30).await;
    assert_eq!(swarm.package(third, &live.cpv.to_string()).await.state, PackageState::Delegated);
    drone.beat(&[&live]).await.unwrap();
    assert!(!is_droppable(&swarm, first).await, "a drone builds with it");
    assert!(view(&swarm, first).exists() && view(&swarm, second).exists());
    // The binhost is away when the views become superfluous, and the orchestrator dies: nothing is forgotten.
    drone.build(&live).await;
    let last = drone.claim(30).await.unwrap();
    drone.build(&last).await;
    swarm.run_reaches(third, RunState::Promoted, 30).await;
    swarm.orchestrator.take().unwrap().kill();
    swarm.start_orchestrator().await;
    for run in [first, second, third] {
        dropped(&swarm, run).await;
    }
    let index = reqwest::get(format!("{}/binhost/{}/Packages", swarm.binhost_url(), target())).await.unwrap();
    assert_eq!(index.text().await.unwrap().matches("CPV: ").count(), 3);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_keeps_its_view_until_a_later_one_is_promoted() {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let first = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1"], &[])).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    swarm.admin.cancel_run(first).await.unwrap();
    swarm.run_reaches(first, RunState::Cancelled, 30).await;
    assert!(!is_droppable(&swarm, first).await, "what it received is as good as it was");
    let second = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1"], &[])).await;
    built(&swarm, &drone, second).await;
    dropped(&swarm, first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_the_binhost_removed_is_listed_and_refused() {
    let mut swarm = Swarm::start().await;
    let config = swarm.path().join("binhost.toml");
    let text = fs::read_to_string(&config).unwrap();
    let more = "[retention]\ngenerations = 2\ndays = 0\n[upkeep]\ncollect_seconds = 1\n";
    fs::write(&config, format!("{text}{more}")).unwrap();
    swarm.binhost.take().unwrap().kill();
    swarm.start_binhost().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    for name in ["test/a-1", "test/a-2", "test/a-3"] {
        let run = swarm.run(plans::epoch(), plans::plan(&[name], &[])).await;
        built(&swarm, &drone, run).await;
    }
    wait::until(30, "the orchestrator to learn of it", async || {
        let generations = swarm.admin.generations(&target()).await.unwrap();
        let removed: Vec<_> =
            generations.iter().filter(|g| g.removed_at.is_some()).map(|g| g.number.0).collect();
        (removed == [1]).then_some(())
    })
    .await;
    assert!(ok(&swarm, "generations list box").await.contains("removed"));
    let said = types(&swarm, "generations rollback box --to 1").await;
    assert!(said.code == 1 && said.stderr.contains("no longer keeps generation 1"), "{said:?}");
    let said = ok(&swarm, "generations rollback box").await;
    assert!(said.contains("with the set of generation 2 is current"), "{said}");
    let said = types(&swarm, "generations rollback box").await;
    assert!(said.code == 1 && said.stderr.contains("no generation before"), "{said:?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_binhost_lost_is_said_and_built_again() {
    let mut swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let first = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1"], &[])).await;
    built(&swarm, &drone, first).await;
    swarm.binhost.take().unwrap().kill();
    let published: String = sqlx::query_scalar("SELECT published FROM artifacts WHERE cpv = 'test/a-1'")
        .fetch_one(&swarm.database.pool)
        .await
        .unwrap();
    let directory = swarm.binhost_directory();
    fs::remove_file(directory.join("blobs").join(&published[..2]).join(&published)).unwrap();
    fs::remove_file(directory.join("scrub.json")).unwrap();
    swarm.start_binhost().await;
    wait::until(30, "the orchestrator to say that the binhost has lost something", async || {
        let said = reqwest::get(format!("{}/readyz", swarm.url())).await.unwrap().text().await.unwrap();
        said.contains("the binhost is degraded: the last scrub found").then_some(())
    })
    .await;
    let second = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1", "test/c-1"], &[])).await;
    assert_eq!(swarm.package(second, "test/a-1").await.state, PackageState::Needed);
    assert_eq!(swarm.package(second, "test/b-1").await.state, PackageState::Received);
    built(&swarm, &drone, second).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
