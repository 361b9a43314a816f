//! Takes republished generations to the clients: the binhost prepares, then switches. Every step may be repeated by any
//! orchestrator; the maintenance loop calls [`advance`].

use crate::app::App;
use crate::db::generations::Becoming;
use crate::db::{republish, targets};
use crate::lost;
use crate::promote;
use crate::toolchain;
use swarm_protocol::binhost::Promote;
use swarm_protocol::client::ClientError;
use swarm_protocol::state::GenerationState;
use tracing::{info, warn};

/// Takes every generation that is on its way as far as it can go now.
pub async fn advance(app: &App) -> sqlx::Result<()> {
    for (state, becoming) in republish::all_under_way(&app.db).await? {
        let outcome = match state {
            GenerationState::Preparing => prepare(app, &becoming).await?,
            _ => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => switch(app, &becoming).await?,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            refused_or_later(app, &becoming, &error).await?;
        }
    }
    Ok(())
}

async fn prepare(app: &App, becoming: &Becoming) -> sqlx::Result<Result<(), ClientError>> {
    let answer = app.binhost().await?.prepare(&becoming.target, becoming.number, &becoming.content).await;
    if answer.is_ok() {
        republish::prepared(&app.db, becoming.id).await?;
    }
    Ok(answer.map(drop))
}

async fn switch(app: &App, becoming: &Becoming) -> sqlx::Result<Result<(), ClientError>> {
    let request = Promote { number: becoming.number, expect: becoming.expects };
    let answer = app.binhost().await?.promote(&becoming.target, &request).await;
    if answer.is_ok() {
        let mut tx = app.db.begin().await?;
        let target = targets::id(&mut *tx, &becoming.target).await?.ok_or(sqlx::Error::RowNotFound)?;
        targets::lock(&mut tx, target).await?;
        if republish::promoted(&mut tx, becoming).await? {
            toolchain::rolled_back(&mut tx, (target, &becoming.target)).await?;
            tx.commit().await?;
            info!(target.name = %becoming.target, generation = %becoming.number, "an earlier set is current again");
            // What waited for the switch goes on.
            app.wake.all();
        }
    }
    Ok(answer.map(drop))
}

async fn refused_or_later(app: &App, becoming: &Becoming, error: &ClientError) -> sqlx::Result<()> {
    if !promote::is_refusal(error) {
        warn!(generation = %becoming.number, %error, "the binhost cannot be asked at the moment");
        return Ok(());
    }
    warn!(target.name = %becoming.target, generation = %becoming.number, %error, "the binhost refused a generation");
    lost::note(app, &becoming.target, error, &becoming.content.artifacts).await?;
    let mut tx = app.db.begin().await?;
    republish::refuse(&mut tx, becoming, &error.to_string()).await?;
    tx.commit().await
}
