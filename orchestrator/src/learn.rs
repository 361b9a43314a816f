//! Generations that the binhost has and the database does not know: it was restored from a dump that is older than they are.
//! Their numbers are taken, and one of them is what clients see, so a new one must come after them. Asked before a generation
//! gets its number, and with what else the binhost is asked from time to time.

use crate::app::App;
use crate::db::generations;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::TargetId;
use swarm_protocol::kept::Kept;
use tracing::warn;

/// Asks the binhost, as far as it can be asked at the moment.
pub async fn ask(app: &App, target: TargetId, name: &TargetName) -> sqlx::Result<()> {
    match app.binhost().await?.kept(name).await {
        Ok(kept) => from(app, target, name, &kept).await,
        Err(error) => {
            warn!(target.name = %name, %error, "the binhost does not say which generations there are");
            Ok(())
        }
    }
}

/// Learns from what the binhost has said that it keeps. What is in the database already was there before the binhost
/// heard of it, so whatever has a higher number is unknown.
pub async fn from(app: &App, target: TargetId, name: &TargetName, kept: &[Kept]) -> sqlx::Result<()> {
    if !generations::has_above(&app.db, target, kept).await? {
        return Ok(());
    }
    let current = match app.binhost().await?.current(name).await {
        Ok(current) => current.number,
        Err(error) => {
            warn!(target.name = %name, %error, "the binhost does not say which generation is current");
            return Ok(());
        }
    };
    let learned = generations::learn(&app.db, (target, name), kept, current).await?;
    if !learned.is_empty() {
        warn!(target.name = %name, ?learned, ?current, "the binhost has generations that this database does not know");
    }
    Ok(())
}
