//! The counters of a run's packages, counted anew from its waits: what [`super::spread`] keeps, and what must come out
//! the same. Only a sweep that has found them wrong asks for it.

use crate::db::events::{self, NewEvent};
use crate::db::runs;
use sqlx::PgConnection;
use swarm_protocol::id::{PackageId, RunId};

/// Sets right what differs, and says so in an event for each package. The run is locked: no transition of its packages
/// is under way, so what is counted is what there is.
pub async fn recount(tx: &mut PgConnection, run: RunId) -> sqlx::Result<()> {
    runs::lock(&mut *tx, run).await?;
    let changed = sqlx::query!(
        r#"WITH RECURSIVE out_of_reach AS (
               SELECT id FROM packages WHERE run_id = $1 AND state = 'quarantined'
               UNION
               SELECT p.id FROM out_of_reach o JOIN waits w ON w.on_package_id = o.id
                      JOIN packages p ON p.id = w.package_id AND p.state IN ('needed', 'blocked')
           ), counted AS (
               SELECT p.id, count(d.id) FILTER (WHERE d.state <> 'received')::integer AS unmet,
                      count(o.id)::integer AS stuck,
                      (SELECT COALESCE(max(a.number), 0) FROM attempts a WHERE a.package_id = p.id) AS attempts
               FROM packages p LEFT JOIN waits w ON w.package_id = p.id LEFT JOIN packages d ON d.id = w.on_package_id
                    LEFT JOIN out_of_reach o ON o.id = d.id
               WHERE p.run_id = $1 AND p.state IN ('needed', 'blocked') GROUP BY p.id
           ), wrong AS (
               SELECT c.*, p.state = 'blocked' AS was_blocked FROM packages p JOIN counted c ON c.id = p.id
               WHERE p.unmet <> c.unmet OR p.stuck <> c.stuck OR p.attempts < c.attempts
               ORDER BY p.id FOR UPDATE OF p)
           UPDATE packages p SET unmet = w.unmet, stuck = w.stuck, attempts = GREATEST(p.attempts, w.attempts),
               state = (CASE WHEN w.stuck > 0 THEN 'blocked' ELSE 'needed' END)::package_state,
               reason = CASE WHEN w.stuck > 0 THEN COALESCE(p.reason, 'waits behind what is quarantined') END,
               ready_since = CASE WHEN w.unmet = 0 THEN swarm_now() ELSE p.ready_since END
           FROM wrong w WHERE p.id = w.id
           RETURNING p.id AS "id: PackageId", p.unmet, p.stuck, w.was_blocked AS "was_blocked!""#,
        run.0
    )
    .fetch_all(&mut *tx)
    .await?;
    for package in changed {
        let kind = match (package.was_blocked, package.stuck > 0) {
            (false, true) => "package.blocked",
            (true, false) => "package.unblocked",
            _ => "package.recounted",
        };
        let data = serde_json::json!({ "unmet": package.unmet, "stuck": package.stuck });
        let package = Some(package.id);
        events::append(tx, NewEvent { kind, run: Some(run), package, data, ..NewEvent::default() }).await?;
    }
    Ok(())
}
