//! Silent drones and overdue attempts, judged by the time in which the leader has listened.

use crate::app::App;
use crate::db::drones;
use crate::db::overdue::{self, Listened, Overdue};
use crate::db::transition::{ApplyError, Note, Subject};
use crate::machine;
use crate::machine::package::Transition;
use swarm_protocol::id::DroneId;
use tracing::{info, warn};

/// online → offline, for drones that were not heard for the grace time.
pub(super) async fn notice(app: &App, listened: Listened) -> sqlx::Result<()> {
    for drone in drones::silent(&app.db, app.times.grace_seconds, listened).await? {
        let mut tx = app.db.begin().await?;
        if drones::apply(&mut tx, drone, machine::drone::Transition::Silence, 0, None).await? {
            warn!(drone.id = %drone, "a drone is silent");
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Takes overdue attempts from their drones; each is checked again under its package's lock.
pub(super) async fn reclaim(app: &App, listened: Listened) -> Result<(), ApplyError> {
    for (attempt, cause) in overdue::list(&app.db, &app.rules, listened).await? {
        let transition = match cause {
            Overdue::Silent => Transition::Reclaim,
            Overdue::Stalled => Transition::Stall,
            Overdue::Grounded => Transition::Return,
        };
        let note = Note { reason: Some(cause.reason()), overdue: Some((cause, listened)), ..Note::default() };
        match app.apply(Subject::Attempt(attempt), &transition, note).await {
            Ok(_) => info!(%attempt, reason = cause.reason(), "an attempt is taken from its drone"),
            Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives back at once what a drone that gets no more work has not started (law 4). For a grounded one the net below is
/// [`reclaim`]; a draining one builds what it holds after all, if this was cut short.
pub async fn return_unstarted(app: &App, drone: DroneId) -> Result<(), ApplyError> {
    for attempt in overdue::unstarted(&app.db, drone).await? {
        let note = Note { reason: Some("its drone gets no more work"), ..Note::default() };
        match app.apply(Subject::Attempt(attempt), &Transition::Return, note).await {
            // It started, or ended, meanwhile.
            Ok(_) | Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
