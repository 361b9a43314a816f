//! Workstations: machines that install from a target's generations, and what each of them wants.

use super::targets::lines;
use sqlx::PgExecutor;
use sqlx::types::Json;
use swarm_protocol::admin::{NewWorkstation, Workstation};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::Bundle;
use swarm_protocol::gentoo::{WorkstationName, WorldAtom};
use swarm_protocol::id::TargetId;

/// Registers a workstation, or what it is now.
pub async fn register(db: impl PgExecutor<'_>, target: TargetId, new: &NewWorkstation) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO workstations (target_id, name, world, provided, installed) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (target_id, name) DO UPDATE
         SET world = $3, provided = $4, installed = $5, pushed_at = swarm_now()",
        target.0,
        new.name.as_str(),
        &lines(&new.world),
        serde_json::to_value(&new.provided).unwrap_or_default(),
        new.installed.map(|installed| serde_json::to_value(installed).unwrap_or_default())
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A target's workstations, by name.
pub async fn list(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Vec<Workstation>> {
    let rows = sqlx::query!(
        r#"SELECT name AS "name: WorkstationName", world AS "world: Vec<WorldAtom>",
                  provided AS "provided: Json<Provided>", installed AS "installed: Json<Bundle>", pushed_at
           FROM workstations WHERE target_id = $1 ORDER BY name COLLATE "C""#,
        target.0
    );
    let workstations = rows.fetch_all(db).await?.into_iter().map(|row| Workstation {
        name: row.name,
        world: row.world,
        provided: row.provided.0,
        installed: row.installed.map(|installed| installed.0),
        pushed_at: row.pushed_at,
    });
    Ok(workstations.collect())
}

/// Forgets a workstation; `false` when there is none of that name.
pub async fn forget(db: impl PgExecutor<'_>, target: TargetId, name: &WorkstationName) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("DELETE FROM workstations WHERE target_id = $1 AND name = $2", target.0, name.as_str());
    Ok(done.execute(db).await?.rows_affected() == 1)
}
