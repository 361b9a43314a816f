//! A drone's record: its machine, its latest heartbeat, and what it has done lately.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{AttemptId, DroneId, PackageId};
use swarm_protocol::state::{FailureClass, Outcome};

/// What is known of a drone beside its state.
#[derive(Debug)]
pub struct Machine {
    /// How much faster it builds than a drone of speed 1.
    pub speed: f64,
    /// How often it was grounded for failing since it built something.
    pub groundings: i32,
    /// The version of its program.
    pub version: Option<String>,
    /// Its processors.
    pub cores: Option<i32>,
    /// Its memory.
    pub memory_bytes: Option<i64>,
    /// The one-minute load average at its last heartbeat.
    pub load: Option<f32>,
    /// The phase of the ebuild that it is at.
    pub phase: Option<String>,
}

/// Reads it.
pub async fn machine(db: impl PgExecutor<'_>, drone: DroneId) -> sqlx::Result<Machine> {
    sqlx::query_as!(
        Machine,
        r#"SELECT d.speed, d.groundings, s.version AS "version?", s.cores AS "cores?", s.memory_bytes AS "memory_bytes?",
                  p.load AS "load?",
                  (SELECT q.phase FROM attempts a JOIN attempt_pulse q ON q.attempt_id = a.id
                   WHERE a.session_id = s.id AND a.phase = 'building' ORDER BY a.id LIMIT 1) AS phase
           FROM drones d LEFT JOIN sessions s ON s.drone_id = d.id AND s.ended_at IS NULL
                LEFT JOIN drone_pulse p ON p.drone_id = d.id
           WHERE d.id = $1"#,
        drone.0
    )
    .fetch_one(db)
    .await
}

/// An attempt of the drone that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The attempt.
    pub attempt: AttemptId,
    /// The package.
    pub package: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose fault a failure was.
    pub class: Option<FailureClass>,
    /// A sentence on why.
    pub reason: Option<String>,
    /// When it began to build.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
}

/// The newest of them, newest first, of its last twenty sessions.
pub async fn ended(db: impl PgExecutor<'_>, drone: DroneId, most: i64) -> sqlx::Result<Vec<Ended>> {
    sqlx::query_as!(
        Ended,
        r#"SELECT a.id AS "attempt: AttemptId", p.id AS "package: PackageId", p.cpv AS "cpv: Cpv",
                  a.outcome AS "outcome!: Outcome", a.class AS "class: FailureClass", a.reason, a.started_at,
                  a.ended_at AS "ended_at!"
           FROM attempts a JOIN packages p ON p.id = a.package_id
           -- By its newest sessions, which an index knows: a drone that did little would have all attempts searched.
           WHERE a.session_id = ANY(ARRAY(SELECT id FROM sessions WHERE drone_id = $1 ORDER BY id DESC LIMIT 20))
             AND a.phase = 'ended' ORDER BY a.id DESC LIMIT $2"#,
        drone.0,
        most
    )
    .fetch_all(db)
    .await
}
