//! Throughput while somebody holds a snapshot: dead rows cannot be removed then, and a queue that scans past them gets
//! slower and slower. A minute with none, a minute with one, in slices that would show a trend.

use crate::throughput::{CLIENTS, TIMES, build, enrol};
use crate::{plans, report};
use serde_json::json;
use std::time::{Duration, Instant};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};

const PHASE: Duration = Duration::from_mins(1);
/// Packages of one client in one slice.
const EACH: usize = 100;
/// The fastest machine known builds less than this in two phases.
const CHAINS: usize = 64;
const CHAIN_LENGTH: usize = 500;

pub(crate) async fn run() {
    let swarm = Swarm::start_with(Settings { times: TIMES, ..Settings::default() }).await;
    let drones = enrol(&swarm).await;
    swarm.run(epoch(), plans::chains(&[(CHAINS, CHAIN_LENGTH, 1.0)])).await;
    let _hearts: Vec<_> = drones.iter().map(ScriptedDrone::heart).collect();
    let phase = async || {
        let (begun, mut rates) = (Instant::now(), Vec::new());
        while begun.elapsed() < PHASE {
            rates.push(build(&drones, EACH).await);
        }
        rates
    };
    let free = phase().await;
    let mut holder = swarm.database.pool.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *holder).await.unwrap();
    sqlx::query("SELECT count(*) FROM packages").execute(&mut *holder).await.unwrap();
    let held = phase().await;
    holder.rollback().await.unwrap();
    report::line(&json!({
        "name": "held snapshot", "unit": "packages/s", "clients": CLIENTS, "packages_per_slice": EACH * CLIENTS,
        "free": report::list(&free), "held": report::list(&held), "ratio": report::rounded(mean(&held) / mean(&free)),
        "trend": report::rounded(mean(&held[held.len() / 2..]) / mean(&held[..held.len() / 2])),
    }));
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
