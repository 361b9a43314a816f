//! Artifacts that are no longer believed (law 11): what a drone made, and what was built with such things installed, in its
//! own root or in the base root before it.
//! Nothing is deleted. No later run may keep them (`succession::offers`), and no run that received them is promoted.

use super::runs::{self, RunError};
use crate::machine::run::Transition;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::admin::Withdrawn;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{AttemptId, BuildId, DroneId, GenerationNumber, RunId};
use swarm_protocol::state::RunState;

/// Marks them; gives how many are new.
pub async fn artifacts(tx: &mut PgConnection, drone: DroneId) -> sqlx::Result<i64> {
    let marked = sqlx::query!(
        "WITH RECURSIVE tainted (id) AS (
             SELECT f.id FROM artifacts f JOIN attempts a ON a.id = f.attempt_id WHERE a.drone_id = $1
             UNION
             SELECT f.id FROM tainted t CROSS JOIN LATERAL (
                  SELECT w.package_id FROM packages p JOIN waits w ON w.on_package_id = p.id WHERE p.artifact_id = t.id
                  UNION ALL
                  SELECT p.id FROM artifacts b JOIN definitions d ON d.target_id = b.target_id
                       AND d.toolchain @> jsonb_build_array(jsonb_build_object('published', b.published))
                       JOIN runs r ON r.definition_id = d.id JOIN packages p ON p.run_id = r.id
                  WHERE b.id = t.id) AS built_with
                  -- What was built for the package itself: what it kept was built with something else.
                  JOIN attempts a ON a.package_id = built_with.package_id JOIN artifacts f ON f.attempt_id = a.id)
         UPDATE artifacts SET withdrawn_at = swarm_now() FROM tainted
         WHERE artifacts.id = tainted.id AND withdrawn_at IS NULL",
        drone.0
    );
    Ok(i64::try_from(marked.execute(tx).await?.rows_affected()).unwrap_or(i64::MAX))
}

/// Ends the drone's sessions: none of its reports counts any more, and nothing of it is regained.
pub async fn silence(tx: &mut PgConnection, drone: DroneId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET ended_at = swarm_now() WHERE drone_id = $1 AND ended_at IS NULL",
        drone.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The drone's live attempts.
pub async fn live(db: impl PgExecutor<'_>, drone: DroneId) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: AttemptId" FROM attempts WHERE drone_id = $1 AND phase <> 'ended' ORDER BY id"#,
        drone.0
    )
    .fetch_all(db)
    .await
}

/// Ends the runs that have received withdrawn artifacts, or build with one in their base root, and can still be ended; gives
/// them.
pub async fn end_runs(tx: &mut PgConnection, reason: &str) -> Result<Vec<RunId>, RunError> {
    let runs = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", r.state AS "state: RunState" FROM runs r
           WHERE r.state IN ('resolving', 'building', 'frozen', 'validating') AND EXISTS (
               SELECT FROM artifacts f WHERE f.target_id = r.target_id AND f.withdrawn_at IS NOT NULL AND (
                   EXISTS (SELECT FROM packages p WHERE p.run_id = r.id AND p.artifact_id = f.id)
                   OR EXISTS (SELECT FROM definitions d WHERE d.id = r.definition_id
                              AND d.toolchain @> jsonb_build_array(jsonb_build_object('published', f.published)))))
           ORDER BY r.id FOR UPDATE OF r"#
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut ended = Vec::new();
    for run in runs {
        let end = if run.state == RunState::Validating { Transition::Fail } else { Transition::Cancel };
        runs::apply(tx, run.id, end, Some(reason)).await?;
        sqlx::query!(
            "UPDATE generations SET state = 'refused', reason = $2 WHERE run_id = $1 AND state = 'preparing'",
            run.id.0,
            reason
        )
        .execute(&mut *tx)
        .await?;
        ended.push(run.id);
    }
    Ok(ended)
}

/// The withdrawn artifacts that clients can install, or are about to.
pub async fn published(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Withdrawn>> {
    sqlx::query_as!(
        Withdrawn,
        r#"SELECT t.name AS "target: TargetName", g.number AS "generation: GenerationNumber", f.cpv AS "cpv: Cpv",
                  f.build_id AS "build_id: BuildId"
           FROM artifacts f JOIN generation_artifacts a ON a.artifact_id = f.id JOIN generations g ON g.id = a.generation_id
                JOIN targets t ON t.id = g.target_id
           WHERE f.withdrawn_at IS NOT NULL AND g.state IN ('preparing', 'prepared', 'current') ORDER BY t.name, g.number, f.cpv"#
    )
    .fetch_all(db)
    .await
}
