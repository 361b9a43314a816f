//! Attempts whose session or run is over: they end with it.

use crate::app::App;
use crate::db::overdue;
use crate::db::transition::{ApplyError, Note, Subject};
use crate::machine::package::Transition;
use swarm_protocol::id::AttemptId;

/// Ends what nobody can finish. Also called at once when a session or a run ends; this is the net below.
pub async fn end(app: &App) -> Result<(), ApplyError> {
    let lost = overdue::of_ended_sessions(&app.db).await?;
    apply(app, lost, &Transition::Lose, "its drone began anew").await?;
    let cancelled = overdue::of_ended_runs(&app.db).await?;
    apply(app, cancelled, &Transition::Cancel, "its run is over").await
}

async fn apply(
    app: &App,
    attempts: Vec<AttemptId>,
    transition: &Transition,
    reason: &str,
) -> Result<(), ApplyError> {
    for attempt in attempts {
        let note = Note { reason: Some(reason), ..Note::default() };
        match app.apply(Subject::Attempt(attempt), transition, note).await {
            Ok(_) | Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
