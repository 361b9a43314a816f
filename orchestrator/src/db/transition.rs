//! Applies the package machine's transitions: the only code that writes a package's or an attempt's state (law 3).
//!
//! Lock order: run (shared), drone, package, attempt (guarded by the package), dependents by id. What the machine
//! decides about is read under these locks; what it returns is written in the same transaction, with one event.

use super::RetryableError;
use super::events::{self, NewEvent};
use super::overdue::{self, Listened, Overdue};
use super::{drones, sessions};
use crate::machine::package::{
    self, Attempt, AttemptChange, Begin, Cell, Change, Refusal, Spread, Step, Transition,
};
use crate::machine::retry::{PastFailure, Policy};
use sqlx::PgConnection;
use swarm_protocol::Digest;
use swarm_protocol::binhost::Staged;
use swarm_protocol::id::{AttemptId, AttemptToken, DroneId, PackageId, RunId, SessionId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState, RunState};

mod spread;

/// The rules that transitions are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When a package is retried and when quarantined.
    pub policy: Policy,
    /// Failures in a row that ground a drone.
    pub drone_failures: i32,
    /// How long a drone stays grounded.
    pub grounded_seconds: u32,
    /// How long a drone may be silent.
    pub grace_seconds: u32,
    /// How long a build may show no progress.
    pub stall_seconds: u32,
}

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
    /// The size of the completed artifact.
    pub built_bytes: Option<u64>,
    /// What the binhost staged.
    pub staged: Option<&'a Staged>,
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

/// The rows that a transition touches, locked.
struct Locked {
    package: PackageId,
    run: RunId,
    cell: Cell,
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
        write_attempt(tx, attempt, &change, transition, note).await?;
        if let AttemptChange::End(outcome, _) = change.attempt {
            drones::count_outcome(tx, attempt.drone, outcome, rules).await?;
        }
    }
    let artifact = match note.staged {
        Some(staged) if change.state == PackageState::Received => {
            Some(write_artifact(tx, &locked, staged).await?)
        }
        _ => None,
    };
    write_package(tx, locked.package, &change, transition, artifact, note).await?;
    if let Some(begin) = change.begin {
        applied.begun = Some(write_begin(tx, &locked, begin, note).await?);
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

async fn lock(
    tx: &mut PgConnection,
    rules: &Rules,
    subject: Subject,
    transition: &Transition,
    note: Note<'_>,
) -> Result<Locked, ApplyError> {
    let (package, attempt) = match subject {
        Subject::Package(package) => (package, None),
        Subject::Attempt(attempt) => {
            let package = sqlx::query_scalar!(
                r#"SELECT package_id AS "id: PackageId" FROM attempts WHERE id = $1"#,
                attempt.0
            );
            (package.fetch_optional(&mut *tx).await?.ok_or(ApplyError::NotFound)?, Some(attempt))
        }
    };
    let run = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", r.state AS "state: RunState" FROM runs r
           WHERE r.id = (SELECT run_id FROM packages WHERE id = $1) FOR SHARE"#,
        package.0
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(ApplyError::NotFound)?;
    lock_drone(tx, package, attempt, transition, note).await?;
    let mut cell = match transition {
        Transition::Claim { .. } => cell_unless_busy(tx, package).await?,
        _ => cell_waiting(tx, package).await?,
    };
    cell.run_builds = run.state == RunState::Building;
    cell.attempt = read_attempt(tx, package, attempt).await?;
    recheck(tx, rules, &cell, note).await?;
    if judges_failures(transition) {
        cell.failures = failures(tx, package).await?;
    }
    Ok(Locked { package, run: run.id, cell })
}

/// Locks the drone whose right or record the transition is about: before the package, so that all lock in one order.
/// A claimant must be online, and the session that it claims in must be the open one.
async fn lock_drone(
    tx: &mut PgConnection,
    package: PackageId,
    attempt: Option<AttemptId>,
    transition: &Transition,
    note: Note<'_>,
) -> Result<(), ApplyError> {
    if let Transition::Claim { drone } = transition {
        let may_claim = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM sessions WHERE id = $2 AND drone_id = $1 AND ended_at IS NULL) AS "open!"
               FROM drones WHERE id = $1 AND state = 'online' FOR SHARE"#,
            drone.0,
            note.claimant.map(|(session, _)| session.0)
        );
        let may_claim = may_claim.fetch_optional(tx).await? == Some(true);
        return if may_claim { Ok(()) } else { Err(Refusal::NotReady.into()) };
    }
    if let Transition::Regain { session } = transition {
        let open = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND ended_at IS NULL) AS "open!"
               FROM drones WHERE id = (SELECT drone_id FROM sessions WHERE id = $1) FOR SHARE"#,
            session.0
        );
        let open = open.fetch_optional(tx).await? == Some(true);
        return if open { Ok(()) } else { Err(Refusal::Stale.into()) };
    }
    if judges_failures(transition) || matches!(transition, Transition::Receive) {
        sqlx::query!(
            "SELECT FROM drones WHERE id = (
                 SELECT drone_id FROM attempts
                 WHERE CASE WHEN $2::bigint IS NULL THEN package_id = $1 AND phase <> 'ended' ELSE id = $2 END)
             FOR NO KEY UPDATE",
            package.0,
            attempt.map(|attempt| attempt.0)
        )
        .fetch_optional(tx)
        .await?;
    }
    Ok(())
}

