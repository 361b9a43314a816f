//! What the scheduler sees, read in two statements.

use crate::scheduler::Ready;
use sqlx::PgExecutor;
use swarm_protocol::Digest;
use swarm_protocol::id::{DroneId, PackageId};

/// How many ready packages a snapshot holds: far more than drones take before the next one is read.
const MOST: i64 = 4096;

/// Packages that nothing but a pause holds back, by rank.
pub async fn ready(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Ready>> {
    sqlx::query_as!(
        Ready,
        r#"SELECT p.id AS "package: PackageId", e.digest AS "epoch: Digest", p.rank, p.estimate_seconds, p.not_before,
                  (SELECT a.drone_id FROM attempts a WHERE a.package_id = p.id AND a.outcome = 'failed'
                     AND a.number > p.forgiven
                   ORDER BY a.number DESC LIMIT 1) AS "failed_on: DroneId"
           FROM runs r JOIN epochs e ON e.id = r.epoch_id JOIN packages p ON p.run_id = r.id
           WHERE r.state = 'building' AND p.state = 'needed' AND p.unmet = 0
           ORDER BY p.rank DESC, p.id LIMIT $1"#,
        MOST
    )
    .fetch_all(db)
    .await
}

/// Drones that are online.
pub async fn online(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<DroneId>> {
    sqlx::query_scalar!(r#"SELECT id AS "id: DroneId" FROM drones WHERE state = 'online' ORDER BY id"#)
        .fetch_all(db)
        .await
}
