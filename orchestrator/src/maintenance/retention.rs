//! What the binhost keeps: it is told which staging views are not needed any more and which bundles are, and asked which
//! generations it has removed. That a view is not needed is seen in Postgres at each turn, so nothing is forgotten by a crash, and a drop
//! may be repeated.

use crate::alarms::Kind;
use crate::app::App;
use crate::db::{definitions, retention};
use crate::learn;
use crate::metrics::Disk;
use swarm_protocol::client::ClientError;
use tracing::{info, warn};

/// Looks at what is kept. A binhost that does not answer is asked again at the next look.
pub(super) async fn look(app: &App) -> sqlx::Result<()> {
    watch(app).await?;
    generations(app).await?;
    bundles(app).await
}

/// Drops views. A binhost that does not answer is asked again at the next turn.
pub(super) async fn drop_views(app: &App) -> sqlx::Result<()> {
    for view in retention::droppable(&app.db).await? {
        match app.binhost().await?.drop_run(&view.target, view.run).await {
            Ok(()) => retention::dropped(&app.db, view.run).await?,
            Err(error) => {
                later(&error);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What works less well there works less well here (law 12).
async fn watch(app: &App) -> sqlx::Result<()> {
    let ready = app.binhost().await?.ready().await;
    app.metrics.disk_free(Disk::Binhost, ready.as_ref().ok().and_then(|ready| ready.disk_free_bytes));
    let alarm = match ready {
        Ok(ready) if ready.degraded.is_empty() => None,
        Ok(ready) => Some(format!("the binhost is degraded: {}", ready.degraded.join("; "))),
        Err(error) => Some(format!("the binhost cannot work: {error}")),
    };
    app.alarms.set(Kind::Binhost, alarm.as_deref());
    Ok(())
}

async fn generations(app: &App) -> sqlx::Result<()> {
    for (target, name) in retention::targets(&app.db).await? {
        let kept = match app.binhost().await?.kept(&name).await {
            Ok(kept) => kept,
            Err(error) => {
                later(&error);
                return Ok(());
            }
        };
        learn::from(app, target, &name, &kept).await?;
        let kept: Vec<_> = kept.into_iter().map(|kept| kept.number).collect();
        for generation in retention::removed(&app.db, target, &name, &kept).await? {
            info!(target.name = %name, %generation, "the binhost no longer keeps a generation");
        }
    }
    Ok(())
}

/// Says which bundles are needed.
pub async fn bundles(app: &App) -> sqlx::Result<()> {
    let needed = definitions::needed_bundles(&app.db).await?;
    if let Err(error) = app.binhost().await?.retain_bundles(needed).await {
        later(&error);
    }
    Ok(())
}

fn later(error: &ClientError) {
    warn!(%error, "the binhost cannot be asked at the moment");
}
