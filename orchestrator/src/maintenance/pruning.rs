//! Keeps years of history bounded.

use crate::app::App;
use crate::db::prune::{self, Ages};
use tracing::info;

/// Deletes a round of what is old and needed by nobody; the rest comes with the next one.
pub(super) async fn prune(app: &App) -> sqlx::Result<()> {
    let times = &app.times;
    let ages = Ages { events_days: times.event_retention_days, runs_days: times.run_retention_days };
    let rows = prune::round(&app.db, ages).await?;
    if rows > 0 {
        info!(rows, "old history is deleted");
    }
    Ok(())
}
