//! Whose fault it is: drones that fail what others build, packages that fail everywhere, and nothing that can be built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::time::Duration;
use swarm_protocol::state::{DroneState, FailureClass, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, plans, wait};

/// Drones are grounded for an hour.
async fn swarm(retries: &'static str) -> Swarm {
    let times =
        "heartbeat_seconds = 1\ngrace_seconds = 600\nmaintenance_seconds = 1\ngrounded_seconds = 3600\n";
    Swarm::start_with(Settings { times, retries, ..Settings::default() }).await
}

async fn state(swarm: &Swarm, name: &str) -> DroneState {
    let drones = swarm.admin.drones().await.unwrap();
    drones.into_iter().find(|drone| drone.name == name).unwrap().state
}

async fn reaches(swarm: &Swarm, drone: &ScriptedDrone, name: &str, wanted: DroneState) {
    wait::until(30, "the drone's state", async || {
        drone.beat(&[]).await.unwrap();
        (state(swarm, name).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_on_probation_has_one_try_and_then_rests_twice_as_long() {
    let swarm = swarm("first_pause_seconds = 0\n").await;
    swarm.run(plans::epoch(), plans::flat(12)).await;
    let drone = ScriptedDrone::join(&swarm, "broken", &plans::epoch()).await;
    for _ in 0..5 {
        let claim = drone.claim(30).await.unwrap();
        drone.fail(&claim, FailureClass::Infrastructure).await;
    }
    assert_eq!(state(&swarm, "broken").await, DroneState::Grounded);
    swarm.shift_clock(Duration::from_secs(3601)).await;
    reaches(&swarm, &drone, "broken", DroneState::Online).await;
    let claim = drone.claim(30).await.unwrap();
    drone.fail(&claim, FailureClass::Infrastructure).await;
    assert_eq!(state(&swarm, "broken").await, DroneState::Grounded, "one try");
    swarm.shift_clock(Duration::from_secs(3601)).await;
    drone.beat(&[]).await.unwrap();
    let until = swarm.admin.drones().await.unwrap()[0].grounded_until.unwrap();
    let now = swarm.admin.status(None).await.unwrap().now;
    assert!((until - now).num_minutes() > 55, "it rests for two hours: until {until}, now {now}");
    swarm.shift_clock(Duration::from_secs(3601)).await;
    reaches(&swarm, &drone, "broken", DroneState::Online).await;
    // Something built: it is as good as any.
    let claim = drone.claim(30).await.unwrap();
    drone.build(&claim).await;
    for _ in 0..4 {
        let claim = drone.claim(30).await.unwrap();
        drone.fail(&claim, FailureClass::Infrastructure).await;
    }
    assert_eq!(state(&swarm, "broken").await, DroneState::Online);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_fails_what_others_build_is_grounded() {
    let swarm = swarm("first_pause_seconds = 0\n").await;
    swarm.run(plans::epoch(), plans::flat(3)).await;
    let bad = ScriptedDrone::join(&swarm, "bad-memory", &plans::epoch()).await;
    let good = ScriptedDrone::join(&swarm, "good", &plans::epoch()).await;
    for _ in 0..3 {
        let claim = bad.claim(30).await.unwrap();
        bad.fail(&claim, FailureClass::Package).await;
    }
    assert_eq!(state(&swarm, "bad-memory").await, DroneState::Online, "it may be the packages' fault");
    for _ in 0..3 {
        let claim = good.claim(30).await.unwrap();
        good.build(&claim).await;
        bad.beat(&[]).await.unwrap();
    }
    reaches(&swarm, &bad, "bad-memory", DroneState::Grounded).await;
    assert_eq!(state(&swarm, "good").await, DroneState::Online);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_everything_fails_everywhere_is_frozen_until_a_person_lets_it_go_on() {
    // What fails is left alone, so that each failure is another package's.
    let swarm = swarm("first_pause_seconds = 1000\n").await;
    let run = swarm.run(plans::epoch(), plans::flat(9)).await;
    let first = ScriptedDrone::join(&swarm, "first", &plans::epoch()).await;
    let second = ScriptedDrone::join(&swarm, "second", &plans::epoch()).await;
    for drone in [&first, &second, &first, &second, &first] {
        let claim = drone.claim(30).await.unwrap();
        drone.fail(&claim, FailureClass::Package).await;
    }
    let frozen = swarm.run_reaches(run, RunState::Frozen, 30).await;
    let reason = frozen.reason.unwrap();
    assert!(reason.starts_with("5 packages in a row failed on 2 drones"), "{reason}");
    assert!(first.claim(1).await.is_none(), "nothing is built in a frozen run");
    for name in ["first", "second"] {
        assert_eq!(state(&swarm, name).await, DroneState::Online, "no drone is to blame");
    }
    let thawed = swarm.admin.thaw_run(run).await.unwrap();
    assert_eq!(thawed.state, RunState::Building);
    let claim = first.claim(30).await.unwrap();
    first.build(&claim).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
