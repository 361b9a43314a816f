//! Attempts whose time is over, one way or another.

use super::transition::Rules;
use sqlx::PgExecutor;
use swarm_protocol::id::AttemptId;

/// Attempts that should be taken from their drones, and why.
pub async fn list(db: impl PgExecutor<'_>, rules: &Rules) -> sqlx::Result<Vec<(AttemptId, String)>> {
    let rows = sqlx::query!(
        r#"SELECT a.id AS "id: AttemptId", overdue(a, make_interval(secs => $1), make_interval(secs => $2)) AS reason
           FROM attempts a WHERE phase IN ('held', 'building') ORDER BY a.id"#,
        f64::from(rules.grace_seconds),
        f64::from(rules.stall_seconds)
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, row.reason?))).collect())
}

/// Unaccepted attempts whose session is over.
pub async fn of_ended_sessions(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"SELECT a.id AS "id: AttemptId" FROM attempts a JOIN sessions s ON s.id = a.session_id
           WHERE a.phase IN ('held', 'building') AND s.ended_at IS NOT NULL ORDER BY a.id"#
    )
    .fetch_all(db)
    .await
}

/// Live attempts whose run is over.
pub async fn of_ended_runs(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"SELECT a.id AS "id: AttemptId" FROM attempts a JOIN packages p ON p.id = a.package_id
           JOIN runs r ON r.id = p.run_id
           WHERE a.phase <> 'ended' AND r.ended_at IS NOT NULL ORDER BY a.id"#
    )
    .fetch_all(db)
    .await
}
