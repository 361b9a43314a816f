//! Gates that nobody will answer: their generations are judged again, and those that nobody judges are given up.

use crate::app::App;
use crate::db;
use crate::db::overdue::Listened;
use crate::errand::MARGIN_SECONDS;
use crate::gate;
use tracing::warn;

/// Ends them.
pub(super) async fn end_lost(app: &App, listened: Listened) -> anyhow::Result<()> {
    let limit = f64::from(app.gate.limit_seconds + MARGIN_SECONDS);
    for run in db::gates::end_lost(&app.db, limit).await? {
        warn!(%run, "a generation lost the drone that judged it");
        gate::give_up(app, run).await?;
        app.wake.all();
    }
    Ok(gate::forsake(app, listened).await?)
}