/// What was true when the transition was decided, without a lock, must be true under it.
async fn recheck(
    tx: &mut PgConnection,
    rules: &Rules,
    cell: &Cell,
    note: Note<'_>,
) -> Result<(), ApplyError> {
    let Some(attempt) = cell.attempt else { return Ok(()) };
    // A heartbeat that came since saves the attempt (law 4).
    if let Some((cause, listened)) = note.overdue
        && overdue::of(&mut *tx, rules, attempt.id, listened).await? != Some(cause)
    {
        return Err(Refusal::NotReady.into());
    }
    // A drone speaks only for its own attempts (law 11), and only in its open session (law 6): what a former session
    // held ends in transactions that may still be on their way.
    let unaccepted = matches!(attempt.phase, AttemptPhase::Held | AttemptPhase::Building);
    if let Some(speaker) = note.speaker
        && (speaker != attempt.drone
            || (unaccepted && !sessions::is_open(&mut *tx, speaker, attempt.session).await?))
    {
        return Err(Refusal::Stale.into());
    }
    Ok(())
}

const fn judges_failures(transition: &Transition) -> bool {
    matches!(
        transition,
        Transition::Fail { .. }
            | Transition::Refuse { .. }
            | Transition::Reclaim
            | Transition::Stall
            | Transition::Lose
    )
}

struct PackageRow {
    state: PackageState,
    unmet: i32,
    pausing: bool,
}

impl From<PackageRow> for Cell {
    fn from(row: PackageRow) -> Self {
        Self {
            run_builds: false,
            state: row.state,
            unmet: row.unmet,
            pausing: row.pausing,
            attempt: None,
            failures: Vec::new(),
        }
    }
}

async fn cell_waiting(tx: &mut PgConnection, package: PackageId) -> Result<Cell, ApplyError> {
    let row = sqlx::query_as!(
        PackageRow,
        r#"SELECT state AS "state: PackageState", unmet, COALESCE(not_before > swarm_now(), false) AS "pausing!"
           FROM packages WHERE id = $1 FOR UPDATE"#,
        package.0
    );
    Ok(row.fetch_optional(tx).await?.ok_or(ApplyError::NotFound)?.into())
}

async fn cell_unless_busy(tx: &mut PgConnection, package: PackageId) -> Result<Cell, ApplyError> {
    let row = sqlx::query_as!(
        PackageRow,
        r#"SELECT state AS "state: PackageState", unmet, COALESCE(not_before > swarm_now(), false) AS "pausing!"
           FROM packages WHERE id = $1 FOR UPDATE SKIP LOCKED"#,
        package.0
    );
    Ok(row.fetch_optional(tx).await?.ok_or(ApplyError::Busy)?.into())
}

async fn read_attempt(
    tx: &mut PgConnection,
    package: PackageId,
    attempt: Option<AttemptId>,
) -> sqlx::Result<Option<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"SELECT id AS "id: AttemptId", phase AS "phase: AttemptPhase", outcome AS "outcome: Outcome",
                  drone_id AS "drone: DroneId", session_id AS "session: SessionId", token AS "token: AttemptToken",
                  built AS "built: Digest"
           FROM attempts
           WHERE CASE WHEN $2::bigint IS NULL THEN package_id = $1 AND phase <> 'ended' ELSE id = $2 END"#,
        package.0,
        attempt.map(|attempt| attempt.0)
    )
    .fetch_optional(tx)
    .await
}

/// What the retry rule counts: failures, and attempts that drones lost.
async fn failures(tx: &mut PgConnection, package: PackageId) -> sqlx::Result<Vec<PastFailure>> {
    sqlx::query_as!(
        PastFailure,
        r#"SELECT drone_id AS "drone: DroneId", COALESCE(class, 'infrastructure') AS "class!: FailureClass"
           FROM attempts a JOIN packages p ON p.id = a.package_id
           WHERE p.id = $1 AND a.number > p.forgiven AND outcome IN ('failed', 'reclaimed', 'lost')
             -- A drone that was away and went on has cost nothing, however often.
             AND NOT EXISTS (SELECT FROM attempts later WHERE later.package_id = p.id AND later.id > a.id
                             AND later.continues = COALESCE(a.continues, a.id))
           ORDER BY number"#,
        package.0
    )
    .fetch_all(tx)
    .await
}

