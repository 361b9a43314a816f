//! From a finished queue to a current generation (DESIGN 5.7). Each step writes its intent before it acts, and is
//! safe to repeat: the maintenance loop calls [`advance`] until the run is over.

use crate::app::App;
use crate::db;
use crate::db::gates;
use crate::db::generations::{self, Becoming};
use crate::db::runs::{self, RunError};
use crate::lost;
use crate::machine::run::Transition;
use crate::{mend, republish};
use sqlx::{Postgres, Transaction};
use swarm_protocol::Code;
use swarm_protocol::admin::Counts;
use swarm_protocol::binhost::Promote;
use swarm_protocol::client::ClientError;
use swarm_protocol::id::RunId;
use swarm_protocol::state::RunState;
use tracing::{info, warn};

/// Takes every open run as far as it can go now.
pub async fn advance(app: &App) -> Result<(), RunError> {
    republish::advance(app).await?;
    for run in runs::in_state(&app.db, RunState::Building).await? {
        settle(app, run).await?;
    }
    mend::older(app).await?;
    for run in generations::unprepared(&app.db).await? {
        prepare(app, run).await?;
    }
    if !app.gate.required {
        for run in gates::waiting(&app.db).await? {
            pass(app, run).await?;
        }
    }
    for run in runs::in_state(&app.db, RunState::Promoting).await? {
        switch(app, run).await?;
    }
    Ok(())
}

/// A run in *building* in which nothing is live or buildable is validated, or frozen when something is missing.
async fn settle(app: &App, run: RunId) -> Result<(), RunError> {
    // Asked without the lock, which it only spares; what counts is counted under it.
    if runs::has_work(&app.db, run).await? {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    runs::lock(&mut tx, run).await?;
    if db::republish::holds_up(&mut tx, run).await? {
        // What the run will replace is being switched just now.
        return Ok(());
    }
    let counts = runs::counts(&mut *tx, run).await?;
    let outcome = match verdict(&counts) {
        Verdict::Wait => Ok(()),
        Verdict::Validate => match generations::same_as_current(&mut tx, run).await? {
            Some(number) => {
                let reason = format!("nothing changed since generation {number}");
                info!(%run, reason, "a run has nothing to publish");
                runs::apply(&mut tx, run, Transition::Unchanged, Some(&reason)).await.map(drop)
            }
            None => generations::freeze(&mut tx, run).await,
        },
        Verdict::Freeze(reason) => {
            warn!(%run, reason, "a run is frozen");
            runs::apply(&mut tx, run, Transition::Freeze, Some(&reason)).await.map(drop)
        }
    };
    commit(tx, outcome).await.map(drop)
}

/// Commits what `outcome` wrote. `false`: another orchestrator, or a person, was faster, and nothing is written.
async fn commit(tx: Transaction<'_, Postgres>, outcome: Result<(), RunError>) -> Result<bool, RunError> {
    match outcome {
        Ok(()) => tx.commit().await.map(|()| true).map_err(RunError::from),
        Err(RunError::State(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

enum Verdict {
    Wait,
    Validate,
    Freeze(String),
}

fn verdict(counts: &Counts) -> Verdict {
    if counts.delegated > 0 || counts.needed > 0 {
        Verdict::Wait
    } else if counts.received == counts.total {
        Verdict::Validate
    } else {
        let Counts { quarantined, blocked, .. } = counts;
        Verdict::Freeze(format!(
            "{quarantined} quarantined, {blocked} blocked behind them, nothing left to build"
        ))
    }
}

async fn prepare(app: &App, run: RunId) -> Result<(), RunError> {
    let Some(becoming) = generations::becoming(&app.db, run).await? else { return Ok(()) };
    let binhost = app.binhost().await?;
    match binhost.prepare(&becoming.target, becoming.number, &becoming.content).await {
        Ok(prepared) => {
            let mut tx = app.db.begin().await?;
            let mut outcome = generations::prepared(&mut tx, run, becoming.id, prepared.timestamp).await;
            let judged = app.gate.required && gates::judges(&mut *tx, run).await?;
            if outcome.is_ok() && !judged {
                outcome = generations::passed(&mut tx, run).await;
            }
            if commit(tx, outcome).await? && judged {
                info!(%run, generation = %becoming.number, "a generation waits for the gate");
                app.wake.all();
            }
            Ok(())
        }
        Err(error) => refused_or_later(app, run, &becoming, &error).await,
    }
}

/// Nobody is to judge it: the configuration has changed since it was prepared.
async fn pass(app: &App, run: RunId) -> Result<(), RunError> {
    let mut tx = app.db.begin().await?;
    let outcome = generations::passed(&mut tx, run).await;
    commit(tx, outcome).await.map(drop)
}

async fn switch(app: &App, run: RunId) -> Result<(), RunError> {
    let Some(becoming) = generations::becoming(&app.db, run).await? else { return Ok(()) };
    let binhost = app.binhost().await?;
    let request = Promote { number: becoming.number, expect: becoming.expects };
    match binhost.promote(&becoming.target, &request).await {
        Ok(_) => {
            let mut tx = app.db.begin().await?;
            let outcome = generations::promoted(&mut tx, run, &becoming).await;
            if commit(tx, outcome).await? {
                info!(%run, target.name = %becoming.target, generation = %becoming.number, "a generation is current");
            }
            Ok(())
        }
        Err(error) => refused_or_later(app, run, &becoming, &error).await,
    }
}

/// Whether the binhost would say the same tomorrow.
#[must_use]
pub fn is_refusal(error: &ClientError) -> bool {
    let refusals = [
        Code::BrokenSet,
        Code::NotCurrent,
        Code::Conflict,
        Code::NotFound,
        Code::InvalidValue,
        Code::PathUsed,
        Code::Gone,
    ];
    error.code().is_some_and(|code| refusals.contains(&code))
}

/// A refusal fails the run; anything else is tried again at the next turn.
async fn refused_or_later(
    app: &App,
    run: RunId,
    becoming: &Becoming,
    error: &ClientError,
) -> Result<(), RunError> {
    if !is_refusal(error) {
        warn!(%run, %error, "the binhost cannot be asked at the moment");
        return Ok(());
    }
    warn!(%run, %error, "the binhost refused a generation");
    lost::note(app, &becoming.target, error, &becoming.content.artifacts).await?;
    let mut tx = app.db.begin().await?;
    let outcome = generations::refused(&mut tx, run, becoming.id, &error.to_string(), error.findings()).await;
    commit(tx, outcome).await.map(drop)
}
