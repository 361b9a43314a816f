//! Generations: what a run became. Rows are intents first: *preparing* and *promoting* are written before the binhost
//! is asked, so that any orchestrator can take over (DESIGN 5.7).

use super::events::{self, NewEvent};
use super::runs::{self, RunError};
use super::targets;
use crate::definitions;
use crate::machine::run::Transition;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use swarm_protocol::Digest;
use swarm_protocol::admin::Generation;
use swarm_protocol::binhost::{Prepare, Provided};
use swarm_protocol::gentoo::{TargetName, WorldAtom};
use swarm_protocol::id::{GenerationId, GenerationNumber, RunId, TargetId};
use swarm_protocol::kept::Kept;
use swarm_protocol::resolution::Finding;
use swarm_protocol::state::{GenerationState, RunState};

/// A generation that a run is becoming.
#[derive(Debug)]
pub struct Becoming {
    /// Its row.
    pub id: GenerationId,
    /// Its target.
    pub target: TargetName,
    /// Its number.
    pub number: GenerationNumber,
    /// The generation that must be current when it is promoted.
    pub expects: Option<GenerationNumber>,
    /// What the binhost is asked to make of it.
    pub content: Prepare,
}

/// The current generation, if it is exactly what `run` would publish.
pub async fn same_as_current(tx: &mut PgConnection, run: RunId) -> sqlx::Result<Option<GenerationNumber>> {
    sqlx::query_scalar!(
        r#"SELECT g.number AS "number: GenerationNumber" FROM generations g JOIN runs r ON r.target_id = g.target_id
           WHERE r.id = $1 AND g.state = 'current' AND
                 (SELECT array_agg(artifact_id ORDER BY artifact_id) FROM packages WHERE run_id = r.id AND stage = 0) =
                 (SELECT array_agg(artifact_id ORDER BY artifact_id) FROM generation_artifacts WHERE generation_id = g.id)"#,
        run.0
    )
    .fetch_optional(tx)
    .await
}

