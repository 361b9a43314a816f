//! Claims: one short transaction over the rows that the scheduler named (law 1), and the messages they become.

use super::rules::Rules;
use super::transition::{self, Applied, ApplyError, Note, Subject};
use crate::machine::package::{Refusal, Transition};
use crate::scheduler::Loot;
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::drone::{Claim, Dependency, ReducedUse};
use swarm_protocol::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use swarm_protocol::id::{AttemptId, AttemptToken, BuildId, DroneId, PackageId, RunId, SessionId};
use swarm_protocol::state::AttemptPhase;
use swarm_protocol::ticket::SignedTicket;

/// What came of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// These are the drone's now. None: choose again.
    Now(Vec<AttemptId>),
    /// The request was answered before; these of its attempts still live.
    Before(Vec<AttemptId>),
}

impl Claimed {
    /// The drone's attempts.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptId] {
        match self {
            Self::Now(attempts) | Self::Before(attempts) => attempts,
        }
    }
}

/// Claims as many of `choices` as are still to be had, unless the request was answered before.
pub async fn claim(
    db: &PgPool,
    rules: &Rules,
    drone: DroneId,
    session: SessionId,
    request: i64,
    choices: &[PackageId],
) -> Result<Claimed, ApplyError> {
    let mut tx = db.begin().await?;
    // One request of a session at a time: a repeated one must see what the first one got.
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", session.0).fetch_one(&mut *tx).await?;
    if let Some(before) = of_request(&mut *tx, session, request).await? {
        return Ok(Claimed::Before(before));
    }
    let mut choices = choices.to_vec();
    choices.sort_unstable();
    let mut attempts = Vec::new();
    for package in choices {
        let note = Note { claimant: Some((session, request)), ..Note::default() };
        let claim = Transition::Claim { drone };
        match transition::apply(&mut tx, rules, Subject::Package(package), &claim, note).await {
            Ok(Applied { begun, .. }) => attempts.extend(begun),
            Err(
                ApplyError::Busy
                | ApplyError::NotFound
                | ApplyError::Refused(Refusal::State | Refusal::NotReady),
            ) => {}
            Err(error) => return Err(error),
        }
    }
    tx.commit().await?;
    Ok(Claimed::Now(attempts))
}

/// Takes what another drone holds and has not started, unless the request was answered before. Whoever is faster, the
/// victim's start or the thief, has it: the package's lock settles it (law 3), and nobody waits for that lock.
pub async fn steal(
    db: &PgPool,
    rules: &Rules,
    thief: DroneId,
    session: SessionId,
    request: i64,
    loot: Loot,
) -> Result<Claimed, ApplyError> {
    let mut tx = db.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", session.0).fetch_one(&mut *tx).await?;
    if let Some(before) = of_request(&mut *tx, session, request).await? {
        return Ok(Claimed::Before(before));
    }
    let reason = Some("an idle drone took it over");
    let note = Note { claimant: Some((session, request)), reason, ..Note::default() };
    let steal = Transition::Steal { drone: thief };
    match transition::apply(&mut tx, rules, Subject::Attempt(loot.attempt), &steal, note).await {
        Ok(Applied { begun, .. }) => {
            tx.commit().await?;
            Ok(Claimed::Now(begun.into_iter().collect()))
        }
        Err(ApplyError::Busy | ApplyError::NotFound | ApplyError::Refused(_)) => Ok(Claimed::Now(vec![])),
        Err(error) => Err(error),
    }
}

/// The attempts that a claim request brought and that still live; `None` when it has brought none yet.
pub async fn of_request(
    db: impl PgExecutor<'_>,
    session: SessionId,
    request: i64,
) -> sqlx::Result<Option<Vec<AttemptId>>> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: AttemptId", phase <> 'ended' AS "live!" FROM attempts
           WHERE session_id = $1 AND claim_request = $2 AND continues IS NULL ORDER BY id"#,
        session.0,
        request
    )
    .fetch_all(db)
    .await?;
    let live = rows.iter().filter(|row| row.live).map(|row| row.id).collect();
    Ok((!rows.is_empty()).then_some(live))
}

/// What the orchestrator adds to a claim's rows.
pub struct Grant<'a> {
    /// Signs a ticket for the attempt.
    pub ticket: &'a (dyn Fn(&TargetName, RunId, PackageId, AttemptId) -> SignedTicket + Sync),
    /// The ticket for source archives.
    pub distfiles: SignedTicket,
    /// The largest artifact in bytes.
    pub max_artifact_bytes: u64,
    /// How long the build may take.
    pub limit_seconds: u64,
}

/// A claim, and how long its package was ready before.
pub struct Given {
    /// The message.
    pub claim: Claim,
    /// From when the package could be claimed to when it was.
    pub ready_for: Duration,
}

