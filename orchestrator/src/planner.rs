//! Runs the pure scheduler for the drones that poll this orchestrator: one task, which hands each of them its choices.
//!
//! A snapshot is read when the wake-up version has grown, when somebody claimed or chose in vain, or after
//! [`wake::NET`]; while nobody polls, never. All waiting drones are planned together, so they choose different packages
//! and do not meet in Postgres, and only those are woken for whom there is something: a thousand idle drones sleep on.

mod seats;
mod thefts;
mod view;

use crate::alarms::Kind;
use crate::app::App;
use crate::scheduler::{self, Decision, Policy, Snapshot};
use crate::wake;
use chrono::{DateTime, Utc};
pub use seats::{Asks, Choice, Seat, Seats};
use std::collections::BTreeMap;
use std::time::Duration;
use swarm_protocol::id::DroneId;
use tokio::time::Instant;
use tracing::{error, warn};
use view::View;

/// How long a planner rests that cannot read the queue.
const REST: Duration = Duration::from_secs(1);

/// Plans until the process stops.
pub async fn run(app: &App) {
    let mut wakes = app.wake.subscribe();
    let mut view = View::default();
    let mut outdated = true;
    loop {
        // What happens from here on is seen by the next turn.
        outdated |= wakes.borrow_and_update().has_changed();
        outdated |= app.planner.outdated();
        if app.planner.is_empty() {
            // Whoever comes next wants to know what happens meanwhile.
            outdated = true;
        } else if outdated || view.is_older_than(wake::NET) {
            outdated = false;
            if let Err(error) = view.read(app).await {
                warn!(%error, "the queue cannot be read; drones wait");
                outdated = true;
                if !app.pause(REST).await {
                    return;
                }
                continue;
            }
        }
        let mut next = Instant::now() + wake::NET;
        let now = view.now();
        if let Some(snapshot) = view.snapshot(&app.planner, app.strategy) {
            let decisions = plan(app, snapshot, now);
            let rechecks = decisions.values().filter_map(|decision| match decision {
                Decision::Wait { recheck_at, .. } => *recheck_at,
                Decision::Claim(_) | Decision::Steal(_) => None,
            });
            if let Some(recheck) = rechecks.min() {
                next = next.min(view.instant(recheck));
            }
            app.planner.hand_out(decisions);
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            woken = wakes.changed() => outdated |= woken.is_ok(),
            () = app.planner.changed() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// What the scheduler would see now, and when that is.
pub async fn look(app: &App) -> sqlx::Result<(Snapshot, DateTime<Utc>)> {
    let mut view = View::default();
    view.read(app).await?;
    let now = view.now();
    let snapshot = view.snapshot(&app.planner, app.strategy).cloned().unwrap_or_default();
    Ok((snapshot, now))
}

/// The scheduler's plan; rank order where it fails (DESIGN 5.4).
fn plan(app: &App, snapshot: &Snapshot, now: DateTime<Utc>) -> BTreeMap<DroneId, Decision> {
    let planned = std::panic::catch_unwind(|| scheduler::plan(snapshot, Policy::EarliestFinish, now));
    let alarm = planned.is_err().then_some("the scheduler fails: packages are served by rank order");
    app.alarms.set(Kind::Planner, alarm);
    planned.unwrap_or_else(|_| {
        error!("the scheduler failed; serving by rank order");
        by_rank(snapshot)
    })
}

/// The ready packages in rank order, to whoever asks first and holds their epoch.
fn by_rank(snapshot: &Snapshot) -> BTreeMap<DroneId, Decision> {
    let mut ready = snapshot.ready.iter().filter(|ready| ready.not_before.is_none());
    let asking = snapshot.drones.iter().filter(|drone| drone.wants > 0);
    asking
        .filter_map(|drone| {
            let next = ready.find(|ready| drone.epochs.contains(&ready.job.epoch))?;
            Some((drone.drone, Decision::Claim(vec![next.job.package])))
        })
        .collect()
}
