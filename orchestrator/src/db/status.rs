//! The swarm at a glance: a few statements, whose cost grows with what is open and not with what has been.

use super::{drones, runs};
use sqlx::{PgExecutor, PgPool};
use std::collections::HashMap;
use swarm_protocol::admin::{Obstacle, RunStatus, Status, TargetStatus};
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{GenerationNumber, PackageId, RunId};

/// Reads it, of one target where it is named; `degraded` is what the process knows of its own health.
pub async fn read(db: &PgPool, target: Option<&TargetName>, degraded: Vec<String>) -> sqlx::Result<Status> {
    let (now, targets, runs, drones) =
        tokio::try_join!(super::now(db), targets(db, target), open_runs(db, target), drones::list(db, None))?;
    let version = Some(swarm_protocol::VERSION.to_owned());
    Ok(Status { now, version, degraded, targets, runs, drones })
}

async fn open_runs(db: &PgPool, target: Option<&TargetName>) -> sqlx::Result<Vec<RunStatus>> {
    let filter = runs::Filter { target, open: true, ..runs::Filter::default() };
    let mut open = Vec::new();
    for run in runs::list(db, &filter).await? {
        let quarantined = if run.counts.quarantined > 0 { quarantined(db, run.id).await? } else { vec![] };
        open.push(RunStatus { run, quarantined });
    }
    Ok(open)
}

async fn targets(db: impl PgExecutor<'_>, name: Option<&TargetName>) -> sqlx::Result<Vec<TargetStatus>> {
    sqlx::query_as!(
        TargetStatus,
        r#"SELECT t.name AS "name: TargetName", (SELECT count(*)::integer FROM (SELECT unnest(t.world) UNION
                      SELECT unnest(w.world) FROM workstations w WHERE w.target_id = t.id) AS wanted) AS "world!", g.promoted_at AS "promoted_at?",
                  g.number AS "current?: GenerationNumber"
           FROM targets t LEFT JOIN generations g ON g.target_id = t.id AND g.state = 'current'
           WHERE $1::text IS NULL OR t.name = $1 ORDER BY t.name"#,
        name.map(TargetName::as_str)
    )
    .fetch_all(db)
    .await
}

/// The quarantined packages of a run, and what is blocked behind each.
async fn quarantined(db: &PgPool, run: RunId) -> sqlx::Result<Vec<Obstacle>> {
    let blocked = behind(&blocked(db, run).await?);
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PackageId", cpv AS "cpv: Cpv", reason, position FROM packages
           WHERE run_id = $1 AND state = 'quarantined' ORDER BY position"#,
        run.0
    );
    let obstacles = rows.fetch_all(db).await?.into_iter().map(|row| Obstacle {
        package: row.id,
        cpv: row.cpv,
        reason: row.reason,
        blocks: blocked.get(&row.position).copied().unwrap_or_default(),
    });
    Ok(obstacles.collect())
}

/// For each blocked package one that it waits for and that is out of reach: a quarantined one if there is one, else the
/// first that is blocked itself. Both by their positions in the run.
async fn blocked(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<HashMap<i32, i32>> {
    let rows = sqlx::query!(
        // The array makes Postgres read the waits of what is blocked, and not those of the whole queue.
        r#"WITH stuck AS MATERIALIZED (
               SELECT id, position, state FROM packages WHERE run_id = $1 AND state IN ('quarantined', 'blocked')
           ), held AS (
               SELECT w.package_id, COALESCE(min(o.position) FILTER (WHERE o.state = 'quarantined'), min(o.position)) AS by
               FROM waits w JOIN stuck o ON o.id = w.on_package_id
               WHERE w.package_id = ANY(ARRAY(SELECT id FROM stuck WHERE state = 'blocked')) GROUP BY w.package_id)
           SELECT p.position AS "position!", h.by AS "by!" FROM held h JOIN stuck p ON p.id = h.package_id"#,
        run.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.position, row.by)).collect())
}

/// How many packages are behind each of those that are blocked by none.
fn behind(blocked: &HashMap<i32, i32>) -> HashMap<i32, usize> {
    let mut counts = HashMap::new();
    for first in blocked.values() {
        let mut root = first;
        // Waits have no cycles, so the way ends.
        while let Some(next) = blocked.get(root) {
            root = next;
        }
        *counts.entry(*root).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blocked_package_counts_once() {
        // 1 and 2 are quarantined; 3 and 4 wait for 1, 5 for 4, 6 for 2.
        let blocked = [(3, 1), (4, 1), (5, 4), (6, 2)].into();
        assert_eq!(behind(&blocked), [(1, 3), (2, 1)].into());
    }
}