/// The claim's message.
pub async fn message(db: &PgPool, attempt: AttemptId, grant: &Grant<'_>) -> sqlx::Result<Given> {
    let row = sqlx::query!(
        r#"SELECT a.number, a.halvings, a.token AS "token: AttemptToken", a.phase AS "phase: AttemptPhase",
                  a.build_id AS "build_id: BuildId", p.id AS "package: PackageId", p.run_id AS "run: RunId",
                  p.cpv AS "cpv: Cpv", p.stage, p.slot AS "slot: Slot", p.repository AS "repository: RepoName",
                  p.use_flags AS "use_flags: Vec<UseFlag>", t.name AS "target: TargetName", e.digest AS "epoch: Digest",
                  extract(epoch FROM a.claimed_at - GREATEST(p.ready_since, p.not_before))::float8 AS "ready_seconds!"
           FROM attempts a JOIN packages p ON p.id = a.package_id JOIN runs r ON r.id = p.run_id
                JOIN targets t ON t.id = r.target_id JOIN epochs e ON e.id = r.epoch_id
           WHERE a.id = $1"#,
        attempt.0
    )
    .fetch_one(db)
    .await?;
    let claim = Claim {
        attempt,
        number: row.number,
        token: row.token,
        phase: row.phase,
        run: row.run,
        package: row.package,
        epoch: row.epoch,
        cpv: row.cpv,
        stage: row.stage,
        slot: row.slot,
        repository: row.repository,
        use_flags: row.use_flags,
        build_id: row.build_id,
        closure: closure(db, row.package).await?,
        reduced: reduced(db, row.package).await?,
        halvings: row.halvings.unsigned_abs().try_into().unwrap_or(u8::MAX),
        ticket: (grant.ticket)(&row.target, row.run, row.package, attempt),
        distfiles: grant.distfiles.clone(),
        target: row.target,
        max_artifact_bytes: grant.max_artifact_bytes,
        limit_seconds: grant.limit_seconds,
    };
    // Negative where the clock was set back in between.
    let ready_for = Duration::try_from_secs_f64(row.ready_seconds).unwrap_or_default();
    Ok(Given { claim, ready_for })
}

/// What has less USE in the package's root, or the package itself. Not an early stage of itself: Portage's configuration
/// knows one USE of a version, and that is what is to be built.
async fn reduced(db: &PgPool, package: PackageId) -> sqlx::Result<Vec<ReducedUse>> {
    sqlx::query_as!(
        ReducedUse,
        r#"SELECT p.cpv AS "cpv: Cpv", p.disabled AS "disabled: Vec<UseFlag>" FROM packages p
           -- By id alone: a condition with OR reads the whole table.
           WHERE p.id = ANY ($1::bigint || ARRAY(SELECT on_package_id FROM waits WHERE package_id = $1))
             AND p.disabled <> '{}' AND (p.id = $1 OR p.cpv <> (SELECT cpv FROM packages WHERE id = $1))
           ORDER BY p.cpv"#,
        package.0
    )
    .fetch_all(db)
    .await
}

/// What must be installed before the package builds, dependencies first.
async fn closure(db: &PgPool, package: PackageId) -> sqlx::Result<Vec<Dependency>> {
    let rows = sqlx::query!(
        r#"SELECT p.cpv AS "cpv: Cpv", f.build_id AS "build_id: BuildId", f.path, f.published AS "published: Digest", f.size
           FROM waits w JOIN packages p ON p.id = w.on_package_id JOIN artifacts f ON f.id = p.artifact_id
           WHERE w.package_id = $1 ORDER BY p.position"#,
        package.0
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Dependency {
            cpv: row.cpv,
            build_id: row.build_id,
            path: row.path,
            published: row.published,
            size: u64::try_from(row.size).unwrap_or_default(),
        })
        .collect())
}

/// The newest attempt of the build that `listed` belongs to, and whether it lives: a drone that was away may list an
/// attempt that it has gone on under another one since. `None` where the session has no such attempt.
pub async fn newest(
    db: impl PgExecutor<'_>,
    listed: AttemptId,
    session: SessionId,
) -> sqlx::Result<Option<(AttemptId, bool)>> {
    let row = sqlx::query!(
        r#"SELECT n.id AS "id: AttemptId", n.phase <> 'ended' AS "live!"
           FROM attempts l JOIN attempts n
                ON n.package_id = l.package_id AND COALESCE(n.continues, n.id) = COALESCE(l.continues, l.id)
           WHERE l.id = $1 AND l.session_id = $2
           ORDER BY n.id DESC LIMIT 1"#,
        listed.0,
        session.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.id, row.live)))
}
