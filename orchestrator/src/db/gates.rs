//! Gates: who judges a prepared generation, and how it ended. To a generation what a resolution is to a run (law 2).

use super::events::{self, NewEvent};
use super::overdue::Listened;
use super::workstations;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::drone::Fence;
use swarm_protocol::gate::Seat;
use swarm_protocol::gentoo::{Cpv, TargetName, WorldAtom};
use swarm_protocol::id::{
    AttemptToken, DroneId, GateId, GenerationId, GenerationNumber, RunId, SessionId, TargetId,
};
use swarm_protocol::state::GateOutcome;

/// Whether a gate judges what the run publishes: a drone resolved it. Who posts a plan answers for it alone; there may be
/// no Portage near.
pub async fn judges(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM resolutions WHERE run_id = $1 AND outcome = 'planned') AS "judges!""#,
        run.0
    )
    .fetch_one(db)
    .await
}

/// The runs whose prepared generations wait for a verdict.
pub async fn waiting(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r JOIN generations g ON g.run_id = r.id
           WHERE r.state = 'validating' AND g.state = 'prepared' ORDER BY r.id"#
    )
    .fetch_all(db)
    .await
}

/// The run that has waited longest for a drone that holds one of these epochs, locked: nobody judges it, and no pause
/// holds it.
pub async fn lock_waiting(
    tx: &mut PgConnection,
    epochs: &[Digest],
    pause_seconds: f64,
) -> sqlx::Result<Option<RunId>> {
    let epochs: Vec<_> = epochs.iter().map(ToString::to_string).collect();
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r JOIN generations g ON g.run_id = r.id JOIN epochs e ON e.id = r.epoch_id
           WHERE r.state = 'validating' AND g.state = 'prepared' AND e.digest = ANY($1)
             AND NOT EXISTS (
                 SELECT FROM gates o WHERE o.run_id = r.id AND (o.outcome IS NULL
                    OR (o.outcome = 'failed' AND o.ended_at > swarm_now() - make_interval(secs => $2))))
           ORDER BY r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED"#,
        &epochs,
        pause_seconds
    )
    .fetch_optional(tx)
    .await
}

/// Begins a gate of a locked run.
pub async fn begin(
    tx: &mut PgConnection,
    run: RunId,
    drone: DroneId,
    session: SessionId,
) -> sqlx::Result<GateId> {
    let gate = sqlx::query_scalar!(
        r#"INSERT INTO gates (run_id, number, drone_id, session_id, token)
           SELECT $1, 1 + (SELECT count(*)::integer FROM gates WHERE run_id = $1), $2, $3, gen_random_uuid()
           RETURNING id AS "id: GateId""#,
        run.0,
        drone.0,
        session.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let (run, drone) = (Some(run), Some(drone));
    events::append(tx, NewEvent { kind: "run.judging", run, drone, ..NewEvent::default() }).await?;
    Ok(gate)
}

/// The live gate of a session.
pub async fn of_session(db: impl PgExecutor<'_>, session: SessionId) -> sqlx::Result<Option<GateId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: GateId" FROM gates WHERE session_id = $1 AND outcome IS NULL"#,
        session.0
    )
    .fetch_optional(db)
    .await
}

/// What a drone is told about its gate.
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
    /// The generation.
    pub number: GenerationNumber,
    /// The TIMESTAMP of its index.
    pub timestamp: i64,
    /// The run's epoch.
    pub epoch: Digest,
    /// The run's world set.
    pub world: Vec<WorldAtom>,
    /// What Portage shall not take.
    pub mask: Vec<Cpv>,
}

/// The task behind a live gate.
pub async fn task(db: impl PgExecutor<'_>, gate: GateId) -> sqlx::Result<Option<Task>> {
    sqlx::query_as!(
        Task,
        r#"SELECT o.token AS "token: AttemptToken", r.id AS "run: RunId", t.name AS "target: TargetName",
                  t.id AS "target_id: TargetId", g.number AS "number: GenerationNumber", g.index_timestamp AS "timestamp!", e.digest AS "epoch: Digest",
                  r.world AS "world: Vec<WorldAtom>", r.mask AS "mask: Vec<Cpv>"
           FROM gates o JOIN runs r ON r.id = o.run_id JOIN targets t ON t.id = r.target_id
                JOIN generations g ON g.run_id = r.id JOIN epochs e ON e.id = r.epoch_id
           WHERE o.id = $1 AND o.outcome IS NULL"#,
        gate.0
    )
    .fetch_optional(db)
    .await
}

