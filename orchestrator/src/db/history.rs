//! What builds took: a table of its own, since it outlives the runs and attempts that it comes from.
//!
//! Where the drone has measured it, that is the time of installing the dependencies and of building: what an upload to a
//! busy binhost took, or upstream, says nothing of the next time. Wall-clock time and not processor time: a package that
//! configures for long on one core and one that compiles on all would need the same of the latter, and take times
//! that differ by as many cores.

use crate::history::Build;
use crate::scheduler::Needs;
use crate::speed::Timed;
use sqlx::{PgConnection, PgExecutor};
use std::collections::BTreeMap;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{AttemptId, DroneId, RunId};

/// How many of the newest builds say how fast drones are.
const NEWEST: i64 = 5000;

/// How many of the newest builds of a package are kept: more than count for an estimate, so that several drones and
/// versions are among them.
const KEPT: i64 = 20;

/// Writes down what the build of a received artifact took. A build that was cut off counts from where it began.
pub(super) async fn record(tx: &mut PgConnection, attempt: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH new AS (
             INSERT INTO builds (target_id, drone_id, cpv, seconds, memory_bytes, disk_bytes, halvings, fetch_bytes)
             SELECT r.target_id, a.drone_id, p.cpv,
                    COALESCE(NULLIF(u.install_seconds + u.build_seconds, 0),
                             extract(epoch FROM a.completed_at - COALESCE(o.started_at, a.started_at))::float8),
                    COALESCE(u.peak_memory_bytes, 0), COALESCE(u.written_bytes, 0), a.halvings,
                    (p.about ->> 'fetch_bytes')::bigint
             FROM attempts a JOIN packages p ON p.id = a.package_id JOIN runs r ON r.id = p.run_id
                  LEFT JOIN attempts o ON o.id = a.continues LEFT JOIN attempt_usage u ON u.attempt_id = a.id
             WHERE a.id = $1 AND a.completed_at > a.started_at
             RETURNING target_id, package)
         DELETE FROM builds WHERE id IN (
             SELECT b.id FROM builds b JOIN new ON b.target_id = new.target_id AND b.package = new.package
             ORDER BY b.id DESC OFFSET $2)",
        attempt.0,
        // The new one is not seen by its own statement.
        KEPT - 1
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The builds for the target of `run`, newest first.
pub async fn of_target(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Vec<Build>> {
    let rows = sqlx::query!(
        r#"SELECT b.cpv AS "cpv: Cpv", d.speed * b.seconds AS "seconds!", b.memory_bytes, b.disk_bytes, b.halvings,
                  b.fetch_bytes
           FROM builds b JOIN drones d ON d.id = b.drone_id
           WHERE b.target_id = (SELECT target_id FROM runs WHERE id = $1) ORDER BY b.id DESC"#,
        run.0
    );
    let builds = rows.fetch_all(db).await?.into_iter().map(|row| Build {
        cpv: row.cpv,
        seconds: row.seconds,
        used: Needs {
            memory_bytes: row.memory_bytes.unsigned_abs(),
            disk_bytes: row.disk_bytes.unsigned_abs(),
        },
        halvings: row.halvings,
        fetch_bytes: row.fetch_bytes.map(i64::unsigned_abs),
    });
    Ok(builds.collect())
}

/// The newest builds, with their drones.
pub async fn timed(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Timed>> {
    sqlx::query_as!(
        Timed,
        r#"SELECT cpv AS "cpv: Cpv", drone_id AS "drone: DroneId", seconds FROM builds ORDER BY id DESC LIMIT $1"#,
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