async fn write_attempt(
    tx: &mut PgConnection,
    attempt: Attempt,
    change: &Change,
    transition: &Transition,
    note: Note<'_>,
) -> sqlx::Result<()> {
    let built =
        if let Transition::Complete { built, .. } = transition { Some(built.to_string()) } else { None };
    match change.attempt {
        AttemptChange::Keep => Ok(()),
        AttemptChange::Move(phase) => sqlx::query!(
            "UPDATE attempts SET phase = $2,
                 started_at = CASE WHEN $2 = 'building'::attempt_phase THEN swarm_now() ELSE started_at END,
                 completed_at = CASE WHEN $2 = 'accepting'::attempt_phase THEN swarm_now() ELSE completed_at END,
                 built = COALESCE($3, built), built_bytes = COALESCE($4, built_bytes)
             WHERE id = $1",
            attempt.id.0,
            phase as AttemptPhase,
            built,
            note.built_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
        )
        .execute(tx)
        .await
        .map(drop),
        AttemptChange::End(outcome, class) => sqlx::query!(
            "UPDATE attempts SET phase = 'ended', outcome = $2, class = $3, reason = $4, excerpt = $5,
                 ended_at = swarm_now() WHERE id = $1",
            attempt.id.0,
            outcome as Outcome,
            class as Option<FailureClass>,
            note.reason,
            note.excerpt
        )
        .execute(tx)
        .await
        .map(drop),
    }
}

async fn write_package(
    tx: &mut PgConnection,
    package: PackageId,
    change: &Change,
    transition: &Transition,
    artifact: Option<i64>,
    note: Note<'_>,
) -> sqlx::Result<()> {
    let reason = (change.state == PackageState::Quarantined).then_some(note.reason.unwrap_or("it failed"));
    sqlx::query!(
        "UPDATE packages SET state = $2, attempts = attempts + $3, artifact_id = $4, reason = $5,
             not_before = CASE WHEN $6::float8 IS NULL THEN NULL ELSE swarm_now() + make_interval(secs => $6) END,
             forgiven = CASE WHEN $7 THEN attempts ELSE forgiven END
         WHERE id = $1",
        package.0,
        change.state as PackageState,
        i32::from(change.begin.is_some()),
        artifact,
        reason,
        change.pause.map(|pause| pause.as_secs_f64()),
        matches!(transition, Transition::Release)
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_artifact(tx: &mut PgConnection, locked: &Locked, staged: &Staged) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO artifacts (target_id, epoch_id, attempt_id, cpv, build_id, built, published, size, path)
         SELECT r.target_id, r.epoch_id, a.id, p.cpv, a.build_id, a.built, $2, $3, $4
         FROM attempts a JOIN packages p ON p.id = a.package_id JOIN runs r ON r.id = p.run_id
         WHERE a.id = $1 RETURNING id",
        locked.cell.attempt.map(|attempt| attempt.id.0),
        staged.published.to_string(),
        i64::try_from(staged.size).unwrap_or(i64::MAX),
        staged.path
    )
    .fetch_one(tx)
    .await
}

async fn write_begin(
    tx: &mut PgConnection,
    locked: &Locked,
    begin: Begin,
    note: Note<'_>,
) -> Result<AttemptId, ApplyError> {
    let (session, request) = note.claimant.ok_or(ApplyError::NotFound)?;
    let former = locked.cell.attempt.filter(|_| begin.keeps_build_id).map(|attempt| attempt.id.0);
    let build_id = match former {
        Some(former) => {
            sqlx::query_scalar!("SELECT build_id FROM attempts WHERE id = $1", former)
                .fetch_one(&mut *tx)
                .await?
        }
        None => next_build_id(tx, locked.package).await?,
    };
    let attempt = sqlx::query_scalar!(
        r#"INSERT INTO attempts (package_id, number, drone_id, session_id, claim_request, continues, token, build_id,
                                 phase, started_at)
           -- A build that goes on keeps its claim request: an older heartbeat knows of neither.
           SELECT id, attempts, $2, $3, COALESCE((SELECT claim_request FROM attempts WHERE id = $5), $4),
                  (SELECT COALESCE(continues, id) FROM attempts WHERE id = $5), $6, $7, $8,
                  CASE WHEN $8 = 'held'::attempt_phase THEN NULL ELSE swarm_now() END
           FROM packages WHERE id = $1
           RETURNING id AS "id: AttemptId""#,
        locked.package.0,
        begin.drone.0,
        session.0,
        request,
        former,
        AttemptToken::random().0,
        build_id,
        begin.phase as AttemptPhase
    )
    .fetch_one(tx)
    .await?;
    Ok(attempt)
}

async fn next_build_id(tx: &mut PgConnection, package: PackageId) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        "INSERT INTO build_ids (target_id, cpv, last)
         SELECT r.target_id, p.cpv, 1 FROM packages p JOIN runs r ON r.id = p.run_id WHERE p.id = $1
         ON CONFLICT (target_id, cpv) DO UPDATE SET last = build_ids.last + 1
         RETURNING last",
        package.0
    )
    .fetch_one(tx)
    .await
}