/// Whom Portage is asked for: the machine that is set up anew with `world` comes first, then every registered workstation
/// as it is now.
pub async fn seats(
    db: impl PgExecutor<'_>,
    target: TargetId,
    world: &[WorldAtom],
) -> sqlx::Result<Vec<Seat>> {
    let mut seats = vec![Seat { name: None, world: world.to_owned(), installed: None }];
    let registered = workstations::list(db, target).await?;
    seats.extend(registered.into_iter().map(|workstation| Seat {
        name: Some(workstation.name),
        world: workstation.world,
        installed: workstation.installed,
    }));
    Ok(seats)
}

/// A gate as its drone's report finds it.
#[derive(Debug)]
pub struct Reported {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetId,
    /// What it judges.
    pub generation: GenerationId,
    /// How it ended; it lives where absent.
    pub outcome: Option<GateOutcome>,
}

/// The gate, if the fence and the drone are its own.
pub async fn reported(
    db: impl PgExecutor<'_>,
    gate: GateId,
    drone: DroneId,
    fence: Fence,
) -> sqlx::Result<Option<Reported>> {
    sqlx::query_as!(
        Reported,
        r#"SELECT o.run_id AS "run: RunId", g.target_id AS "target: TargetId", g.id AS "generation: GenerationId",
                  o.outcome AS "outcome: GateOutcome"
           FROM gates o JOIN generations g ON g.run_id = o.run_id
           WHERE o.id = $1 AND o.drone_id = $2 AND o.token = $3 AND o.session_id = $4"#,
        gate.0,
        drone.0,
        fence.token.0,
        fence.session.0
    )
    .fetch_optional(db)
    .await
}

/// Ends a live gate; `false` when it had ended.
pub async fn end(
    db: impl PgExecutor<'_>,
    gate: GateId,
    outcome: GateOutcome,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE gates SET outcome = $2, reason = $3, ended_at = swarm_now() WHERE id = $1 AND outcome IS NULL",
        gate.0,
        outcome as GateOutcome,
        reason
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the gates whose drone is silent or began anew, whose run needs no verdict any more, or whose time is over; gives
/// those runs that still wait for one.
pub async fn end_lost(db: impl PgExecutor<'_>, limit_seconds: f64) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"WITH gone AS (
               SELECT o.id, r.state = 'validating' AS waits FROM gates o JOIN runs r ON r.id = o.run_id
                    JOIN sessions s ON s.id = o.session_id JOIN drones d ON d.id = o.drone_id
               WHERE o.outcome IS NULL AND (r.state <> 'validating' OR s.ended_at IS NOT NULL OR d.state = 'offline'
                     OR o.began_at < swarm_now() - make_interval(secs => $1)))
           UPDATE gates o SET ended_at = swarm_now(),
                  outcome = (CASE WHEN gone.waits THEN 'lost' ELSE 'outdated' END)::gate_outcome,
                  reason = CASE WHEN gone.waits THEN 'its drone was lost, or took too long' END
           FROM gone WHERE o.id = gone.id AND o.outcome IS NULL RETURNING o.run_id AS "run: RunId""#,
        limit_seconds
    )
    .fetch_all(db)
    .await
}

/// How often judging `run` came to nothing through no fault of its own, and the last reason.
pub async fn fruitless(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<(i64, Option<String>)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", (array_agg(reason ORDER BY number DESC))[1] AS reason
           FROM gates WHERE run_id = $1 AND outcome IN ('failed', 'lost')"#,
        run.0
    )
    .fetch_one(db)
    .await?;
    Ok((row.count, row.reason))
}

/// The runs for which no drone came to judge within `patience_seconds`, of which only those count in which this process
/// could have been asked (law 4).
pub async fn forsaken(
    db: impl PgExecutor<'_>,
    patience_seconds: f64,
    listened: Listened,
) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r JOIN generations g ON g.run_id = r.id
           WHERE r.state = 'validating' AND g.state = 'prepared'
             AND NOT EXISTS (SELECT FROM gates o WHERE o.run_id = r.id AND o.outcome IS NULL)
             AND GREATEST(g.created_at, $2, (SELECT max(ended_at) FROM gates o WHERE o.run_id = r.id))
                 < $3::timestamptz - make_interval(secs => $1)
           ORDER BY r.id"#,
        patience_seconds,
        listened.since,
        listened.as_of
    )
    .fetch_all(db)
    .await
}
