//! The matrix of packages and drones, summed up by drone and by run.

use crate::machine::blame::{DroneEvidence, RunEvidence};
use sqlx::PgExecutor;
use swarm_protocol::id::{DroneId, RunId};

/// How far back failures count, in seconds: a day.
const WINDOW_SECONDS: f64 = 86_400.0;

/// Against the drones that are online.
pub async fn drones(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<DroneEvidence>> {
    sqlx::query_as!(
        DroneEvidence,
        r#"WITH recent AS (
               SELECT a.drone_id, a.package_id, a.outcome FROM attempts a JOIN drones d ON d.id = a.drone_id
               WHERE d.state = 'online' AND (a.outcome = 'received' OR a.class = 'package')
                 AND a.ended_at > GREATEST(d.blamed_since, swarm_now() - make_interval(secs => $1)))
           SELECT drone_id AS "drone: DroneId",
                  count(DISTINCT package_id) FILTER (WHERE outcome = 'failed' AND EXISTS (
                      SELECT FROM attempts b WHERE b.package_id = recent.package_id AND b.outcome = 'received'
                         AND b.drone_id <> recent.drone_id)) AS "blamed!",
                  count(DISTINCT package_id) FILTER (WHERE outcome = 'received') AS "built!"
           FROM recent GROUP BY drone_id ORDER BY drone_id"#,
        WINDOW_SECONDS
    )
    .fetch_all(db)
    .await
}

/// Against the runs that build.
pub async fn runs(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<RunEvidence>> {
    sqlx::query_as!(
        RunEvidence,
        r#"SELECT r.id AS "run: RunId", count(DISTINCT a.package_id) AS "packages!",
                  count(DISTINCT a.drone_id) AS "drones!"
           FROM runs r JOIN packages p ON p.run_id = r.id JOIN attempts a ON a.package_id = p.id
           WHERE r.state = 'building' AND a.class = 'package' AND a.ended_at > r.blamed_since
             AND a.ended_at > COALESCE((SELECT max(g.ended_at) FROM packages q JOIN attempts g ON g.package_id = q.id
                                        WHERE q.run_id = r.id AND g.outcome = 'received'), '-infinity')
           GROUP BY r.id ORDER BY r.id"#
    )
    .fetch_all(db)
    .await
}
