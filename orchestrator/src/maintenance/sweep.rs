//! Re-drives receive sequences that stopped in *accepting*: their orchestrator, their drone or the binhost died (law 10).

use crate::app::App;
use crate::db::receive;
use crate::db::transition::ApplyError;

/// How long an attempt stays in *accepting* before the sweep takes it up.
const OVERDUE_SECONDS: f64 = 3.0;

/// Drives what waits.
pub(super) async fn redrive(app: &App) -> Result<(), ApplyError> {
    for attempt in receive::waiting(&app.db, OVERDUE_SECONDS).await? {
        match crate::receive::drive(app, attempt).await {
            Ok(_) | Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
