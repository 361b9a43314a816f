//! Grounds drones that fail what others build, and freezes runs in which everything fails everywhere.

use crate::app::App;
use crate::db::runs::{self, RunError};
use crate::db::{blame, drones};
use crate::machine::run::Transition;
use anyhow::Result;
use tracing::warn;

/// Judges what has failed.
pub(super) async fn judge(app: &App) -> Result<()> {
    for evidence in blame::drones(&app.db).await?.into_iter().filter(|evidence| evidence.is_to_blame()) {
        let reason = format!("{} packages failed on it that other drones built", evidence.blamed);
        let mut tx = app.db.begin().await?;
        let grounded = drones::ground_again(&mut tx, evidence.drone, &app.rules, &reason).await?;
        tx.commit().await?;
        if grounded {
            warn!(drone.id = %evidence.drone, reason, "a drone is grounded");
            super::return_unstarted(app, evidence.drone).await?;
        }
    }
    for evidence in blame::runs(&app.db).await?.into_iter().filter(|evidence| evidence.is_hopeless()) {
        let reason = format!(
            "{} packages in a row failed on {} drones: what do they have in common?",
            evidence.packages, evidence.drones
        );
        let mut tx = app.db.begin().await?;
        match runs::apply(&mut tx, evidence.run, Transition::Freeze, Some(&reason)).await {
            Ok(_) => {
                tx.commit().await?;
                warn!(run = %evidence.run, reason, "a run is frozen");
            }
            // It ended meanwhile.
            Err(RunError::State(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
