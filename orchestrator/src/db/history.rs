//! What builds took.
//!
//! Where the drone has measured it, that is the time of installing the dependencies and of building: what an upload to a
//! busy binhost took, or upstream, says nothing of the next time. Wall-clock time and not processor time: a package that
//! configures for long on one core and one that compiles on all would need the same of the latter, and take times
//! that differ by as many cores.

use crate::history::Build;
use crate::scheduler::Needs;
use crate::speed::Timed;
use sqlx::PgExecutor;
use std::collections::BTreeMap;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{DroneId, RunId};

/// How many of the newest builds say how fast drones are.
const NEWEST: i64 = 5000;

/// The received builds of the target of `run`, newest first. A build that was cut off counts from where it began.
pub async fn of_target(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Vec<Build>> {
    let rows = sqlx::query!(
        r#"SELECT f.cpv AS "cpv: Cpv",
                  d.speed * COALESCE(u.install_seconds + u.build_seconds,
                                     extract(epoch FROM a.completed_at - COALESCE(o.started_at, a.started_at))::float8)
                      AS "seconds!",
                  a.halvings, COALESCE(u.peak_memory_bytes, 0) AS "memory_bytes!", COALESCE(u.written_bytes, 0) AS "disk_bytes!"
           FROM artifacts f JOIN attempts a ON a.id = f.attempt_id JOIN drones d ON d.id = a.drone_id
                LEFT JOIN attempts o ON o.id = a.continues LEFT JOIN attempt_usage u ON u.attempt_id = a.id
           WHERE f.target_id = (SELECT target_id FROM runs WHERE id = $1)
             AND a.completed_at > a.started_at
           ORDER BY f.id DESC"#,
        run.0
    );
    let build = |memory_bytes: i64, disk_bytes: i64| Needs {
        memory_bytes: memory_bytes.unsigned_abs(),
        disk_bytes: disk_bytes.unsigned_abs(),
    };
    let rows = rows.fetch_all(db).await?;
    let builds = rows.into_iter().map(|row| Build {
        cpv: row.cpv,
        seconds: row.seconds,
        used: build(row.memory_bytes, row.disk_bytes),
        halvings: row.halvings,
    });
    Ok(builds.collect())
}

/// The newest received builds, with their drones.
pub async fn timed(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Timed>> {
    sqlx::query_as!(
        Timed,
        r#"SELECT p.cpv AS "cpv: Cpv", a.drone_id AS "drone: DroneId",
                  COALESCE(u.install_seconds + u.build_seconds,
                           extract(epoch FROM a.completed_at - COALESCE(o.started_at, a.started_at))::float8) AS "seconds!"
           FROM attempts a JOIN packages p ON p.id = a.package_id LEFT JOIN attempts o ON o.id = a.continues
                LEFT JOIN attempt_usage u ON u.attempt_id = a.id
           WHERE a.outcome = 'received' AND a.completed_at > a.started_at
           ORDER BY a.id DESC LIMIT $1"#,
        NEWEST
    )
    .fetch_all(db)
    .await
}

/// Sets the speeds of drones where they are others than before.
pub async fn set_speeds(db: impl PgExecutor<'_>, speeds: &BTreeMap<DroneId, f64>) -> sqlx::Result<()> {
    let (drones, speeds): (Vec<_>, Vec<_>) = speeds.iter().map(|(drone, speed)| (drone.0, *speed)).unzip();
    sqlx::query!(
        "UPDATE drones d SET speed = n.speed FROM UNNEST($1::bigint[], $2::float8[]) AS n (id, speed)
         WHERE d.id = n.id AND d.speed <> n.speed",
        &drones,
        &speeds
    )
    .execute(db)
    .await?;
    Ok(())
}
