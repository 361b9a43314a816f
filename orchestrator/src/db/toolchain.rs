//! Which toolchain a run was built with, and which one its plan asks for: see [`crate::toolchain`].

use sqlx::PgConnection;
use sqlx::types::Json;
use swarm_protocol::Digest;
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{BuildId, RunId, TargetId};

/// The toolchain of a run, beyond that of the drones' own base roots.
#[derive(Debug)]
pub struct Toolchain {
    /// What the base root had of it in which the run was resolved and built.
    pub built_with: Vec<Dependency>,
    /// What a base root has of it that is not behind the run's plan.
    pub wanted: Vec<Dependency>,
}

/// That of a run; none, where it has no definition.
pub async fn of_run(tx: &mut PgConnection, run: RunId) -> sqlx::Result<Option<Toolchain>> {
    let row = sqlx::query!(
        r#"SELECT r.toolchain <> '{}' AS "moved!", d.toolchain AS "toolchain: Json<Vec<Dependency>>"
           FROM runs r JOIN definitions d ON d.id = r.definition_id WHERE r.id = $1"#,
        run.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let built_with = row.toolchain.0;
    let wanted = if row.moved { moved(tx, run).await? } else { built_with.clone() };
    Ok(Some(Toolchain { built_with, wanted }))
}

/// The run whose set a target's clients see.
pub async fn current_run(tx: &mut PgConnection, target: TargetId) -> sqlx::Result<Option<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT COALESCE(g.run_id, o.run_id) AS "run!: RunId"
           FROM generations g LEFT JOIN generations o ON o.target_id = g.target_id AND o.number = g.republishes
           WHERE g.target_id = $1 AND g.state = 'current' AND g.learned_at IS NULL"#,
        target.0
    )
    .fetch_optional(tx)
    .await
}

/// The targets whose newest definition has a withdrawn artifact in its toolchain.
pub async fn withdrawn(tx: &mut PgConnection) -> sqlx::Result<Vec<(TargetId, TargetName)>> {
    let rows = sqlx::query!(
        r#"SELECT t.id AS "target: TargetId", t.name AS "name: TargetName"
           FROM targets t JOIN definitions d ON d.target_id = t.id
           WHERE d.number = (SELECT max(number) FROM definitions WHERE target_id = t.id) AND EXISTS (
               SELECT FROM jsonb_array_elements(d.toolchain) AS package
                    JOIN artifacts f ON f.target_id = t.id AND f.published = package->>'published'
               WHERE f.withdrawn_at IS NOT NULL)
           ORDER BY t.id"#
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.target, row.name)).collect())
}

/// What `run` has of the toolchain that its plan moves, in the order of the installation.
async fn moved(tx: &mut PgConnection, run: RunId) -> sqlx::Result<Vec<Dependency>> {
    let rows = sqlx::query!(
        r#"SELECT p.cpv AS "cpv: Cpv", f.build_id AS "build_id: BuildId", f.path, f.published AS "published: Digest", f.size
           FROM runs r JOIN packages p ON p.run_id = r.id AND p.stage = 0 AND p.cpv = ANY(r.toolchain)
                JOIN artifacts f ON f.id = p.artifact_id
           WHERE r.id = $1 ORDER BY array_position(r.toolchain, p.cpv)"#,
        run.0
    )
    .fetch_all(tx)
    .await?;
    let dependency = rows.into_iter().map(|row| Dependency {
        cpv: row.cpv,
        build_id: row.build_id,
        path: row.path,
        published: row.published,
        size: u64::try_from(row.size).unwrap_or_default(),
    });
    Ok(dependency.collect())
}
