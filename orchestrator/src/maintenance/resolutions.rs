//! Resolutions that nobody will answer: their runs are resolved again.

use crate::app::App;
use crate::db;
use crate::errand::MARGIN_SECONDS;
use crate::resolve;
use tracing::warn;

/// Ends them.
pub(super) async fn end_lost(app: &App) -> anyhow::Result<()> {
    let limit = f64::from(app.times.resolve_seconds + MARGIN_SECONDS);
    for run in db::resolutions::end_lost(&app.db, limit).await? {
        warn!(%run, "a run lost the drone that resolved it");
        resolve::give_up(app, run).await?;
        app.wake.all();
    }
    Ok(())
}
