//! Locks and reads what a transition is judged by: run, drone, package, attempt, in this order.

use super::{ApplyError, Note, Subject};
use crate::db::rules::Rules;
use crate::db::{overdue, sessions};
use crate::machine::package::{Attempt, Cell, Refusal, Transition};
use crate::machine::retry::PastFailure;
use sqlx::PgConnection;
use swarm_protocol::Digest;
use swarm_protocol::id::{AttemptId, AttemptToken, DroneId, PackageId, RunId, SessionId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState, RunState};

/// The rows that a transition touches, locked.
pub(super) struct Locked {
    /// The package.
    pub(super) package: PackageId,
    /// Its run.
    pub(super) run: RunId,
    /// What the machine judges by.
    pub(super) cell: Cell,
}

/// Locks the rows and reads them.
pub(super) async fn lock(
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
        Transition::Claim { .. } | Transition::Steal { .. } => cell_unless_busy(tx, package, run.id).await?,
        _ => cell_waiting(tx, package, run.id).await?,
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
/// A claimant must be online and let in, and the session that it claims in must be the open one.
async fn lock_drone(
    tx: &mut PgConnection,
    package: PackageId,
    attempt: Option<AttemptId>,
    transition: &Transition,
    note: Note<'_>,
) -> Result<(), ApplyError> {
    if let Transition::Claim { drone } | Transition::Steal { drone } = transition {
        let may_claim = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM sessions WHERE id = $2 AND drone_id = $1 AND ended_at IS NULL) AS "open!"
               FROM drones WHERE id = $1 AND state = 'online' AND NOT awaits_approval FOR SHARE"#,
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

/// The package, in the run that is locked. A successor may have taken it over before the run's lock was had: try again.
async fn cell_waiting(tx: &mut PgConnection, package: PackageId, run: RunId) -> Result<Cell, ApplyError> {
    let row = sqlx::query_as!(
        PackageRow,
        r#"SELECT state AS "state: PackageState", unmet, COALESCE(not_before > swarm_now(), false) AS "pausing!"
           FROM packages WHERE id = $1 AND run_id = $2 FOR UPDATE"#,
        package.0,
        run.0
    );
    Ok(row.fetch_optional(tx).await?.ok_or(ApplyError::Busy)?.into())
}

async fn cell_unless_busy(tx: &mut PgConnection, package: PackageId, run: RunId) -> Result<Cell, ApplyError> {
    let row = sqlx::query_as!(
        PackageRow,
        r#"SELECT state AS "state: PackageState", unmet, COALESCE(not_before > swarm_now(), false) AS "pausing!"
           FROM packages WHERE id = $1 AND run_id = $2 FOR UPDATE SKIP LOCKED"#,
        package.0,
        run.0
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
