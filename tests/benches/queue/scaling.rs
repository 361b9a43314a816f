//! How much of their time drones build: packages of one second that wait for nobody, by the number of drones. What is
//! lost is the way from one package to the next: upload, completion, staging, claim, start.

use crate::{hand_off, report};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};

/// Drones, and how many of the packages they build: one alone would take half an hour for all.
const SHAPES: [(usize, usize); 4] = [(1, 30), (10, 300), (50, 2000), (100, 2000)];
const PACKAGES: usize = 2000;
/// Those of production.
const TIMES: &str = "heartbeat_seconds = 5\ngrace_seconds = 60\n";
const BUILD: Duration = Duration::from_secs(1);

pub(crate) async fn run() {
    for (count, packages) in SHAPES {
        let swarm = Swarm::start_with(Settings { times: TIMES, ..Settings::default() }).await;
        let drones = join_all((0..count).map(|index| hand_off::join(&swarm, index))).await;
        let _hearts: Vec<_> = drones.iter().map(swarm_tests::drone::ScriptedDrone::heart).collect();
        swarm.run(epoch(), crate::plans::chains(&[(PACKAGES, 1, 1.0)])).await;
        let (begun, taken) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let working = drones.into_iter().map(|drone| {
            let taken = taken.clone();
            tokio::spawn(async move {
                while taken.fetch_add(1, Ordering::Relaxed) < packages {
                    let claim = drone.claim(30).await.expect("there is more than enough");
                    drone.start(&claim).await.unwrap();
                    tokio::time::sleep(BUILD).await;
                    drone.build_started(&claim).await;
                }
            })
        });
        for worked in join_all(working).await {
            worked.unwrap();
        }
        let elapsed = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let ideal = packages as f64 * BUILD.as_secs_f64() / count as f64;
        report::line(&json!({
            "name": "scaling", "drones": count, "queue": PACKAGES, "built": packages, "build_seconds": BUILD.as_secs_f64(),
            "seconds": report::rounded(elapsed), "unit": "of ideal", "efficiency": report::rounded(ideal / elapsed),
        }));
    }
}
