//! What the packages that wait for another one learn: counters, changed under the dependents' locks, by id.

use crate::db::events::{self, NewEvent};
use crate::machine::package::Spread;
use sqlx::PgConnection;
use swarm_protocol::id::{PackageId, RunId};

/// Tells the dependents of `package`, and where their own reach changes, theirs.
pub(super) async fn spread(
    tx: &mut PgConnection,
    run: RunId,
    package: PackageId,
    spread: Spread,
) -> sqlx::Result<()> {
    match spread {
        Spread::Nothing => Ok(()),
        Spread::Received => received(tx, package).await,
        Spread::Stuck => cascade(tx, run, package, 1).await,
        Spread::Unstuck => cascade(tx, run, package, -1).await,
    }
}

async fn received(tx: &mut PgConnection, package: PackageId) -> sqlx::Result<()> {
    sqlx::query!(
        // Arrays rather than joins: a plan made before the tables have statistics would read all packages.
        "WITH dependents AS (
             SELECT id FROM packages WHERE id = ANY (ARRAY(SELECT package_id FROM waits WHERE on_package_id = $1))
             ORDER BY id FOR UPDATE)
         UPDATE packages SET unmet = unmet - 1, ready_since = CASE WHEN unmet = 1 THEN swarm_now() ELSE ready_since END
         WHERE id = ANY (ARRAY(SELECT id FROM dependents))",
        package.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds `by` to `stuck` of all that wait for `root`. A package whose `stuck` leaves or reaches 0 changes between
/// *needed* and *blocked*, and the packages that wait for it learn the same in the next round. Waits have no cycles,
/// so the rounds end.
async fn cascade(tx: &mut PgConnection, run: RunId, root: PackageId, by: i32) -> sqlx::Result<()> {
    let mut frontier = vec![root.0];
    let cpv =
        sqlx::query_scalar!("SELECT cpv FROM packages WHERE id = $1", root.0).fetch_one(&mut *tx).await?;
    while !frontier.is_empty() {
        let moved = sqlx::query_scalar!(
            r#"WITH dependents AS (
                   SELECT p.id, p.stuck FROM packages p
                   WHERE p.id IN (SELECT package_id FROM waits WHERE on_package_id = ANY($1))
                   ORDER BY p.id FOR UPDATE
               ), counted AS (
                   SELECT d.id, d.stuck AS before,
                          d.stuck + $2 * (SELECT count(*)::integer FROM waits w
                                          WHERE w.package_id = d.id AND w.on_package_id = ANY($1)) AS after
                   FROM dependents d
               ), changed AS (
                   UPDATE packages SET stuck = c.after,
                       state = (CASE WHEN c.after > 0 THEN 'blocked' ELSE 'needed' END)::package_state,
                       reason = CASE WHEN c.after > 0 THEN COALESCE(packages.reason, $3) END
                   FROM counted c WHERE packages.id = c.id
                   RETURNING packages.id, (c.before = 0) <> (c.after = 0) AS moved
               )
               SELECT id FROM changed WHERE moved ORDER BY id"#,
            &frontier,
            by,
            format!("waits behind {cpv}")
        )
        .fetch_all(&mut *tx)
        .await?;
        for &package in &moved {
            let kind = if by > 0 { "package.blocked" } else { "package.unblocked" };
            let data = serde_json::json!({ "behind": root });
            let package = Some(PackageId(package));
            events::append(tx, NewEvent { kind, run: Some(run), package, data, ..NewEvent::default() })
                .await?;
        }
        frontier = moved;
    }
    Ok(())
}
