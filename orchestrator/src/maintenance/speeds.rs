//! Measures how fast the drones are, from what they built.

use crate::app::App;
use crate::db::history;
use crate::speed::speeds;

/// Measures them.
pub(super) async fn measure(app: &App) -> sqlx::Result<()> {
    let speeds = speeds(&history::timed(&app.db).await?);
    history::set_speeds(&app.db, &speeds).await
}
