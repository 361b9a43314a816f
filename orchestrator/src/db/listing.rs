//! Runs, and the packages of one, as lines of lists: nothing is counted, and a list is a page at a time.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{GenerationNumber, PackageId, RunId};
use swarm_protocol::state::{PackageState, RunState};

/// A run as a line of a list.
#[derive(Debug)]
pub struct Head {
    /// Its id.
    pub id: RunId,
    /// Its target.
    pub target: TargetName,
    /// Where it stands.
    pub state: RunState,
    /// The generation it became.
    pub generation: Option<GenerationNumber>,
    /// Why it stands where it stands.
    pub reason: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The newest runs before `before`, newest first: `most` of them.
pub async fn runs(db: impl PgExecutor<'_>, before: Option<RunId>, most: i64) -> sqlx::Result<Vec<Head>> {
    sqlx::query_as!(
        Head,
        r#"SELECT r.id AS "id: RunId", t.name AS "target: TargetName", r.state AS "state: RunState",
                  g.number AS "generation?: GenerationNumber", r.reason, r.created_at, r.ended_at
           FROM runs r JOIN targets t ON t.id = r.target_id
                LEFT JOIN generations g ON g.run_id = r.id AND g.promoted_at IS NOT NULL
           WHERE $1::bigint IS NULL OR r.id < $1 ORDER BY r.id DESC LIMIT $2"#,
        before.map(|before| before.0),
        most
    )
    .fetch_all(db)
    .await
}

/// A package as a line of a list.
#[derive(Debug)]
pub struct Line {
    /// Its id.
    pub id: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// 0 is the package itself.
    pub stage: i16,
    /// Where it stands.
    pub state: PackageState,
    /// How many of its waits are not received.
    pub unmet: i32,
    /// A person's wish.
    pub priority: i16,
    /// Its expected time on a drone of speed 1.
    pub estimate_seconds: f64,
    /// Attempts so far.
    pub attempts: i32,
    /// The drone that holds it.
    pub drone: Option<String>,
    /// Why it is quarantined or blocked.
    pub reason: Option<String>,
}

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// In this state.
    pub state: Option<PackageState>,
    /// With this in category, name or version.
    pub name: Option<&'a str>,
    /// After so many.
    pub offset: i64,
    /// So many at most.
    pub most: i64,
}

/// The packages of a run by rank.
pub async fn packages(db: impl PgExecutor<'_>, run: RunId, wanted: Wanted<'_>) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.stage, p.state AS "state: PackageState", p.unmet,
                  p.priority, p.estimate_seconds, p.attempts, p.reason,
                  (SELECT d.name FROM attempts a JOIN drones d ON d.id = a.drone_id
                   WHERE a.package_id = p.id AND a.phase <> 'ended') AS drone
           FROM packages p
           WHERE p.run_id = $1 AND ($2::package_state IS NULL OR p.state = $2)
             AND ($3::text IS NULL OR strpos(lower(p.cpv), lower($3)) > 0)
           ORDER BY p.rank DESC, p.id OFFSET $4 LIMIT $5"#,
        run.0,
        wanted.state as Option<PackageState>,
        wanted.name,
        wanted.offset,
        wanted.most
    )
    .fetch_all(db)
    .await
}
