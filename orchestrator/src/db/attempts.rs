//! Attempts as people see them, with what they used.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::admin::{Attempt, AttemptDetail};
use swarm_protocol::drone::{Phases, Usage};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{AttemptId, PackageId, RunId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome};

struct Row {
    id: AttemptId,
    number: i32,
    drone: String,
    phase: AttemptPhase,
    outcome: Option<Outcome>,
    class: Option<FailureClass>,
    reason: Option<String>,
    excerpt: Option<String>,
    claimed_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    run: RunId,
    package: PackageId,
    cpv: Cpv,
    sampled: Option<bool>,
    user_seconds: Option<f64>,
    system_seconds: Option<f64>,
    peak_memory_bytes: Option<i64>,
    read_bytes: Option<i64>,
    written_bytes: Option<i64>,
    fetch_seconds: Option<f64>,
    install_seconds: Option<f64>,
    build_seconds: Option<f64>,
    phases: Option<Vec<f64>>,
}

impl Row {
    /// The columns are of one row, so they are there all or none.
    fn usage(&self) -> Option<Usage> {
        let bytes = |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or_default());
        Some(Usage {
            sampled: self.sampled?,
            user_seconds: self.user_seconds?,
            system_seconds: self.system_seconds?,
            peak_memory_bytes: bytes(self.peak_memory_bytes)?,
            read_bytes: bytes(self.read_bytes)?,
            written_bytes: bytes(self.written_bytes)?,
            fetch_seconds: self.fetch_seconds?,
            install_seconds: self.install_seconds?,
            build_seconds: self.build_seconds?,
            phases: phases(self.phases.as_deref()?),
        })
    }
}

/// The column has them in their order; a row of an older version has none.
fn phases(column: &[f64]) -> Phases {
    let &[unpack, prepare, configure, compile, test, install, package] = column else {
        return Phases::default();
    };
    Phases { unpack, prepare, configure, compile, test, install, package }
}

impl From<Row> for AttemptDetail {
    fn from(row: Row) -> Self {
        let usage = row.usage();
        let attempt = Attempt {
            id: row.id,
            number: row.number,
            drone: row.drone,
            phase: row.phase,
            outcome: row.outcome,
            class: row.class,
            reason: row.reason,
            excerpt: row.excerpt,
            claimed_at: row.claimed_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            usage,
        };
        Self { attempt, run: row.run, package: row.package, cpv: row.cpv }
    }
}

/// The attempts at a package, oldest first, or the one that is named.
async fn list(
    db: impl PgExecutor<'_>,
    package: Option<PackageId>,
    attempt: Option<AttemptId>,
) -> sqlx::Result<Vec<AttemptDetail>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.id AS "id: AttemptId", a.number, d.name AS drone, a.phase AS "phase: AttemptPhase",
                  a.outcome AS "outcome: Outcome", a.class AS "class: FailureClass", a.reason, a.excerpt,
                  a.claimed_at, a.started_at, a.ended_at, p.run_id AS "run: RunId", p.id AS "package: PackageId",
                  p.cpv AS "cpv: Cpv", u.sampled AS "sampled?", u.user_seconds AS "user_seconds?",
                  u.system_seconds AS "system_seconds?", u.peak_memory_bytes AS "peak_memory_bytes?",
                  u.read_bytes AS "read_bytes?", u.written_bytes AS "written_bytes?",
                  u.fetch_seconds AS "fetch_seconds?", u.install_seconds AS "install_seconds?",
                  u.build_seconds AS "build_seconds?", u.phase_seconds AS "phases?"
           FROM attempts a JOIN packages p ON p.id = a.package_id JOIN drones d ON d.id = a.drone_id
                LEFT JOIN attempt_usage u ON u.attempt_id = a.id
           WHERE a.package_id = COALESCE($1, a.package_id) AND a.id = COALESCE($2, a.id)
           ORDER BY a.number"#,
        package.map(|package| package.0),
        attempt.map(|attempt| attempt.0)
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(AttemptDetail::from).collect())
}

/// The attempts at a package, oldest first.
pub async fn of_package(db: impl PgExecutor<'_>, package: PackageId) -> sqlx::Result<Vec<Attempt>> {
    let found = list(db, Some(package), None).await?;
    Ok(found.into_iter().map(|detail| detail.attempt).collect())
}

/// One attempt.
pub async fn detail(db: impl PgExecutor<'_>, attempt: AttemptId) -> sqlx::Result<Option<AttemptDetail>> {
    Ok(list(db, None, Some(attempt)).await?.pop())
}

/// Stores what an attempt used; the first word stands.
pub(super) async fn used(tx: &mut PgConnection, attempt: AttemptId, usage: &Usage) -> sqlx::Result<()> {
    let bytes = |value| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO attempt_usage (attempt_id, sampled, user_seconds, system_seconds, peak_memory_bytes, read_bytes,
                                    written_bytes, fetch_seconds, install_seconds, build_seconds, phase_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        attempt.0,
        usage.sampled,
        usage.user_seconds,
        usage.system_seconds,
        bytes(usage.peak_memory_bytes),
        bytes(usage.read_bytes),
        bytes(usage.written_bytes),
        usage.fetch_seconds,
        usage.install_seconds,
        usage.build_seconds,
        &usage.phases.named().map(|(_, seconds)| seconds)[..]
    )
    .execute(tx)
    .await?;
    Ok(())
}
