//! Hand-off: from the moment at which a package becomes ready to the moment at which a drone that waited has its claim
//! in hand.
//!
//! A package is ready when the last of what it waits for is received: that attempt's `ended_at`, which Postgres's clock
//! gives within the receiving transaction. So its commit, with the disk's flush, is part of what is measured. The claim is
//! in hand when the long-poll's answer has been read, by the same machine's clock. Between the two lies `claimed_at`.
//!
//! In every shape there are more drones than ready packages, so whenever a package becomes ready somebody waits.

use crate::{plans, processes, report};
use futures::future::join_all;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use swarm_protocol::id::PackageId;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::RunState;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};
use tokio::sync::mpsc;

/// The shapes: a name, the drones, the widths of the layers.
fn shapes() -> [(&'static str, usize, Vec<usize>); 3] {
    [("chain", 2, vec![1; 400]), ("chain", 200, vec![1; 400]), ("fan", 200, [1, 199].repeat(8))]
}

/// Times of production; only a run's end is noticed sooner.
pub(crate) const TIMES: &str = "heartbeat_seconds = 5\ngrace_seconds = 60\nmaintenance_seconds = 1\n";

pub(crate) async fn run() {
    let settings = Settings { times: TIMES, ..Settings::default() };
    let swarm = Swarm::start_with(settings).await;
    processes::memory(&swarm, "after the start");
    let mut drones = Vec::new();
    for (number, (shape, count, widths)) in shapes().into_iter().enumerate() {
        let missing = (drones.len()..count).map(|index| join(&swarm, index));
        drones.extend(join_all(missing).await);
        let plan = plans::layers(&format!("s{number}p"), &widths);
        measure(&swarm, shape, &drones, plan).await;
    }
    processes::memory(&swarm, "after the hand-offs, with 200 drones");
}

pub(crate) async fn join(swarm: &Swarm, index: usize) -> Arc<ScriptedDrone> {
    Arc::new(ScriptedDrone::join(swarm, &format!("drone-{index}"), &epoch()).await)
}

pub(crate) async fn measure(swarm: &Swarm, shape: &str, drones: &[Arc<ScriptedDrone>], plan: Plan) {
    let (hands, mut handed) = mpsc::unbounded_channel();
    let working: Vec<_> =
        drones.iter().map(|drone| tokio::spawn(work(drone.clone(), hands.clone()))).collect();
    let packages = plan.packages.len();
    let run = swarm.run(epoch(), plan).await;
    swarm.run_reaches(run, RunState::Promoted, 300).await;
    working.iter().for_each(tokio::task::JoinHandle::abort);
    // What was aborted has let go of its drone: the next shape begins afresh.
    join_all(working).await;
    drop(hands);
    let mut in_hand = HashMap::new();
    while let Some((package, at)) = handed.recv().await {
        in_hand.insert(package, at);
    }
    assert_eq!(in_hand.len(), packages, "every package was claimed once");
    let rows: Vec<(i64, f64, f64)> = sqlx::query_as(
        "SELECT a.package_id, extract(epoch FROM max(b.ended_at))::float8, extract(epoch FROM a.claimed_at)::float8
         FROM packages p JOIN attempts a ON a.package_id = p.id JOIN waits w ON w.package_id = p.id
              JOIN attempts b ON b.package_id = w.on_package_id
         WHERE p.run_id = $1 GROUP BY a.id",
    )
    .bind(run.0)
    .fetch_all(&swarm.database.pool)
    .await
    .unwrap();
    let milliseconds = |from: f64, to: f64| (to - from) * 1000.0;
    let whole: Vec<_> = rows.iter().map(|row| milliseconds(row.1, in_hand[&PackageId(row.0)])).collect();
    let claims: Vec<_> = rows.iter().map(|row| milliseconds(row.1, row.2)).collect();
    let answers: Vec<_> = rows.iter().map(|row| milliseconds(row.2, in_hand[&PackageId(row.0)])).collect();
    report::line(&json!({
        "name": "hand-off", "shape": shape, "drones": drones.len(), "unit": "ms", "n": whole.len(),
        "ready_to_in_hand": report::percentiles(&whole),
        "ready_to_claimed": report::percentiles(&claims),
        "claimed_to_in_hand": report::percentiles(&answers),
    }));
}

/// A drone that builds in no time.
async fn work(drone: Arc<ScriptedDrone>, hands: mpsc::UnboundedSender<(PackageId, f64)>) {
    let _heart = drone.heart();
    loop {
        if let Some(claim) = drone.claim(30).await {
            // The receiver lives as long as the drones.
            let _ = hands.send((claim.package, wall_clock()));
            drone.build(&claim).await;
        }
    }
}

/// Seconds since 1970, as Postgres on the same machine counts them.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a bench compares its clock with Postgres's"
)]
fn wall_clock() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}
