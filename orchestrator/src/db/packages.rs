//! Packages of a run, as people see them.

use super::attempts;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::BTreeMap;
use swarm_protocol::Digest;
use swarm_protocol::admin::{Artifact, Need, Neighbour, Package, PackageDetail};
use swarm_protocol::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use swarm_protocol::id::{BuildId, PackageId, RunId};
use swarm_protocol::plan::About;
use swarm_protocol::state::{EdgeKind, PackageState, RunState};

struct Row {
    id: PackageId,
    cpv: Cpv,
    stage: i16,
    slot: Slot,
    state: PackageState,
    unmet: i32,
    rank: f64,
    priority: i16,
    attempts: i32,
    holder: Option<String>,
    not_before: Option<DateTime<Utc>>,
    reason: Option<String>,
    built: Option<Digest>,
    published: Option<Digest>,
    build_id: Option<BuildId>,
    path: Option<String>,
    size: Option<i64>,
    drone: Option<String>,
    about: Option<Json<About>>,
}

impl From<Row> for Package {
    fn from(row: Row) -> Self {
        let artifact = match (row.built, row.published, row.build_id, row.path, row.size, row.drone) {
            (Some(built), Some(published), Some(build_id), Some(path), Some(size), Some(drone)) => {
                Some(Artifact { built, published, build_id, path, size, drone })
            }
            _ => None,
        };
        Self {
            id: row.id,
            cpv: row.cpv,
            stage: row.stage,
            slot: row.slot,
            state: row.state,
            unmet: row.unmet,
            rank: row.rank,
            priority: row.priority,
            attempts: row.attempts,
            drone: row.holder,
            not_before: row.not_before,
            reason: row.reason,
            artifact,
            about: row.about.map(|about| about.0),
        }
    }
}

/// The packages of a run by rank, or the one that is named.
pub async fn list(
    db: impl PgExecutor<'_>,
    run: Option<RunId>,
    package: Option<PackageId>,
) -> sqlx::Result<Vec<Package>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.stage, p.slot AS "slot: Slot",
                  p.state AS "state: PackageState", p.unmet, p.rank, p.priority, p.attempts,
                  (SELECT h.name FROM attempts l JOIN drones h ON h.id = l.drone_id
                   WHERE l.package_id = p.id AND l.phase <> 'ended') AS holder, p.not_before, p.reason,
                  f.built AS "built?: Digest", f.published AS "published?: Digest", f.build_id AS "build_id?: BuildId",
                  f.path AS "path?", f.size AS "size?", d.name AS "drone?", p.about AS "about: Json<About>"
           FROM packages p LEFT JOIN artifacts f ON f.id = p.artifact_id LEFT JOIN attempts a ON a.id = f.attempt_id
                LEFT JOIN drones d ON d.id = a.drone_id
           WHERE p.run_id = COALESCE($1, p.run_id) AND p.id = COALESCE($2, p.id)
           ORDER BY p.rank DESC, p.id"#,
        run.map(|run| run.0),
        package.map(|package| package.0)
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Package::from).collect())
}

/// Gives a package this priority, and what it waits for as much at least; nothing where its run is over.
pub async fn prioritise(tx: &mut PgConnection, id: PackageId, priority: i16) -> sqlx::Result<Option<RunId>> {
    let run = sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r JOIN packages p ON p.run_id = r.id
           WHERE p.id = $1 AND r.state IN ('building', 'frozen') FOR SHARE OF r"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    // The rows are locked in the order of their ids, as everywhere (law 1).
    sqlx::query!(
        "WITH RECURSIVE cone AS (
             SELECT $1::bigint AS id UNION SELECT w.on_package_id FROM cone c JOIN waits w ON w.package_id = c.id),
         locked AS (
             SELECT id FROM packages WHERE id IN (SELECT id FROM cone) AND (state <> 'received' OR id = $1)
             ORDER BY id FOR UPDATE)
         UPDATE packages p SET priority = CASE WHEN p.id = $1 THEN $2 ELSE GREATEST(p.priority, $2) END
         FROM locked l WHERE p.id = l.id AND $3",
        id.0,
        priority,
        run.is_some()
    )
    .execute(&mut *tx)
    .await?;
    Ok(run)
}

