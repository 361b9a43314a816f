//! Applies the package machine's transitions: the only code that writes a package's or an attempt's state (law 3).
//!
//! Lock order: run (shared), drone, package, attempt (guarded by the package), dependents by id. What the machine
//! decides about is read under these locks; what it returns is written in the same transaction, with one event.

mod lock;
mod recount;
mod spread;
mod write;

use super::RetryableError;
use super::attempts;
use super::drones;
use super::events::{self, NewEvent};
use super::overdue::{Listened, Overdue};
use super::rules::Rules;
use crate::machine::package::{self, AttemptChange, Change, Refusal, Spread, Step, Transition};
use lock::{Locked, lock};
pub use recount::recount;
use sqlx::PgConnection;
use swarm_protocol::binhost::Staged;
use swarm_protocol::drone::Usage;
use swarm_protocol::id::{AttemptId, DroneId, PackageId, RunId, SessionId};
use swarm_protocol::state::PackageState;

/// What a transition is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// A package, with its live attempt if there is one.
    Package(PackageId),
    /// An attempt, live or ended.
    Attempt(AttemptId),
}

/// What goes into the rows beside the states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note<'a> {
    /// A sentence on why.
    pub reason: Option<&'a str>,
    /// The log's telling lines.
    pub excerpt: Option<&'a str>,
    /// The build wanted more memory than it got.
    pub out_of_memory: bool,
    /// The size of the completed artifact.
    pub built_bytes: Option<u64>,
    /// What the attempt used on its drone.
    pub usage: Option<&'a Usage>,
    /// What the binhost staged, and for which run.
    pub staged: Option<(RunId, &'a Staged)>,
    /// Who reports: a drone speaks only for its own attempts (law 11).
    pub speaker: Option<DroneId>,
    /// Why an attempt is taken from its drone, and by which time: checked again under the lock.
    pub overdue: Option<(Overdue, Listened)>,
    /// For whom a new attempt begins: the session and its claim request.
    pub claimant: Option<(SessionId, i64)>,
}

/// A transition that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// What the machine said.
    pub step: Step,
    /// The package.
    pub package: PackageId,
    /// Its run.
    pub run: RunId,
    /// The attempt that began.
    pub begun: Option<AttemptId>,
}

impl Applied {
    /// True when packages may have become claimable.
    #[must_use]
    pub fn wakes(&self) -> bool {
        let Step::Change(change) = self.step else { return false };
        change.state == PackageState::Needed || change.spread == Spread::Received
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is no such package or attempt.
    #[error("there is no such attempt or package")]
    NotFound,
    /// Another transaction holds the package; choose again.
    #[error("another transaction holds the package")]
    Busy,
    /// The machine refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RetryableError for ApplyError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if super::is_retryable(error))
    }
}

/// Applies `transition` within the caller's transaction.
pub async fn apply(
    tx: &mut PgConnection,
    rules: &Rules,
    subject: Subject,
    transition: &Transition,
    note: Note<'_>,
) -> Result<Applied, ApplyError> {
    let locked = lock(tx, rules, subject, transition, note).await?;
    let step = package::step(&locked.cell, transition, &rules.policy)?;
    let mut applied = Applied { step, package: locked.package, run: locked.run, begun: None };
    let Step::Change(change) = step else { return Ok(applied) };
    if let Some(attempt) = locked.cell.attempt {
        write::attempt(tx, attempt, &change, transition, note).await?;
        if let Some(usage) = note.usage {
            attempts::used(tx, attempt.id, usage).await?;
        }
        if let AttemptChange::End(outcome, class) = change.attempt {
            drones::count_outcome(tx, attempt.drone, locked.package, outcome, class, rules).await?;
        }
    }
    let artifact = match note.staged {
        Some((run, staged)) if change.state == PackageState::Received => {
            // A successor took the package over meanwhile: it must be staged there as well.
            if run != locked.run {
                return Err(ApplyError::Busy);
            }
            Some(write::artifact(tx, &locked, staged).await?)
        }
        _ => None,
    };
    // An attempt that was none of its package's ends without a trace in the package's row.
    if *transition != Transition::Reconcile || change.state != locked.cell.state {
        write::package(tx, locked.package, &change, transition, artifact, note).await?;
    }
    if let Some(attempt) = locked.cell.attempt.filter(|_| note.out_of_memory) {
        write::needs_more_memory(tx, locked.package, attempt.id).await?;
    }
    if let Some(begin) = change.begin {
        applied.begun = Some(write::begin(tx, &locked, begin, note).await?);
    }
    events::append(
        tx,
        NewEvent {
            kind: change.event,
            run: Some(locked.run),
            package: Some(locked.package),
            attempt: applied.begun.or(locked.cell.attempt.map(|attempt| attempt.id)),
            drone: change.begin.map(|begin| begin.drone).or(locked.cell.attempt.map(|attempt| attempt.drone)),
            data: event_data(&locked, &change, applied.begun, note),
        },
    )
    .await?;
    spread::spread(tx, locked.run, locked.package, change.spread).await?;
    Ok(applied)
}

fn event_data(
    locked: &Locked,
    change: &Change,
    begun: Option<AttemptId>,
    note: Note<'_>,
) -> serde_json::Value {
    let mut data = serde_json::Map::new();
    if let AttemptChange::End(outcome, class) = change.attempt {
        data.insert("outcome".into(), outcome.as_str().into());
        data.extend(class.map(|class| ("class".into(), class.as_str().into())));
    }
    if let (Some(_), Some(former)) = (begun, locked.cell.attempt) {
        data.insert("former".into(), former.id.0.into());
    }
    data.extend(note.reason.map(|reason| ("reason".into(), reason.into())));
    data.into()
}
