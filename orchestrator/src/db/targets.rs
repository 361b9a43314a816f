//! Targets and their epochs.

use super::unbrought;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::admin::Target;
use swarm_protocol::binhost::Provided;
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::{TargetName, WorldAtom};
use swarm_protocol::id::{EpochId, GenerationNumber, RunId, TargetId};

/// Creates a target; `false` when it exists already.
pub async fn insert(
    db: impl PgExecutor<'_>,
    name: &TargetName,
    world: &[WorldAtom],
    provided: &Provided,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO targets (name, world, provided) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        name.as_str(),
        &lines(world),
        serde_json::to_value(provided).unwrap_or_default()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces a target's world set, and what its generations need not contain.
pub async fn set_world(
    db: impl PgExecutor<'_>,
    target: TargetId,
    world: &[WorldAtom],
    provided: &Provided,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE targets SET world = $2, provided = $3 WHERE id = $1",
        target.0,
        &lines(world),
        serde_json::to_value(provided).unwrap_or_default()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ordered and without duplicates, as the set that it is.
pub(super) fn lines(world: &[WorldAtom]) -> Vec<String> {
    let world: std::collections::BTreeSet<_> = world.iter().collect();
    world.into_iter().map(ToString::to_string).collect()
}

/// Serialises those who begin runs of a target, or define it.
pub async fn lock(tx: &mut PgConnection, target: TargetId) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM targets WHERE id = $1 FOR NO KEY UPDATE", target.0).fetch_one(tx).await?;
    Ok(())
}

/// The id of a target.
pub async fn id(db: impl PgExecutor<'_>, name: &TargetName) -> sqlx::Result<Option<TargetId>> {
    sqlx::query_scalar!(r#"SELECT id AS "id: TargetId" FROM targets WHERE name = $1"#, name.as_str())
        .fetch_optional(db)
        .await
}

/// All targets by name, or the one that is named.
pub async fn list(db: impl PgExecutor<'_> + Copy, name: Option<&TargetName>) -> sqlx::Result<Vec<Target>> {
    let rows = sqlx::query!(
        r#"SELECT t.name AS "name: TargetName", t.world AS "world: Vec<WorldAtom>",
                  t.provided AS "provided: Json<Provided>", g.number AS "current?: GenerationNumber",
                  (SELECT max(r.id) FROM runs r WHERE r.target_id = t.id
                   AND r.state IN ('resolving', 'building', 'frozen', 'validating', 'promoting')) AS "open_run: RunId"
           FROM targets t
           LEFT JOIN generations g ON g.target_id = t.id AND g.state = 'current'
           WHERE $1::text IS NULL OR t.name = $1
           ORDER BY t.name"#,
        name.map(TargetName::as_str)
    );
    let unbrought = unbrought::list(db).await?;
    let targets = rows.fetch_all(db).await?.into_iter().map(|row| Target {
        unbrought: unbrought.iter().filter(|one| one.target == row.name).cloned().collect(),
        name: row.name,
        world: row.world,
        provided: row.provided.0,
        current: row.current,
        open_run: row.open_run,
    });
    Ok(targets.collect())
}

/// The row of an epoch, made when it is new.
pub async fn epoch(tx: &mut PgConnection, target: TargetId, epoch: &Epoch) -> sqlx::Result<EpochId> {
    let digest: Digest = epoch.digest();
    sqlx::query!(
        "INSERT INTO epochs (target_id, digest, compat, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        target.0,
        digest.to_string(),
        epoch.compat.digest().to_string(),
        serde_json::to_value(epoch).unwrap_or_default()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar!(
        r#"SELECT id AS "id: EpochId" FROM epochs WHERE target_id = $1 AND digest = $2"#,
        target.0,
        digest.to_string()
    )
    .fetch_one(tx)
    .await
}
