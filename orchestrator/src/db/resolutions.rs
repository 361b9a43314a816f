//! Resolutions: who resolves a run, and how it ended. To a run what an attempt is to a package (law 2).

use super::events::{self, NewEvent};
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::drone::Fence;
use swarm_protocol::gentoo::{Cpv, TargetName, WorldAtom};
use swarm_protocol::id::{
    AttemptToken, DroneId, EpochId, GenerationNumber, ResolutionId, RunId, SessionId, TargetId,
};
use swarm_protocol::resolution::HeldEpoch;
use swarm_protocol::state::ResolutionOutcome;

/// The run that has waited longest for a drone that holds an epoch of its definition, and that epoch; the run is locked:
/// nobody resolves it, no pause holds it, and what it would be resolved against is not being switched just now.
pub async fn lock_waiting<'a>(
    tx: &mut PgConnection,
    held: &'a [HeldEpoch],
    pause_seconds: f64,
) -> sqlx::Result<Option<(RunId, &'a HeldEpoch)>> {
    let definitions: Vec<_> =
        held.iter().map(|held| held.definition.map(|definition| definition.0)).collect();
    let digests: Vec<_> = held.iter().map(|held| held.epoch.digest().to_string()).collect();
    let row = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", h.position AS "position!"
           FROM runs r LEFT JOIN epochs e ON e.id = r.epoch_id
                JOIN UNNEST($1::bigint[], $3::text[]) WITH ORDINALITY AS h(definition, digest, position)
                     ON h.definition IS NOT DISTINCT FROM r.definition_id
           WHERE r.state = 'resolving' AND (r.epoch_id IS NULL OR e.digest = h.digest)
             AND NOT EXISTS (
                 SELECT FROM resolutions o WHERE o.run_id = r.id AND (o.outcome IS NULL
                    OR (o.outcome = 'failed' AND o.ended_at > swarm_now() - make_interval(secs => $2))))
             AND NOT EXISTS (
                 SELECT FROM runs o WHERE o.target_id = r.target_id AND o.state IN ('validating', 'promoting'))
           ORDER BY r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED"#,
        &definitions as &[Option<i64>],
        pause_seconds,
        &digests
    )
    .fetch_optional(tx)
    .await?;
    // Positions count from 1.
    let of = |position: i64| held.get(usize::try_from(position - 1).ok()?);
    Ok(row.and_then(|row| Some((row.id, of(row.position)?))))
}

/// Begins a resolution of a locked run.
pub async fn begin(
    tx: &mut PgConnection,
    run: RunId,
    drone: DroneId,
    session: SessionId,
    epoch: EpochId,
) -> sqlx::Result<ResolutionId> {
    let resolution = sqlx::query_scalar!(
        r#"INSERT INTO resolutions (run_id, number, drone_id, session_id, epoch_id, token, generation)
           SELECT $1, 1 + (SELECT count(*)::integer FROM resolutions WHERE run_id = $1), $2, $3, $4, gen_random_uuid(),
                  (SELECT number FROM generations g WHERE g.target_id = r.target_id AND g.state = 'current')
           FROM runs r WHERE r.id = $1 RETURNING id AS "id: ResolutionId""#,
        run.0,
        drone.0,
        session.0,
        epoch.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let (run, drone) = (Some(run), Some(drone));
    events::append(tx, NewEvent { kind: "run.resolving", run, drone, ..NewEvent::default() }).await?;
    Ok(resolution)
}

/// The live resolution of a session.
pub async fn of_session(db: impl PgExecutor<'_>, session: SessionId) -> sqlx::Result<Option<ResolutionId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: ResolutionId" FROM resolutions WHERE session_id = $1 AND outcome IS NULL"#,
        session.0
    )
    .fetch_optional(db)
    .await
}

/// What a drone is told about its resolution.
#[derive(Debug)]
pub struct Task {
    /// The token that fences its reports.
    pub token: AttemptToken,
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// The target's row.
    pub target_id: TargetId,
    /// The run's world set.
    pub world: Vec<WorldAtom>,
    /// The epoch to resolve under.
    pub epoch: Digest,
    /// The epoch's row.
    pub epoch_id: EpochId,
    /// What shall be installable beside the world.
    pub wants: Vec<Cpv>,
    /// What Portage shall not take.
    pub mask: Vec<Cpv>,
}

