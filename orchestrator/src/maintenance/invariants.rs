//! Looks after the queue's invariants: reports what is broken, and mends what can be mended safely.
//!
//! | broken | what follows |
//! |---|---|
//! | counters, attempts | the run's are counted anew, while nothing else moves in it |
//! | holder, claim | [`Transition::Reconcile`] |
//! | pause | [`Transition::Retry`]: it was begun by a clock that was ahead |
//! | way forward | the run is frozen: a person decides |
//! | complete | nothing: the gate and the binhost refuse such a set |
//!
//! It is written down before it is mended, so that a crash in between hides nothing.

use crate::alarms::Kind;
use crate::app::App;
use crate::db::invariants::{self, Breach, Invariant};
use crate::db::runs::{self, RunError};
use crate::db::transition::{self, ApplyError, Note, Subject};
use crate::machine;
use crate::machine::package::Transition;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;
use swarm_protocol::id::RunId;
use tokio::time::Instant;
use tracing::error;

/// Who asks of the queue is told for so long of a breach that was mended.
const REMEMBERED: Duration = Duration::from_hours(1);

/// What was found so far; lost with the process, which then reports once more what still stands.
#[derive(Default)]
pub(super) struct Watch {
    standing: BTreeSet<Breach>,
    last: Option<(Instant, Breach)>,
}

/// Looks, and mends.
pub(super) async fn look_after(app: &App, watch: &mut Watch) -> Result<()> {
    let longest = app.rules.policy.longest_pause;
    let found = invariants::breaches(&app.db, longest).await?;
    let new: Vec<_> = found.iter().filter(|breach| !watch.standing.contains(breach)).cloned().collect();
    report(app, &new).await?;
    if let Some(breach) = new.last() {
        watch.last = Some((Instant::now(), breach.clone()));
    }
    watch.standing = if found.is_empty() {
        BTreeSet::new()
    } else {
        mend(app, &found).await?;
        invariants::breaches(&app.db, longest).await?.into_iter().collect()
    };
    app.alarms.set(Kind::Invariants, watch.sentence().as_deref());
    Ok(())
}

async fn report(app: &App, new: &[Breach]) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    for breach in new {
        error!(run = %breach.run, invariant = breach.invariant.as_str(), "an invariant is broken: {}", breach.text);
        app.metrics.breach(breach.invariant);
        invariants::found(&mut tx, breach).await?;
    }
    tx.commit().await
}

async fn mend(app: &App, found: &[Breach]) -> Result<()> {
    let miscounted = |breach: &&Breach| matches!(breach.invariant, Invariant::Counters | Invariant::Attempts);
    let miscounted: BTreeSet<RunId> = found.iter().filter(miscounted).map(|breach| breach.run).collect();
    for run in miscounted {
        let mut tx = app.db.begin().await?;
        transition::recount(&mut tx, run).await?;
        tx.commit().await?;
        app.wake.all();
    }
    for breach in found {
        match (breach.invariant, breach.package) {
            (Invariant::Holder | Invariant::Claim, Some(package)) => {
                apply(app, Subject::Package(package), &Transition::Reconcile, &breach.text).await?;
            }
            (Invariant::Pause, Some(package)) => {
                apply(app, Subject::Package(package), &Transition::Retry, &breach.text).await?;
            }
            (Invariant::WayForward, _) => freeze(app, breach.run, &breach.text).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn apply(app: &App, subject: Subject, transition: &Transition, reason: &str) -> Result<(), ApplyError> {
    let note = Note { reason: Some(reason), ..Note::default() };
    match app.apply(subject, transition, note).await {
        Ok(_) | Err(ApplyError::Refused(_) | ApplyError::Busy | ApplyError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn freeze(app: &App, run: RunId, reason: &str) -> Result<(), RunError> {
    let mut tx = app.db.begin().await?;
    match runs::apply(&mut tx, run, machine::run::Transition::Freeze, Some(reason)).await {
        Ok(_) => Ok(tx.commit().await?),
        // It ended meanwhile.
        Err(RunError::State(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Watch {
    fn sentence(&self) -> Option<String> {
        let say = |breach: &Breach, how: &str| {
            format!("an invariant of the queue {how}: {} ({})", breach.text, breach.invariant.as_str())
        };
        let more = self.standing.len().saturating_sub(1);
        let others = if more > 0 { format!(", and {more} more") } else { String::new() };
        let standing = self.standing.first().map(|breach| say(breach, "is broken") + &others);
        let mended = self.last.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED);
        standing.or_else(|| mended.map(|(_, breach)| say(breach, "was broken and is mended")))
    }
}
