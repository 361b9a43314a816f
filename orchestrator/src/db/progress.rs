//! How a run gets on: what is left of it, and what its builds have taken so far.

use sqlx::PgExecutor;
use swarm_protocol::id::RunId;

/// The numbers that a forecast is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The estimates of all that is needed or delegated, in seconds on a drone of speed 1.
    pub work_seconds: f64,
    /// The longest chain of them in which each waits for the one before.
    pub chain_seconds: f64,
    /// The speeds of the online drones, added up.
    pub speeds: f64,
    /// The speed of the fastest.
    pub fastest: f64,
    /// What received builds took by what was expected: the quartiles.
    pub taken_by_expected: Option<Vec<f64>>,
    /// How many packages were received in each of the last 24 hours, this hour first.
    pub received_by_hour: Vec<i64>,
}

/// Reads them.
pub async fn of_run(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Progress> {
    sqlx::query_as!(
        Progress,
        // A rank is a package's estimate and the longest chain behind it: the greatest one is the longest chain of all.
        // The clock is read once: it is a table's, and there are thousands of builds.
        r#"WITH now AS MATERIALIZED (SELECT swarm_now() AS at),
           open AS (
               SELECT COALESCE(sum(estimate_seconds), 0) AS work, COALESCE(max(rank), 0) AS chain
               FROM packages WHERE run_id = $1 AND state IN ('needed', 'delegated')),
           fleet AS (
               SELECT COALESCE(sum(speed), 0) AS speeds, COALESCE(max(speed), 0) AS fastest
               FROM drones WHERE state = 'online'),
           built AS (
               SELECT extract(epoch FROM a.ended_at - a.started_at)::float8 * d.speed / NULLIF(p.estimate_seconds, 0) AS ratio,
                      floor(extract(epoch FROM now.at - a.ended_at) / 3600)::integer AS hour
               FROM now CROSS JOIN packages p JOIN attempts a ON a.package_id = p.id JOIN drones d ON d.id = a.drone_id
               WHERE p.run_id = $1 AND a.outcome = 'received' AND a.started_at IS NOT NULL),
           by_hour AS (SELECT hour, count(*) AS received FROM built GROUP BY hour)
           SELECT open.work AS "work_seconds!", open.chain AS "chain_seconds!", fleet.speeds AS "speeds!",
                  fleet.fastest AS "fastest!",
                  (SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY ratio)
                   FROM built WHERE ratio IS NOT NULL) AS taken_by_expected,
                  ARRAY(SELECT COALESCE(received, 0)
                        FROM generate_series(0, 23) AS hours (hour) LEFT JOIN by_hour USING (hour)
                        ORDER BY hour) AS "received_by_hour!"
           FROM open, fleet"#,
        run.0
    )
    .fetch_one(db)
    .await
}
