//! Two orchestrators on one Postgres and one Redis serve the same swarm; either may die.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_protocol::state::{PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{checker, plans};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_receives_the_others_drones_build_on() {
    let swarm = Swarm::start().await;
    let second = swarm.second_orchestrator().await;
    let plan = plans::plan(&["test/library-1", "test/program-1"], &[(1, 0)]);
    let run = swarm.run(plans::epoch(), plan).await;
    let here = ScriptedDrone::join(&swarm, "here", &plans::epoch()).await;
    let there = ScriptedDrone::join(&swarm, "there", &plans::epoch()).await.at(&second.url);
    let library = here.claim(30).await.unwrap();
    let waiting = Arc::new(there);
    let claimed = tokio::spawn({
        let waiting = waiting.clone();
        async move { waiting.claim(30).await }
    });
    // Its poll is held by the other orchestrator, which hears of this one's work through Redis.
    here.build(&library).await;
    let received = Instant::now();
    let program = claimed.await.unwrap().expect("the program");
    assert!(received.elapsed() < Duration::from_secs(30), "before the poll's own end");
    waiting.build(&program).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_goes_on_when_one_is_killed() {
    const PACKAGES: usize = 40;
    let mut swarm = Swarm::start().await;
    let second = swarm.second_orchestrator().await;
    let run = swarm.run(plans::epoch(), plans::flat(PACKAGES)).await;
    let mut drones = Vec::new();
    for number in 0..4 {
        let drone = ScriptedDrone::join(&swarm, &format!("drone-{number}"), &plans::epoch()).await;
        drones.push(if number < 2 { drone } else { drone.at(&second.url) });
    }
    // Each holds a package in mid-build; some are received at either.
    let mut building = Vec::new();
    for drone in &drones {
        let done = drone.claim(30).await.unwrap();
        drone.build(&done).await;
        let claim = drone.claim(30).await.unwrap();
        drone.start(&claim).await.unwrap();
        building.push(claim);
    }
    // The first one led the maintenance, and dies without a word.
    swarm.orchestrator.take().unwrap().kill();
    let mut tasks = Vec::new();
    for (drone, claim) in drones.into_iter().zip(building) {
        // A load balancer brings everybody to the one that lives.
        let drone = Arc::new(drone.at(&second.url));
        let admin = second.admin.clone();
        tasks.push(tokio::spawn(async move {
            let _heart = drone.heart();
            drone.build_started(&claim).await;
            drone.build_run(&admin, run).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    swarm.admin = second.admin.clone();
    let done = swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(done.counts.received, i64::try_from(PACKAGES).unwrap());
    let packages = swarm.admin.packages(run).await.unwrap();
    assert!(packages.iter().all(|package| package.state == PackageState::Received && package.attempts == 1));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
