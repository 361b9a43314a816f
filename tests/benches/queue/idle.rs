//! A fleet that has nothing to do: what its heartbeats and long-polls take of a core and of memory; then a hand-off among
//! as many.

use crate::{hand_off, processes, report};
use futures::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use swarm_tests::swarm::{Settings, Swarm};

const FLEETS: [usize; 2] = [100, 1000];
/// Drones that join at the same time.
const JOINING: usize = 50;
const WATCHED: Duration = Duration::from_secs(30);
/// Heartbeats settle into their rhythm.
const SETTLING: Duration = Duration::from_secs(10);
/// Packages of the hand-off, one after the other.
const CHAIN: usize = 400;

pub(crate) async fn run() {
    let swarm = Swarm::start_with(Settings { times: hand_off::TIMES, ..Settings::default() }).await;
    let mut drones = Vec::new();
    for fleet in FLEETS {
        while drones.len() < fleet {
            let joining =
                (drones.len()..fleet.min(drones.len() + JOINING)).map(|index| hand_off::join(&swarm, index));
            drones.extend(join_all(joining).await);
        }
        let polling: Vec<_> = drones
            .iter()
            .map(|drone| {
                let drone = drone.clone();
                tokio::spawn(async move {
                    let _heart = drone.heart();
                    loop {
                        assert!(drone.claim(60).await.is_none(), "there is nothing to claim");
                    }
                })
            })
            .collect();
        tokio::time::sleep(SETTLING).await;
        let (before, begun) = (processes::processor_seconds(&swarm), Instant::now());
        tokio::time::sleep(WATCHED).await;
        let elapsed = begun.elapsed().as_secs_f64();
        let shares: BTreeMap<_, _> = processes::processor_seconds(&swarm)
            .into_iter()
            .map(|(name, after)| (name, report::rounded((after - before[name]) / elapsed * 100.0)))
            .collect();
        report::line(&json!({
            "name": "idle", "drones": fleet, "heartbeat_seconds": 5, "unit": "% of a core", "seconds": elapsed,
            "processor": shares,
        }));
        processes::memory(&swarm, &format!("with {fleet} idle drones"));
        polling.iter().for_each(tokio::task::JoinHandle::abort);
        join_all(polling).await;
        hand_off::measure(&swarm, "chain", &drones, crate::plans::layers(&format!("i{fleet}p"), &[1; CHAIN]))
            .await;
    }
    processes::memory(&swarm, "after the hand-offs");
}
