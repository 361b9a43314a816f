//! Repairs: what was done to silent drones, and a person's word on a reboot.

use super::Shared;
use super::auth::{Admin, Viewer};
use super::error::ApiError;
use super::extract::{Path, Query};
use crate::db::{drones, repairs};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use swarm_protocol::Code;
use swarm_protocol::admin::Repair;

/// `?drone=NAME`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Of {
    drone: Option<String>,
}

/// The newest, of one drone where it is named.
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    Query(Of { drone }): Query<Of>,
) -> Result<axum::Json<Vec<Repair>>, ApiError> {
    if let Some(name) = &drone {
        drones::id(&app.db, name).await?.ok_or_else(|| ApiError::not_found("drone"))?;
    }
    Ok(axum::Json(repairs::list(&app.db, drone.as_deref(), None).await?))
}

/// Confirms the reboot that waits for it.
pub async fn confirm(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<axum::Json<Repair>, ApiError> {
    let drone = drones::id(&app.db, &name).await?.ok_or_else(|| ApiError::not_found("drone"))?;
    let mut tx = app.db.begin().await?;
    let id = repairs::confirm(&mut tx, drone).await?.ok_or_else(|| {
        ApiError::new(
            Code::WrongState,
            format!("no reboot of {name} waits to be confirmed; `swarm fleet repairs {name}`"),
        )
    })?;
    tx.commit().await?;
    let repair = repairs::list(&app.db, None, Some(id)).await?.pop();
    repair.map(axum::Json).ok_or_else(|| ApiError::not_found("repair"))
}
