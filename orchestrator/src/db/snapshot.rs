//! What the scheduler sees, read in three statements.

use crate::scheduler::Needs;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use swarm_protocol::Digest;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{AttemptId, DroneId, PackageId, TargetId};

/// How many ready packages a snapshot holds: far more than drones take before the next one is read.
const MOST: i64 = 4096;

/// What is to be built.
#[derive(Debug)]
pub struct Job {
    /// The package.
    pub package: PackageId,
    /// Name and version.
    pub cpv: Cpv,
    /// Its run's target.
    pub target: TargetId,
    /// The target's name.
    pub target_name: TargetName,
    /// Its run's epoch.
    pub epoch: Digest,
    /// Its expected time on a drone of speed 1.
    pub estimate_seconds: f64,
    /// What earlier builds took.
    pub needs: Needs,
    /// The drones that failed it.
    pub failed_on: Vec<DroneId>,
}

/// A package that nothing but a pause holds back.
#[derive(Debug)]
pub struct Ready {
    /// What it is.
    pub job: Job,
    /// A person's wish.
    pub priority: i16,
    /// Its expected time plus that of the longest chain behind it.
    pub rank: f64,
    /// Since when nothing is unmet.
    pub ready_since: DateTime<Utc>,
    /// The end of its pause.
    pub not_before: Option<DateTime<Utc>>,
}

/// The columns that a [`Job`] is made of, in every row that has them.
macro_rules! job {
    ($row:expr) => {
        Job {
            package: $row.package,
            cpv: $row.cpv,
            target: $row.target,
            target_name: $row.target_name,
            epoch: $row.epoch,
            estimate_seconds: $row.estimate_seconds,
            needs: Needs {
                memory_bytes: $row.memory_bytes.unsigned_abs(),
                disk_bytes: $row.disk_bytes.unsigned_abs(),
            },
            failed_on: $row.failed_on,
        }
    };
}

/// Packages that nothing but a pause holds back, the most urgent of them.
pub async fn ready(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Ready>> {
    let rows = sqlx::query!(
        r#"SELECT p.id AS "package: PackageId", p.cpv AS "cpv: Cpv", t.id AS "target: TargetId",
                  t.name AS "target_name: TargetName", e.digest AS "epoch: Digest", p.priority, p.rank,
                  p.estimate_seconds, p.memory_bytes, p.disk_bytes, p.ready_since, p.not_before,
                  -- Few of thousands were tried before; the others are not asked about.
                  CASE WHEN p.attempts > p.forgiven THEN
                      ARRAY(SELECT DISTINCT a.drone_id FROM attempts a WHERE a.package_id = p.id AND a.outcome = 'failed'
                            AND a.number > p.forgiven) ELSE '{}' END AS "failed_on!: Vec<DroneId>"
           FROM runs r JOIN epochs e ON e.id = r.epoch_id JOIN targets t ON t.id = r.target_id
                JOIN packages p ON p.run_id = r.id
           WHERE r.state = 'building' AND p.state = 'needed' AND p.unmet = 0
           ORDER BY p.priority DESC, p.rank DESC, p.id LIMIT $1"#,
        MOST
    );
    let ready = rows.fetch_all(db).await?.into_iter().map(|row| Ready {
        priority: row.priority,
        rank: row.rank,
        ready_since: row.ready_since,
        not_before: row.not_before,
        job: job!(row),
    });
    Ok(ready.collect())
}

/// A drone that is online and means to go on.
#[derive(Debug)]
pub struct Online {
    /// The drone.
    pub drone: DroneId,
    /// Its name.
    pub name: String,
    /// How much faster it builds than a drone of speed 1.
    pub speed: f64,
    /// Bytes of memory in the machine.
    pub memory_bytes: i64,
    /// Bytes of disk that were free at its last heartbeat.
    pub disk_bytes: i64,
    /// It comes from a pause, and has built nothing since.
    pub on_probation: bool,
}

/// The drones that are online.
pub async fn online(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Online>> {
    sqlx::query_as!(
        Online,
        r#"SELECT d.id AS "drone: DroneId", d.name, d.speed, s.memory_bytes,
                  COALESCE(p.disk_free_bytes, 0) AS "disk_bytes!", d.groundings > 0 AS "on_probation!"
           FROM drones d JOIN sessions s ON s.drone_id = d.id AND s.ended_at IS NULL
                LEFT JOIN drone_pulse p ON p.drone_id = d.id
           WHERE d.state = 'online' AND NOT d.awaits_approval AND NOT COALESCE(p.stopping, false) ORDER BY d.id"#
    )
    .fetch_all(db)
    .await
}

/// A live attempt.
#[derive(Debug)]
pub struct Live {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who has it.
    pub drone: DroneId,
    /// When it got it.
    pub claimed_at: DateTime<Utc>,
    /// When its build began.
    pub started_at: Option<DateTime<Utc>>,
    /// Of what.
    pub job: Job,
}

/// All live attempts.
pub async fn live(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Live>> {
    let rows = sqlx::query!(
        r#"SELECT a.id AS "attempt: AttemptId", a.drone_id AS "drone: DroneId", p.id AS "package: PackageId",
                  p.cpv AS "cpv: Cpv", t.id AS "target: TargetId", t.name AS "target_name: TargetName",
                  e.digest AS "epoch: Digest", p.estimate_seconds, p.memory_bytes, p.disk_bytes, a.claimed_at,
                  COALESCE(o.started_at, a.started_at) AS started_at,
                  ARRAY(SELECT DISTINCT f.drone_id FROM attempts f WHERE f.package_id = p.id AND f.outcome = 'failed'
                        AND f.number > p.forgiven) AS "failed_on!: Vec<DroneId>"
           FROM attempts a JOIN packages p ON p.id = a.package_id JOIN runs r ON r.id = p.run_id
                JOIN targets t ON t.id = r.target_id JOIN epochs e ON e.id = r.epoch_id
                LEFT JOIN attempts o ON o.id = a.continues
           WHERE a.phase <> 'ended' ORDER BY a.phase DESC, a.id"#
    );
    let live = rows.fetch_all(db).await?.into_iter().map(|row| Live {
        attempt: row.attempt,
        drone: row.drone,
        claimed_at: row.claimed_at,
        started_at: row.started_at,
        job: job!(row),
    });
    Ok(live.collect())
}
