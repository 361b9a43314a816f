//! Whether open dashboards hurt the queue: how many packages 20 drones get through, and what the daemons take, with nobody
//! looking and with 500 viewers that do what the script does: when something changed, they fetch the overview at some moment
//! of the time that they are told, and rest as long.

use crate::{fleet, processes, report};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm_tests::pages::Reader;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::Swarm;
use tokio::task::JoinHandle;

const DRONES: usize = 20;
const VIEWERS: usize = 500;
/// Packages in each part; a build takes 200 ms.
const PACKAGES: u32 = 2000;

pub(crate) async fn run() {
    let swarm = fleet::swarm().await;
    let fleet = fleet::join(&swarm, DRONES).await;
    swarm.run(epoch(), fleet::plan(10, PACKAGES as usize / 4)).await;
    let fetched = Arc::new(AtomicU64::new(0));
    measure(&swarm, &fleet, 0, &fetched).await;
    let reader = Arc::new(Reader::viewer(&swarm).await);
    let viewers: Vec<JoinHandle<()>> =
        (0..VIEWERS).map(|_| tokio::spawn(look(reader.clone(), fetched.clone()))).collect();
    measure(&swarm, &fleet, VIEWERS, &fetched).await;
    processes::memory(&swarm, "with 500 viewers");
    viewers.iter().for_each(JoinHandle::abort);
}

async fn measure(swarm: &Swarm, fleet: &fleet::Fleet, viewers: usize, fetched: &AtomicU64) {
    let (before, fetched_before) = (processes::processor_seconds(swarm), fetched.load(Ordering::Relaxed));
    let began = Instant::now();
    fleet::build(fleet, PACKAGES as usize, |_| Duration::from_millis(200)).await;
    let seconds = began.elapsed().as_secs_f64();
    let after = processes::processor_seconds(swarm);
    let share = |name| (after[name] - before[name]) / seconds;
    report::line(&json!({
        "name": "viewers", "viewers": viewers, "drones": DRONES, "seconds": seconds,
        "packages_per_second": report::rounded(f64::from(PACKAGES) / seconds),
        "pages_fetched": fetched.load(Ordering::Relaxed) - fetched_before,
        "orchestrator_cores": report::rounded(share("orchestrator")),
        "postgres_cores": report::rounded(share("postgres")),
    }));
}

async fn look(reader: Arc<Reader>, fetched: Arc<AtomicU64>) {
    let response = reader.request("/live?version=none").send().await.unwrap();
    let mut messages = response.bytes_stream();
    while let Some(Ok(bytes)) = messages.next().await {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // What came during the last rest is looked at together: the newest line names the rest.
        let Some(data) = text.lines().rev().find_map(|line| line.strip_prefix("data: ")) else { continue };
        let change: Value = serde_json::from_str(data).unwrap();
        let spread = change["spread_ms"].as_u64().unwrap();
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=spread))).await;
        reader.read("/").await;
        fetched.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(spread.max(1000))).await;
    }
}