/// A package with its surroundings.
pub async fn detail(db: &PgPool, id: PackageId) -> sqlx::Result<Option<PackageDetail>> {
    let Some(package) = list(db, None, Some(id)).await?.pop() else { return Ok(None) };
    let row = sqlx::query!(
        r#"SELECT r.id AS "run: RunId", r.state AS "state: RunState", t.name AS "target: TargetName",
                  p.repository AS "repository: RepoName", p.use_flags AS "use_flags: Vec<UseFlag>", p.estimate_seconds,
                  swarm_now() AS "now!"
           FROM packages p JOIN runs r ON r.id = p.run_id JOIN targets t ON t.id = r.target_id WHERE p.id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await?;
    Ok(Some(PackageDetail {
        package,
        run: row.run,
        run_state: row.state,
        target: row.target,
        repository: row.repository,
        use_flags: row.use_flags,
        estimate_seconds: row.estimate_seconds,
        needs: needs(db, id).await?,
        waits_for: waits_for(db, id).await?,
        awaited_by: awaited_by(db, id).await?,
        tries: attempts::of_package(db, id).await?,
        now: row.now,
    }))
}

async fn needs(db: &PgPool, id: PackageId) -> sqlx::Result<Vec<Need>> {
    sqlx::query_as!(
        Need,
        r#"SELECT p.cpv AS "cpv: Cpv", e.kinds AS "kinds: Vec<EdgeKind>"
           FROM edges e JOIN packages p ON p.id = e.on_package_id WHERE e.package_id = $1 ORDER BY p.cpv"#,
        id.0
    )
    .fetch_all(db)
    .await
}

async fn waits_for(db: &PgPool, id: PackageId) -> sqlx::Result<Vec<Neighbour>> {
    sqlx::query_as!(
        Neighbour,
        r#"SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.stage, p.state AS "state: PackageState"
           FROM waits w JOIN packages p ON p.id = w.on_package_id WHERE w.package_id = $1 ORDER BY p.position"#,
        id.0
    )
    .fetch_all(db)
    .await
}

async fn awaited_by(db: &PgPool, id: PackageId) -> sqlx::Result<Vec<Neighbour>> {
    sqlx::query_as!(
        Neighbour,
        r#"SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.stage, p.state AS "state: PackageState"
           FROM waits w JOIN packages p ON p.id = w.package_id WHERE w.on_package_id = $1 ORDER BY p.position"#,
        id.0
    )
    .fetch_all(db)
    .await
}

/// Names and versions of packages.
pub async fn names(db: impl PgExecutor<'_>, ids: &[PackageId]) -> sqlx::Result<BTreeMap<PackageId, Cpv>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PackageId", cpv AS "cpv: Cpv" FROM packages WHERE id = ANY($1)"#,
        &ids
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id, row.cpv)).collect())
}

/// The quarantined packages behind which a package waits, however far away, each with its reason.
pub async fn quarantined_before(
    db: impl PgExecutor<'_>,
    id: PackageId,
) -> sqlx::Result<Vec<(Cpv, Option<String>)>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE behind AS (
               SELECT on_package_id AS id FROM waits WHERE package_id = $1
               UNION
               SELECT w.on_package_id FROM behind b JOIN packages p ON p.id = b.id AND p.state = 'blocked'
                      JOIN waits w ON w.package_id = b.id)
           SELECT p.cpv AS "cpv: Cpv", p.reason FROM behind b JOIN packages p ON p.id = b.id
           WHERE p.state = 'quarantined' ORDER BY p.cpv"#,
        id.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.cpv, row.reason)).collect())
}
