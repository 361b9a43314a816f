//! Grounded drones whose pause is over.

use crate::app::App;
use crate::db::drones;
use crate::machine::drone::Transition;
use tracing::info;

/// grounded → online.
pub(super) async fn grounded(app: &App) -> sqlx::Result<()> {
    for drone in drones::pardoned(&app.db).await? {
        let mut tx = app.db.begin().await?;
        let pardoned = drones::apply(&mut tx, drone, Transition::Unground, 0, None).await?;
        tx.commit().await?;
        if pardoned {
            info!(drone.id = %drone, "a grounded drone gets work again");
            app.wake.all();
        }
    }
    Ok(())
}
