//! How long the target's packages took.

use sqlx::PgExecutor;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::RunId;

/// The received builds of the target of `run`, newest first. A build that was cut off counts from where it began.
pub async fn of_target(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Vec<(Cpv, f64)>> {
    let rows = sqlx::query!(
        r#"SELECT f.cpv AS "cpv: Cpv",
                  extract(epoch FROM a.completed_at - COALESCE(o.started_at, a.started_at))::float8 AS "seconds!"
           FROM artifacts f JOIN attempts a ON a.id = f.attempt_id LEFT JOIN attempts o ON o.id = a.continues
           WHERE f.target_id = (SELECT target_id FROM runs WHERE id = $1)
             AND a.completed_at > a.started_at
           ORDER BY f.id DESC"#,
        run.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.cpv, row.seconds)).collect())
}
