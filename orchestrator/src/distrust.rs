//! A person believes a drone no longer (law 11). In three steps, each of which may be repeated: it gets nothing new and
//! nothing of it counts any more; what it has in hand ends; what it made, and what was built with it, is withdrawn.
//! Only in this order is nothing received from it after its artifacts were counted.

use crate::app::App;
use crate::db::runs::RunError;
use crate::db::transition::{ApplyError, Note, Subject};
use crate::db::{drones, withdraw};
use crate::machine::{drone, package};
use crate::{maintenance, toolchain};
use swarm_protocol::admin::Withdrawn;
use swarm_protocol::id::{DroneId, RunId};
use tracing::warn;

const REASON: &str = "its drone is distrusted";

/// What a drone's artifacts were in.
pub struct Withdrawal {
    /// How many are withdrawn now.
    pub artifacts: i64,
    /// The runs that ended for it.
    pub ended: Vec<RunId>,
    /// What clients can still install.
    pub published: Vec<Withdrawn>,
}

/// Why it was not done, or not to its end; it may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum DistrustError {
    /// An attempt could not be ended.
    #[error(transparent)]
    Attempt(#[from] ApplyError),
    /// A run could not be ended.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Does it.
pub async fn distrust(app: &App, drone: DroneId) -> Result<Withdrawal, DistrustError> {
    let mut tx = app.db.begin().await?;
    drones::set_trusted(&mut tx, drone, false).await?;
    drones::apply(&mut tx, drone, drone::Transition::Drain, 0, Some("a person distrusts it")).await?;
    withdraw::silence(&mut tx, drone).await?;
    tx.commit().await?;
    for attempt in withdraw::live(&app.db, drone).await? {
        let note = Note { reason: Some(REASON), ..Note::default() };
        match app.apply(Subject::Attempt(attempt), &package::Transition::Cancel, note).await {
            Ok(_) | Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let name = drones::name(&app.db, drone).await?;
    let mut tx = app.db.begin().await?;
    let artifacts = withdraw::artifacts(&mut tx, drone).await?;
    toolchain::withdrawn(&mut tx).await?;
    let reason =
        format!("it received what is withdrawn since the drone {name} is distrusted; begin a new run");
    let ended = withdraw::end_runs(&mut tx, &reason).await?;
    tx.commit().await?;
    maintenance::end_orphans(app).await?;
    app.wake.all();
    let published = withdraw::published(&app.db).await?;
    warn!(
        drone.name = name,
        artifacts,
        runs = ended.len(),
        published = published.len(),
        "a drone is distrusted"
    );
    Ok(Withdrawal { artifacts, ended, published })
}
