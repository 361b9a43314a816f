//! From an idle drone's question to a package in its hands that another held and had not started; beside it, other drones
//! keep the claim path busy.

use crate::{hand_off, plans, report};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_protocol::admin::{NewRun, NewTarget};
use swarm_protocol::binhost::Provided;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};
use tokio::task::JoinHandle;

const ROUNDS: usize = 300;
const BUSY: usize = 4;
/// What the busy ones have to build: more than they can.
const LOAD: [(usize, usize, f64); 1] = [(16, 2000, 1.0)];

pub(crate) async fn run() {
    for busy in [0, BUSY] {
        let swarm = Swarm::start_with(Settings { times: hand_off::TIMES, ..Settings::default() }).await;
        let drones = join_all((0..2).map(|index| hand_off::join(&swarm, index))).await;
        let _hearts: Vec<_> = drones.iter().map(ScriptedDrone::heart).collect();
        let [victim, thief] = drones.as_slice() else { unreachable!("two have joined") };
        // One round after the other: both packages of a round wait for both of the round before.
        swarm.run(epoch(), plans::layers("r", &[2; ROUNDS])).await;
        let working = load(&swarm, busy).await;
        let mut waited = Vec::new();
        for round in 0..ROUNDS {
            let (first, held) = victim.claim_ahead().await;
            let begun = Instant::now();
            let stolen = thief.claim(30).await.unwrap_or_else(|| panic!("nothing to steal in round {round}"));
            waited.push(begun.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(stolen.package, held.package);
            victim.forget(&held);
            tokio::join!(victim.build_started(&first), thief.build(&stolen));
        }
        working.iter().for_each(JoinHandle::abort);
        join_all(working).await;
        let attempts: Vec<(String, i64)> = sqlx::query_as(
            "SELECT coalesce(outcome::text, phase::text), count(*) FROM attempts GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&swarm.database.pool)
        .await
        .unwrap();
        report::line(&json!({
            "name": "steal", "busy_drones": busy, "unit": "ms", "n": waited.len(),
            "asked_to_in_hand": report::percentiles(&waited),
            "attempts": attempts.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }));
    }
}

/// Drones that build another target's packages, of another epoch, as fast as they can.
async fn load(swarm: &Swarm, drones: usize) -> Vec<JoinHandle<()>> {
    let mut other = epoch();
    other.configuration = Digest::of(b"the load's");
    let target = NewTarget { name: "load".parse().unwrap(), world: vec![], provided: Provided::default() };
    swarm.admin.create_target(&target).await.unwrap();
    let run = NewRun { epoch: Some(other.clone()), plan: Some(plans::chains(&LOAD)) };
    swarm.admin.start_run(&target.name, &run).await.unwrap();
    let mut working = Vec::new();
    for number in 0..drones {
        let drone = Arc::new(ScriptedDrone::join(swarm, &format!("busy-{number}"), &other).await);
        working.push(tokio::spawn(async move {
            let _heart = drone.heart();
            while let Some(claim) = drone.claim(30).await {
                drone.build(&claim).await;
            }
        }));
    }
    working
}
