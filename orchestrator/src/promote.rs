//! From a finished queue to a current generation (DESIGN 5.7). Each step writes its intent before it acts, and is
//! safe to repeat: the maintenance loop calls [`advance`] until the run is over.

use crate::app::App;
use crate::db;
use crate::db::gates;
use crate::db::generations::{self, Becoming};
use crate::db::runs::{self, RunError, Unplanned};
use crate::db::targets;
use crate::learn;
use crate::lost;
use crate::machine::run::Transition;
use crate::{mend, republish, toolchain};
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
    let Unplanned { target, name, .. } = runs::unplanned(&app.db, run).await?.ok_or(RunError::NotFound)?;
    // What it becomes gets a number after all that the binhost has. A binhost that is away holds nothing up.
    if matches!(verdict(&runs::counts(&app.db, run).await?), Verdict::Validate) {
        learn::ask(app, target, &name).await?;
    }
    let mut tx = app.db.begin().await?;
    let open = runs::lock_open(&mut tx, target).await?;
    if db::republish::holds_up(&mut tx, run).await? {
        // What the run will replace is being switched just now.
        return Ok(());
    }
    let counts = runs::counts(&mut *tx, run).await?;
    let outcome = match verdict(&counts) {
        Verdict::Wait => Ok(None),
        Verdict::Validate => match generations::same_as_current(&mut tx, run).await? {
            Some(number) => {
                let reason = format!("nothing changed since generation {number}");
                info!(%run, reason, "a run has nothing to publish");
                match runs::apply(&mut tx, run, Transition::Unchanged, Some(&reason)).await {
                    Ok(_) => toolchain::promoted(&mut tx, (target, &name), &open, run).await,
                    Err(error) => Err(error),
                }
            }
            None => generations::freeze(&mut tx, run).await.map(|()| None),
        },
        Verdict::Freeze(reason) => {
            warn!(%run, reason, "a run is frozen");
            runs::apply(&mut tx, run, Transition::Freeze, Some(&reason)).await.map(|_| None)
        }
    };
    if let Some(successor) = commit(tx, outcome).await? {
        toolchain::tell(app, successor).await;
    }
    Ok(())
}

/// Commits what `outcome` wrote. `None`: another orchestrator, or a person, was faster, and nothing is written.
async fn commit<T>(
    tx: Transaction<'_, Postgres>,
    outcome: Result<T, RunError>,
) -> Result<Option<T>, RunError> {
    match outcome {
        Ok(written) => tx.commit().await.map(|()| Some(written)).map_err(RunError::from),
        Err(RunError::State(_)) => Ok(None),
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
            if commit(tx, outcome).await?.is_some() && judged {
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
            if let Some(successor) = promoted(app, run, &becoming).await? {
                info!(%run, target.name = %becoming.target, generation = %becoming.number, "a generation is current");
                toolchain::tell(app, successor).await;
            }
            Ok(())
        }
        Err(error) => refused_or_later(app, run, &becoming, &error).await,
    }
}

/// Writes that the run is promoted, and what follows from that: the run that begins, if one does. `None`: another
/// orchestrator was faster.
async fn promoted(app: &App, run: RunId, becoming: &Becoming) -> Result<Option<Option<RunId>>, RunError> {
    let mut tx = app.db.begin().await?;
    let target = targets::id(&mut *tx, &becoming.target).await?.ok_or(RunError::NotFound)?;
    // Before the run's own lock: a successor may be begun.
    let open = runs::lock_open(&mut tx, target).await?;
    let outcome = match generations::promoted(&mut tx, run, becoming).await {
        Ok(()) => toolchain::promoted(&mut tx, (target, &becoming.target), &open, run).await,
        Err(error) => Err(error),
    };
    commit(tx, outcome).await
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
