//! Writes what the machine decided: attempt, artifact, package, and the attempt that begins.

use super::lock::Locked;
use super::{ApplyError, Note};
use crate::db::history;
use crate::machine::package::{Attempt, AttemptChange, Begin, Change, Transition};
use sqlx::PgConnection;
use swarm_protocol::binhost::Staged;
use swarm_protocol::id::{AttemptId, AttemptToken, PackageId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// Moves or ends the addressed attempt.
pub(super) async fn attempt(
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

/// Writes where the package stands.
pub(super) async fn package(
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
             forgiven = CASE WHEN $7 THEN attempts ELSE forgiven END,
             ready_since = CASE WHEN $2 = 'needed'::package_state THEN swarm_now() ELSE ready_since END
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

/// A build that ran out of memory needs more than its drone has; where no drone has more, fewer jobs beside each other.
pub(super) async fn needs_more_memory(
    tx: &mut PgConnection,
    package: PackageId,
    attempt: AttemptId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH here AS (SELECT s.memory_bytes FROM attempts a JOIN sessions s ON s.id = a.session_id WHERE a.id = $2)
         UPDATE packages p SET memory_bytes = GREATEST(p.memory_bytes, here.memory_bytes + 1),
             halvings = p.halvings + CASE WHEN EXISTS (
                 SELECT FROM drones d JOIN sessions s ON s.drone_id = d.id AND s.ended_at IS NULL
                 WHERE d.state = 'online' AND s.memory_bytes > here.memory_bytes) THEN 0 ELSE 1 END
         FROM here WHERE p.id = $1",
        package.0,
        attempt.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores what the binhost staged, and what it took.
pub(super) async fn artifact(tx: &mut PgConnection, locked: &Locked, staged: &Staged) -> sqlx::Result<i64> {
    if let Some(attempt) = locked.cell.attempt {
        history::record(tx, attempt.id).await?;
    }
    sqlx::query_scalar!(
        "INSERT INTO artifacts (target_id, epoch_id, attempt_id, cpv, build_id, build_key, built, published, size, path)
         SELECT r.target_id, r.epoch_id, a.id, p.cpv, a.build_id, p.build_key, a.built, $2, $3, $4
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

/// Begins an attempt.
pub(super) async fn begin(
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
                                 halvings, phase, started_at)
           -- A build that goes on keeps its claim request: an older heartbeat knows of neither.
           SELECT id, attempts, $2, $3, COALESCE((SELECT claim_request FROM attempts WHERE id = $5), $4),
                  (SELECT COALESCE(continues, id) FROM attempts WHERE id = $5), $6, $7, halvings, $8,
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
         SELECT r.target_id, p.cpv, h.build_id_floor + 1
         FROM packages p JOIN runs r ON r.id = p.run_id CROSS JOIN home h WHERE p.id = $1
         ON CONFLICT (target_id, cpv) DO UPDATE SET last = GREATEST(build_ids.last + 1, EXCLUDED.last)
         RETURNING last",
        package.0
    )
    .fetch_one(tx)
    .await
}