/// Freezes the digest list of `run`: building → validating, with a generation in *preparing*.
pub async fn freeze(tx: &mut PgConnection, run: RunId) -> Result<(), RunError> {
    runs::apply(tx, run, Transition::Validate, None).await?;
    sqlx::query!(
        "WITH new AS (
             INSERT INTO generations (target_id, run_id, number, expects)
             SELECT r.target_id, r.id,
                    COALESCE((SELECT max(number) FROM generations WHERE target_id = r.target_id), 0) + 1,
                    (SELECT number FROM generations WHERE target_id = r.target_id AND state = 'current')
             FROM runs r WHERE r.id = $1
             RETURNING id)
         INSERT INTO generation_artifacts (generation_id, artifact_id)
         SELECT new.id, p.artifact_id FROM new, packages p
         WHERE p.run_id = $1 AND p.state = 'received' AND p.stage = 0",
        run.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The generation that `run` is becoming.
pub async fn becoming(db: impl PgExecutor<'_> + Copy, run: RunId) -> sqlx::Result<Option<Becoming>> {
    let row = sqlx::query!(
        r#"SELECT g.id AS "id: GenerationId", t.name AS "target: TargetName", g.number AS "number: GenerationNumber",
                  g.expects AS "expects: GenerationNumber"
           FROM generations g JOIN targets t ON t.id = g.target_id WHERE g.run_id = $1"#,
        run.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let content = content(db, row.id).await?;
    Ok(Some(Becoming { id: row.id, target: row.target, number: row.number, expects: row.expects, content }))
}

/// What the binhost is asked to make of a generation. Nothing of it changes under a generation but what the target
/// declares as provided: who mends that does not have to build again.
pub(super) async fn content(
    db: impl PgExecutor<'_> + Copy,
    generation: GenerationId,
) -> sqlx::Result<Prepare> {
    let row = sqlx::query!(
        r#"SELECT t.provided AS "provided: Json<Provided>",
                  ARRAY(SELECT provided FROM workstations w WHERE w.target_id = t.id) AS "workstations!: Vec<Json<Provided>>",
                  COALESCE(r.system, '{}') AS "system!: Vec<WorldAtom>"
           FROM generations g JOIN targets t ON t.id = g.target_id LEFT JOIN runs r ON r.id = g.run_id
           WHERE g.id = $1"#,
        generation.0
    )
    .fetch_one(db)
    .await?;
    let workstations: Vec<_> = row.workstations.into_iter().map(|provided| provided.0).collect();
    let provided = definitions::provided(row.provided.0, &workstations);
    Ok(Prepare { artifacts: artifacts(db, generation).await?, system: row.system, provided })
}

/// Whether any of `kept` has a higher number than all generations of the target that are known.
pub async fn has_above(db: impl PgExecutor<'_>, target: TargetId, kept: &[Kept]) -> sqlx::Result<bool> {
    let highest = kept.iter().map(|kept| kept.number.0).max();
    sqlx::query_scalar!(
        r#"SELECT COALESCE($2 > COALESCE(max(number), 0), false) AS "above!" FROM generations WHERE target_id = $1"#,
        target.0,
        highest
    )
    .fetch_one(db)
    .await
}

/// Notes those of `kept` that are not known, and which generation is current if it is one of them. Gives their numbers.
pub async fn learn(
    db: &PgPool,
    (target, name): (TargetId, &TargetName),
    kept: &[Kept],
    current: Option<GenerationNumber>,
) -> sqlx::Result<Vec<GenerationNumber>> {
    let numbers: Vec<_> = kept.iter().map(|kept| kept.number.0).collect();
    let timestamps: Vec<_> = kept.iter().map(|kept| kept.timestamp).collect();
    let mut tx = db.begin().await?;
    targets::lock(&mut tx, target).await?;
    let learned = sqlx::query_scalar!(
        r#"INSERT INTO generations (target_id, number, state, index_timestamp, promoted_at, learned_at)
           SELECT $1, k.number, 'retired', k.seconds, to_timestamp(k.seconds), swarm_now()
           FROM UNNEST($2::bigint[], $3::bigint[]) AS k (number, seconds)
           WHERE k.number > COALESCE((SELECT max(number) FROM generations WHERE target_id = $1), 0)
           RETURNING number AS "number: GenerationNumber""#,
        target.0,
        &numbers,
        &timestamps
    )
    .fetch_all(&mut *tx)
    .await?;
    if let Some(current) = current.filter(|current| learned.contains(current)) {
        sqlx::query!(
            "UPDATE generations SET state = 'retired' WHERE target_id = $1 AND state = 'current'",
            target.0
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE generations SET state = 'current' WHERE target_id = $1 AND number = $2",
            target.0,
            current.0
        )
        .execute(&mut *tx)
        .await?;
    }
    if !learned.is_empty() {
        let data = serde_json::json!({ "target": name, "numbers": learned, "current": current });
        events::append(&mut tx, NewEvent { kind: "generation.learned", data, ..NewEvent::default() }).await?;
    }
    tx.commit().await?;
    Ok(learned)
}

/// The published digests of everything in a generation.
async fn artifacts(db: impl PgExecutor<'_>, generation: GenerationId) -> sqlx::Result<Vec<Digest>> {
    sqlx::query_scalar!(
        r#"SELECT f.published AS "published: Digest" FROM generation_artifacts g JOIN artifacts f ON f.id = g.artifact_id
           WHERE g.generation_id = $1 ORDER BY f.published"#,
        generation.0
    )
    .fetch_all(db)
    .await
}

/// The runs whose generations the binhost has not prepared yet.
pub async fn unprepared(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r JOIN generations g ON g.run_id = r.id
           WHERE r.state = 'validating' AND g.state = 'preparing' ORDER BY r.id"#
    )
    .fetch_all(db)
    .await
}

/// The generation of a run.
pub async fn of_run(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Option<GenerationId>> {
    sqlx::query_scalar!(r#"SELECT id AS "id: GenerationId" FROM generations WHERE run_id = $1"#, run.0)
        .fetch_optional(db)
        .await
}

/// preparing → prepared; `timestamp` is its index's. The run stays in *validating*, for the gate.
pub async fn prepared(
    tx: &mut PgConnection,
    run: RunId,
    generation: GenerationId,
    timestamp: i64,
) -> Result<(), RunError> {
    runs::lock(tx, run).await?;
    let state = runs::state(tx, run).await?;
    let done = sqlx::query!(
        "UPDATE generations SET state = 'prepared', index_timestamp = $2 WHERE id = $1 AND state = 'preparing'",
        generation.0,
        timestamp
    )
    .execute(tx)
    .await?;
    // Another orchestrator was faster.
    if state == RunState::Validating && done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(RunError::State(state))
    }
}

/// The run's intent to promote: its prepared generation passed the gate, or needs none.
pub async fn passed(tx: &mut PgConnection, run: RunId) -> Result<(), RunError> {
    runs::apply(tx, run, Transition::Promote, None).await.map(drop)
}

/// prepared → current; the former current one retires; the run is promoted.
pub async fn promoted(tx: &mut PgConnection, run: RunId, becoming: &Becoming) -> Result<(), RunError> {
    runs::apply(tx, run, Transition::Promoted, None).await?;
    make_current(tx, Some(run), becoming).await?;
    Ok(())
}

/// Writes that clients see a generation, and the former one no longer.
pub(super) async fn make_current(
    tx: &mut PgConnection,
    run: Option<RunId>,
    becoming: &Becoming,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE generations SET state = 'retired'
         WHERE state = 'current' AND target_id = (SELECT target_id FROM generations WHERE id = $1)",
        becoming.id.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE generations SET state = 'current', promoted_at = swarm_now() WHERE id = $1",
        becoming.id.0
    )
    .execute(&mut *tx)
    .await?;
    let data = serde_json::json!({
        "target": becoming.target, "number": becoming.number, "packages": becoming.content.artifacts.len()
    });
    events::append(tx, NewEvent { kind: "generation.current", run, data, ..NewEvent::default() }).await
}

/// The binhost or the gate refused: the run has failed.
pub async fn refused(
    tx: &mut PgConnection,
    run: RunId,
    generation: GenerationId,
    reason: &str,
    findings: &[Finding],
) -> Result<(), RunError> {
    runs::apply(tx, run, Transition::Fail, Some(reason)).await?;
    if !findings.is_empty() {
        runs::set_findings(tx, run, findings).await?;
    }
    set_state(tx, generation, GenerationState::Refused).await?;
    Ok(())
}

async fn set_state(tx: &mut PgConnection, id: GenerationId, state: GenerationState) -> sqlx::Result<()> {
    sqlx::query!("UPDATE generations SET state = $2 WHERE id = $1", id.0, state as GenerationState)
        .execute(tx)
        .await?;
    Ok(())
}

/// The generations of a target, newest first; what is pinned is for the binhost to say.
pub async fn list(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Vec<Generation>> {
    sqlx::query_as!(
        Generation,
        r#"SELECT g.number AS "number: GenerationNumber", g.state AS "state: GenerationState", g.run_id AS "run: RunId",
                  g.republishes AS "republishes: GenerationNumber",
                  (SELECT count(*) FROM generation_artifacts a WHERE a.generation_id = g.id) AS "packages!",
                  g.promoted_at, g.removed_at, g.reason, NULL::boolean AS pinned
           FROM generations g WHERE g.target_id = $1 ORDER BY g.number DESC"#,
        target.0
    )
    .fetch_all(db)
    .await
}
