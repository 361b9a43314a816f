//! Definitions that drones cannot bring themselves to: told once, and an alarm for as long as it lasts (law 12).

use super::events::{self, NewEvent};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::BTreeMap;
use swarm_protocol::admin::UnbroughtDefinition;
use swarm_protocol::drone::Unbrought;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{DefinitionId, DroneId};

/// Takes what a drone says: all that it cannot bring itself to at the moment. Nothing is written where that is known.
pub async fn note(db: &PgPool, drone: DroneId, said: &[Unbrought]) -> sqlx::Result<()> {
    let said: BTreeMap<_, _> = said.iter().map(|it| (it.definition, it.reason.clone())).collect();
    if known(db, drone).await? == said {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    forget_others(&mut tx, drone, &said).await?;
    for (definition, reason) in &said {
        if let Some((target, number)) = learn(&mut tx, drone, *definition, reason).await? {
            let data = serde_json::json!({ "target": target, "definition": number, "reason": reason });
            let kind = "drone.definition_unbrought";
            events::append(&mut tx, NewEvent { kind, drone: Some(drone), data, ..NewEvent::default() })
                .await?;
        }
    }
    tx.commit().await
}

async fn known(db: impl PgExecutor<'_>, drone: DroneId) -> sqlx::Result<BTreeMap<DefinitionId, String>> {
    let rows = sqlx::query!(
        r#"SELECT definition_id AS "definition: DefinitionId", reason FROM unbrought_definitions WHERE drone_id = $1"#,
        drone.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.definition, row.reason)).collect())
}

async fn forget_others(
    tx: &mut PgConnection,
    drone: DroneId,
    said: &BTreeMap<DefinitionId, String>,
) -> sqlx::Result<()> {
    let said: Vec<_> = said.keys().map(|definition| definition.0).collect();
    sqlx::query!(
        "DELETE FROM unbrought_definitions WHERE drone_id = $1 AND definition_id <> ALL($2)",
        drone.0,
        &said
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes a definition with its reason; where that is news, the definition's target and number.
async fn learn(
    tx: &mut PgConnection,
    drone: DroneId,
    definition: DefinitionId,
    reason: &str,
) -> sqlx::Result<Option<(TargetName, i32)>> {
    let row = sqlx::query!(
        r#"WITH news AS (
               INSERT INTO unbrought_definitions AS u (drone_id, definition_id, reason)
               SELECT $1, d.id, $3 FROM definitions d WHERE d.id = $2
               ON CONFLICT (drone_id, definition_id) DO UPDATE SET reason = excluded.reason
               WHERE u.reason <> excluded.reason
               RETURNING definition_id)
           SELECT t.name AS "target: TargetName", d.number
           FROM news n JOIN definitions d ON d.id = n.definition_id JOIN targets t ON t.id = d.target_id"#,
        drone.0,
        definition.0,
        reason
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.target, row.number)))
}

/// All of the drones that can be heard.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<UnbroughtDefinition>> {
    sqlx::query_as!(
        UnbroughtDefinition,
        r#"SELECT t.name AS "target: TargetName", d.number, o.name AS drone, u.reason, u.since
           FROM unbrought_definitions u JOIN definitions d ON d.id = u.definition_id
                JOIN targets t ON t.id = d.target_id JOIN drones o ON o.id = u.drone_id
           WHERE o.state <> 'offline' ORDER BY t.name, d.number, o.name"#
    )
    .fetch_all(db)
    .await
}
