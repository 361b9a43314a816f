//! Which drone built what and when, and the chain of builds that decided how long it took.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};
use std::collections::HashSet;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{AttemptId, PackageId, RunId};
use swarm_protocol::state::Outcome;

/// How many builds are read at most: the newest.
const MOST: i64 = 20_000;

/// An attempt that began to build.
#[derive(Debug, Clone)]
pub struct Built {
    /// The attempt.
    pub attempt: AttemptId,
    /// The package.
    pub package: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// The drone's name.
    pub drone: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How.
    pub outcome: Option<Outcome>,
}

/// The builds of a run, in the order in which they began.
pub async fn builds(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Vec<Built>> {
    let mut builds = sqlx::query_as!(
        Built,
        r#"SELECT a.id AS "attempt: AttemptId", p.id AS "package: PackageId", p.cpv AS "cpv: Cpv", d.name AS drone,
                  a.started_at AS "started_at!", a.ended_at, a.outcome AS "outcome: Outcome"
           FROM packages p JOIN attempts a ON a.package_id = p.id JOIN drones d ON d.id = a.drone_id
           WHERE p.run_id = $1 AND a.started_at IS NOT NULL ORDER BY a.started_at DESC, a.id DESC LIMIT $2"#,
        run.0,
        MOST
    )
    .fetch_all(db)
    .await?;
    builds.reverse();
    Ok(builds)
}

/// The packages of the critical path so far: what is being built with the longest chain behind it, or was received last;
/// then of all that it waited for what was received last; and so on.
pub async fn critical(db: &PgPool, run: RunId) -> sqlx::Result<HashSet<PackageId>> {
    let rows = sqlx::query_scalar!(
        r#"WITH RECURSIVE chain AS (
               (SELECT p.id FROM packages p JOIN attempts a ON a.package_id = p.id
                WHERE p.run_id = $1 AND a.started_at IS NOT NULL AND (a.outcome = 'received' OR a.phase <> 'ended')
                ORDER BY a.ended_at DESC NULLS FIRST, p.rank DESC LIMIT 1)
               UNION ALL
               SELECT n.id FROM chain c CROSS JOIN LATERAL (
                   SELECT w.on_package_id AS id FROM waits w JOIN attempts a ON a.package_id = w.on_package_id
                   WHERE w.package_id = c.id AND a.outcome = 'received' ORDER BY a.ended_at DESC LIMIT 1) n)
           SELECT id AS "id!: PackageId" FROM chain"#,
        run.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().collect())
}
