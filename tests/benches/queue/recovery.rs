//! From a power cut of three drones to their packages in other hands, with the times of production: nobody may be called
//! silent before the grace time is over.

use crate::{hand_off, plans, report};
use futures::future::join_all;
use serde_json::json;
use std::time::Instant;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};

const DRONES: usize = 8;
const DEAD: usize = 3;

pub(crate) async fn run() {
    let times = "heartbeat_seconds = 5\ngrace_seconds = 60\n";
    let swarm = Swarm::start_with(Settings { times, ..Settings::default() }).await;
    let drones = join_all((0..DRONES).map(|index| hand_off::join(&swarm, index))).await;
    let mut hearts: Vec<_> = drones.iter().map(ScriptedDrone::heart).collect();
    swarm.run(epoch(), plans::chains(&[(DRONES, 1, 600.0)])).await;
    let mut claims = Vec::new();
    for drone in &drones {
        let claim = drone.claim(5).await.unwrap();
        drone.start(&claim).await.unwrap();
        claims.push(claim);
    }
    let begun = Instant::now();
    hearts.drain(..DEAD);
    for (drone, claim) in drones.iter().zip(&claims).skip(DEAD) {
        drone.build_started(claim).await;
    }
    let heirs = drones[DEAD..2 * DEAD].iter().map(async |drone| {
        let claim = drone.claim(60).await;
        let claim = if claim.is_some() { claim } else { drone.claim(60).await };
        (claim.expect("a dead drone's package").package, begun.elapsed().as_secs_f64())
    });
    let inherited = join_all(heirs).await;
    let dead: Vec<_> = claims[..DEAD].iter().map(|claim| claim.package).collect();
    assert!(inherited.iter().all(|(package, _)| dead.contains(package)));
    let seconds: Vec<_> = inherited.iter().map(|(_, seconds)| *seconds).collect();
    report::line(&json!({
        "name": "recovery", "dead": DEAD, "grace_seconds": 60, "unit": "s", "power_cut_to_claimed": report::list(&seconds),
    }));
}
