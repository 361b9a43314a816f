//! Attempts whose time is over, one way or another.

use super::rules::Rules;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use swarm_protocol::id::{AttemptId, DroneId};

/// Why an attempt is taken from its drone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Its drone was not heard for the grace time.
    Silent,
    /// It has made no progress for the stall time.
    Stalled,
    /// It has not started, and its drone gets no work for a while.
    Grounded,
}

impl Overdue {
    /// What the SQL function `overdue` said.
    fn parse(text: &str) -> Option<Self> {
        [Self::Silent, Self::Stalled, Self::Grounded].into_iter().find(|cause| cause.as_str() == text)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Grounded => "grounded",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Silent => "its drone is silent",
            Self::Stalled => "its build makes no progress",
            Self::Grounded => "its drone is grounded",
        }
    }
}

/// The time in which the leader has listened: only this counts against a drone (law 4).
#[derive(Clone, Copy, Debug)]
pub struct Listened {
    /// From here.
    pub since: DateTime<Utc>,
    /// To here.
    pub as_of: DateTime<Utc>,
}

/// Attempts that should be taken from their drones, and why.
pub async fn list(
    db: impl PgExecutor<'_>,
    rules: &Rules,
    listened: Listened,
) -> sqlx::Result<Vec<(AttemptId, Overdue)>> {
    let rows = sqlx::query!(
        r#"SELECT a.id AS "id: AttemptId", overdue(a, make_interval(secs => $1), make_interval(secs => $2), $3, $4) AS reason
           FROM attempts a WHERE phase IN ('held', 'building') ORDER BY a.id"#,
        f64::from(rules.grace_seconds),
        f64::from(rules.stall_seconds),
        listened.since,
        listened.as_of
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, Overdue::parse(&row.reason?)?))).collect())
}

/// What a drone that gets no more work holds and has not started.
pub async fn unstarted(db: impl PgExecutor<'_>, drone: DroneId) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"SELECT a.id AS "id: AttemptId" FROM attempts a JOIN drones d ON d.id = a.drone_id
           WHERE d.id = $1 AND d.state IN ('grounded', 'draining') AND a.phase = 'held' ORDER BY a.id"#,
        drone.0
    )
    .fetch_all(db)
    .await
}

/// Why this attempt should be taken from its drone.
pub async fn of(
    db: impl PgExecutor<'_>,
    rules: &Rules,
    attempt: AttemptId,
    listened: Listened,
) -> sqlx::Result<Option<Overdue>> {
    let cause = sqlx::query_scalar!(
        "SELECT overdue(a, make_interval(secs => $2), make_interval(secs => $3), $4, $5) FROM attempts a WHERE id = $1",
        attempt.0,
        f64::from(rules.grace_seconds),
        f64::from(rules.stall_seconds),
        listened.since,
        listened.as_of
    )
    .fetch_optional(db)
    .await?;
    Ok(cause.flatten().and_then(|cause| Overdue::parse(&cause)))
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
