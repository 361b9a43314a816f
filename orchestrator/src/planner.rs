//! Runs the pure scheduler for the drones that poll this orchestrator, once per change of what it sees.
//!
//! A snapshot is read when the wake-up version has grown, when a choice turned out to be stale, or after [`wake::NET`].
//! All waiting drones are planned together, so they choose different packages and do not meet in Postgres.

use crate::db;
use crate::scheduler::{self, Decision, Drone, Reason, Snapshot};
use crate::wake;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_protocol::id::DroneId;
use tokio::sync::Mutex;
use tracing::error;

/// The planner of one process.
pub struct Planner {
    db: PgPool,
    waiting: std::sync::Mutex<Registry>,
    view: Mutex<Option<View>>,
}

/// The drones that poll this process.
#[derive(Default)]
struct Registry {
    /// Grows with every change.
    version: u64,
    drones: BTreeMap<DroneId, (u64, Drone)>,
}

/// What was read and what was planned from it.
struct View {
    wake: u64,
    registry: u64,
    snapshot: Snapshot,
    read_at: DateTime<Utc>,
    read: Instant,
    decisions: BTreeMap<DroneId, Decision>,
}

impl View {
    fn now(&self) -> DateTime<Utc> {
        self.read_at + self.read.elapsed()
    }
}

/// A drone's place among the waiting; leaving scope gives it up.
pub struct Seat<'a> {
    planner: &'a Planner,
    drone: DroneId,
    number: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut registry = self.planner.registry();
        // A later poll of the same drone has taken the place over.
        if registry.drones.get(&self.drone).is_some_and(|(number, _)| *number == self.number) {
            registry.drones.remove(&self.drone);
            registry.version += 1;
        }
    }
}

/// A decision, with the time on Postgres's clock by which it was made.
#[derive(Debug)]
pub struct Planned {
    /// What the drone should do.
    pub decision: Decision,
    /// The time.
    pub now: DateTime<Utc>,
}

impl Planner {
    /// A planner that reads from `db`.
    #[must_use]
    pub fn new(db: PgPool) -> Self {
        Self { db, waiting: std::sync::Mutex::default(), view: Mutex::new(None) }
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds a drone to those that are planned for.
    pub fn sit(&self, drone: DroneId, wants: usize, epochs: Vec<Digest>) -> Seat<'_> {
        let mut registry = self.registry();
        registry.version += 1;
        let number = registry.version;
        registry.drones.insert(drone, (number, Drone { drone, wants, epochs }));
        Seat { planner: self, drone, number }
    }

    /// What the drone in `seat` should do, given everything up to the wake-up `wake`. `stale`: the last choice failed,
    /// so what was read is out of date.
    pub async fn decide(&self, seat: &Seat<'_>, wake: u64, stale: bool) -> sqlx::Result<Planned> {
        let mut guard = self.view.lock().await;
        let outdated = |view: &View| stale || view.wake < wake || view.read.elapsed() > wake::NET;
        if guard.as_ref().is_none_or(outdated) {
            *guard = Some(self.read(wake).await?);
        }
        let Some(view) = guard.as_mut() else { return Err(sqlx::Error::WorkerCrashed) };
        self.plan(view);
        // Every waiting drone that is online has a decision.
        let unplanned = Decision::Wait { reason: Reason::NotOnline, recheck_at: None };
        let decision = view.decisions.get(&seat.drone).cloned().unwrap_or(unplanned);
        Ok(Planned { decision, now: view.now() })
    }

    async fn read(&self, wake: u64) -> sqlx::Result<View> {
        let ready = db::snapshot::ready(&self.db).await?;
        let online = db::snapshot::online(&self.db).await?;
        let drones = online.into_iter().map(|drone| Drone { drone, wants: 0, epochs: vec![] }).collect();
        let read_at = db::now(&self.db).await?;
        let snapshot = Snapshot { ready, drones };
        Ok(View { wake, registry: 0, snapshot, read_at, read: Instant::now(), decisions: BTreeMap::new() })
    }

    /// Plans anew when the waiting drones are others than at the last time, or a pause may have ended.
    fn plan(&self, view: &mut View) {
        let now = view.now();
        let pause_over = view
            .decisions
            .values()
            .any(|decision| matches!(decision, Decision::Wait { recheck_at: Some(at), .. } if *at <= now));
        let registry = self.registry();
        if view.registry == registry.version && !pause_over {
            return;
        }
        view.registry = registry.version;
        for drone in &mut view.snapshot.drones {
            let waiting = registry.drones.get(&drone.drone).map(|(_, drone)| drone);
            drone.wants = waiting.map_or(0, |waiting| waiting.wants);
            drone.epochs = waiting.map_or_else(Vec::new, |waiting| waiting.epochs.clone());
        }
        drop(registry);
        let snapshot = &view.snapshot;
        let planned = std::panic::catch_unwind(|| scheduler::plan(snapshot, now));
        view.decisions = planned.unwrap_or_else(|_| {
            error!("the scheduler failed; serving by rank order");
            by_rank(snapshot)
        });
    }
}

/// What serves when the planner fails (DESIGN 5.4): the ready packages in rank order, to whoever holds their epoch.
fn by_rank(snapshot: &Snapshot) -> BTreeMap<DroneId, Decision> {
    let mut ready = snapshot.ready.iter().filter(|ready| ready.not_before.is_none());
    let waiting = snapshot.drones.iter().filter(|drone| drone.wants > 0);
    waiting
        .filter_map(|drone| {
            let next = ready.find(|ready| drone.epochs.contains(&ready.epoch))?;
            Some((drone.drone, Decision::Claim(vec![next.package])))
        })
        .collect()
}
