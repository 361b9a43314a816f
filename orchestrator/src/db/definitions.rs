//! Definitions: what targets are, as workstations pushed it.

use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::admin::DefinitionEntry;
use swarm_protocol::definition::{Bundle, Definition, RepositorySource};
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::{TargetName, WorkstationName};
use swarm_protocol::id::{DefinitionId, TargetId};

/// How many definitions of a target keep their bundles, whatever uses them.
pub const KEPT: i32 = 20;

/// Which definitions are asked for.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Those of this target.
    pub target: Option<TargetId>,
    /// This one of it.
    pub number: Option<i32>,
    /// These.
    pub ids: Option<&'a [DefinitionId]>,
    /// Those that drones shall hold: of runs that are not over, and the newest of each target.
    pub wanted: bool,
    /// So many at most, the newest of each target first.
    pub limit: Option<i64>,
}

/// The definitions that pass the filter, with their targets.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter<'_>,
) -> sqlx::Result<Vec<(TargetName, DefinitionEntry)>> {
    let ids: Option<Vec<_>> = filter.ids.map(|ids| ids.iter().map(|id| id.0).collect());
    let rows = sqlx::query!(
        r#"SELECT d.id AS "id: DefinitionId", t.name AS "target: TargetName", d.number, d.created_at,
                  d.workstation AS "workstation: WorkstationName", d.configuration AS "configuration: Json<Bundle>",
                  d.repositories AS "repositories: Json<Vec<RepositorySource>>",
                  d.toolchain AS "toolchain: Json<Vec<Dependency>>"
           FROM definitions d JOIN targets t ON t.id = d.target_id
           WHERE d.target_id = COALESCE($1, d.target_id) AND d.number = COALESCE($2, d.number)
             AND ($3::bigint[] IS NULL OR d.id = ANY($3))
             AND (NOT $4 OR d.number = (SELECT max(number) FROM definitions WHERE target_id = d.target_id)
                  OR EXISTS (SELECT FROM runs r WHERE r.definition_id = d.id AND r.ended_at IS NULL))
           ORDER BY d.target_id, d.number DESC LIMIT $5"#,
        filter.target.map(|target| target.0),
        filter.number,
        ids.as_deref(),
        filter.wanted,
        filter.limit
    )
    .fetch_all(db)
    .await?;
    let entry = rows.into_iter().map(|row| {
        let definition = Definition {
            id: row.id,
            number: row.number,
            configuration: row.configuration.0,
            repositories: row.repositories.0,
            toolchain: row.toolchain.0,
        };
        let entry = DefinitionEntry { definition, workstation: row.workstation, created_at: row.created_at };
        (row.target, entry)
    });
    Ok(entry.collect())
}

/// A target's definitions, newest first.
pub async fn history(
    db: impl PgExecutor<'_>,
    target: TargetId,
    limit: Option<i64>,
) -> sqlx::Result<Vec<DefinitionEntry>> {
    let filter = Filter { target: Some(target), limit, ..Filter::default() };
    Ok(list(db, &filter).await?.into_iter().map(|(_, entry)| entry).collect())
}

/// A target's newest definition.
pub async fn newest(tx: &mut PgConnection, target: TargetId) -> sqlx::Result<Option<DefinitionEntry>> {
    Ok(history(tx, target, Some(1)).await?.pop())
}

/// A definition that is to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// Its number.
    pub number: i32,
    /// The workstation that pushed it.
    pub workstation: WorkstationName,
    /// `/etc/portage`.
    pub configuration: Bundle,
    /// The repositories.
    pub repositories: Vec<RepositorySource>,
    /// What drones install in their base root.
    pub toolchain: Vec<Dependency>,
}

/// Makes a definition. The target is locked: nobody else counts on.
pub async fn insert(tx: &mut PgConnection, target: TargetId, new: New) -> sqlx::Result<DefinitionEntry> {
    let row = sqlx::query!(
        r#"INSERT INTO definitions (target_id, number, workstation, configuration, repositories, toolchain)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id AS "id: DefinitionId", created_at"#,
        target.0,
        new.number,
        new.workstation.as_str(),
        serde_json::to_value(new.configuration).unwrap_or_default(),
        serde_json::to_value(&new.repositories).unwrap_or_default(),
        serde_json::to_value(&new.toolchain).unwrap_or_default()
    )
    .fetch_one(tx)
    .await?;
    let New { number, workstation, configuration, repositories, toolchain } = new;
    let definition = Definition { id: row.id, number, configuration, repositories, toolchain };
    Ok(DefinitionEntry { definition, workstation, created_at: row.created_at })
}

/// The bundles that the binhost must keep: of the newest definitions of each target, of those under which a run that is
/// not over, or a generation that is kept, was begun, and what workstations have installed.
pub async fn needed_bundles(db: impl PgExecutor<'_> + Copy) -> sqlx::Result<Vec<Digest>> {
    let definitions = sqlx::query!(
        r#"SELECT d.configuration AS "configuration: Json<Bundle>",
                  d.repositories AS "repositories: Json<Vec<RepositorySource>>",
                  d.toolchain AS "toolchain: Json<Vec<Dependency>>"
           FROM definitions d
           WHERE d.number > (SELECT max(number) FROM definitions WHERE target_id = d.target_id) - $1
              OR EXISTS (SELECT FROM runs r WHERE r.definition_id = d.id AND r.ended_at IS NULL)
              OR EXISTS (SELECT FROM generations g
                         LEFT JOIN generations o ON o.target_id = g.target_id AND o.number = g.republishes
                         JOIN runs r ON r.id = COALESCE(g.run_id, o.run_id)
                         WHERE r.definition_id = d.id AND g.removed_at IS NULL)"#,
        KEPT
    )
    .fetch_all(db)
    .await?;
    let installed = sqlx::query_scalar!(
        r#"SELECT installed AS "installed!: Json<Bundle>" FROM workstations WHERE installed IS NOT NULL"#
    )
    .fetch_all(db)
    .await?;
    let trees =
        definitions.iter().flat_map(|row| row.repositories.0.iter().filter_map(|it| it.source.bundle()));
    let configurations = definitions.iter().map(|row| row.configuration.0.bundle);
    let toolchains =
        definitions.iter().flat_map(|row| row.toolchain.0.iter().map(|package| package.published));
    let installed = installed.into_iter().map(|installed| installed.0.bundle);
    let mut bundles: Vec<_> = trees.chain(configurations).chain(toolchains).chain(installed).collect();
    bundles.sort_unstable();
    bundles.dedup();
    Ok(bundles)
}