/// The task behind a live resolution.
pub async fn task(db: impl PgExecutor<'_>, resolution: ResolutionId) -> sqlx::Result<Option<Task>> {
    sqlx::query_as!(
        Task,
        r#"SELECT o.token AS "token: AttemptToken", r.id AS "run: RunId", t.name AS "target: TargetName",
                  t.id AS "target_id: TargetId", r.world AS "world: Vec<WorldAtom>", e.digest AS "epoch: Digest", e.id AS "epoch_id: EpochId",
                  r.wants AS "wants: Vec<Cpv>", r.mask AS "mask: Vec<Cpv>"
           FROM resolutions o JOIN runs r ON r.id = o.run_id JOIN targets t ON t.id = r.target_id
                JOIN epochs e ON e.id = o.epoch_id
           WHERE o.id = $1 AND o.outcome IS NULL"#,
        resolution.0
    )
    .fetch_optional(db)
    .await
}

/// A resolution as its drone's report finds it.
#[derive(Debug)]
pub struct Reported {
    /// The run.
    pub run: RunId,
    /// The epoch that was resolved under.
    pub epoch: EpochId,
    /// The generation whose binaries were offered.
    pub generation: Option<GenerationNumber>,
    /// How it ended; it lives where absent.
    pub outcome: Option<ResolutionOutcome>,
}

/// The resolution, if the fence and the drone are its own.
pub async fn reported(
    db: impl PgExecutor<'_>,
    resolution: ResolutionId,
    drone: DroneId,
    fence: Fence,
) -> sqlx::Result<Option<Reported>> {
    sqlx::query_as!(
        Reported,
        r#"SELECT run_id AS "run: RunId", epoch_id AS "epoch: EpochId", generation AS "generation: GenerationNumber",
                  outcome AS "outcome: ResolutionOutcome"
           FROM resolutions WHERE id = $1 AND drone_id = $2 AND token = $3 AND session_id = $4"#,
        resolution.0,
        drone.0,
        fence.token.0,
        fence.session.0
    )
    .fetch_optional(db)
    .await
}

/// The target's current generation.
pub async fn generation(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Option<GenerationNumber>> {
    sqlx::query_scalar!(
        r#"SELECT number AS "number: GenerationNumber" FROM generations WHERE target_id = $1 AND state = 'current'"#,
        target.0
    )
    .fetch_optional(db)
    .await
}

/// Ends a live resolution; `false` when it had ended.
pub async fn end(
    db: impl PgExecutor<'_>,
    resolution: ResolutionId,
    outcome: ResolutionOutcome,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE resolutions SET outcome = $2, reason = $3, ended_at = swarm_now() WHERE id = $1 AND outcome IS NULL",
        resolution.0,
        outcome as ResolutionOutcome,
        reason
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends whatever resolutions of `run` live: it has a plan, or is over.
pub async fn end_of_run(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE resolutions SET outcome = 'outdated', ended_at = swarm_now() WHERE run_id = $1 AND outcome IS NULL",
        run.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends the resolutions whose drone is silent or began anew, whose run is no longer resolving, or whose time is over;
/// gives those runs that are still to be resolved.
pub async fn end_lost(db: impl PgExecutor<'_>, limit_seconds: f64) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"WITH gone AS (
               SELECT o.id, r.state = 'resolving' AS waits FROM resolutions o JOIN runs r ON r.id = o.run_id
                    JOIN sessions s ON s.id = o.session_id JOIN drones d ON d.id = o.drone_id
               WHERE o.outcome IS NULL AND (r.state <> 'resolving' OR s.ended_at IS NOT NULL OR d.state = 'offline'
                     OR o.began_at < swarm_now() - make_interval(secs => $1)))
           UPDATE resolutions o SET ended_at = swarm_now(),
                  outcome = (CASE WHEN gone.waits THEN 'lost' ELSE 'outdated' END)::resolution_outcome,
                  reason = CASE WHEN gone.waits THEN 'its drone was lost, or took too long' END
           FROM gone WHERE o.id = gone.id AND o.outcome IS NULL RETURNING o.run_id AS "run: RunId""#,
        limit_seconds
    )
    .fetch_all(db)
    .await
}

/// How often resolving `run` came to nothing through no fault of its own, and the last reason.
pub async fn fruitless(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<(i64, Option<String>)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", (array_agg(reason ORDER BY number DESC))[1] AS reason
           FROM resolutions WHERE run_id = $1 AND outcome IN ('failed', 'lost')"#,
        run.0
    )
    .fetch_one(db)
    .await?;
    Ok((row.count, row.reason))
}
