//! The swarm at a glance.

use super::auth::Viewer;
use super::error::ApiError;
use super::extract::Query;
use super::{Shared, health};
use crate::db::{status, targets};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use swarm_protocol::admin::Status;
use swarm_protocol::gentoo::TargetName;

/// `?target=NAME`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    target: Option<TargetName>,
}

/// All that an owner wants to know, or of one target.
pub async fn status(
    State(app): State<Shared>,
    _: Viewer,
    Query(Which { target }): Query<Which>,
) -> Result<axum::Json<Status>, ApiError> {
    if let Some(target) = &target {
        targets::id(&app.db, target).await?.ok_or_else(|| ApiError::not_found("target"))?;
    }
    let degraded = health::degraded(&app).await?;
    Ok(axum::Json(status::read(&app.db, target.as_ref(), degraded).await?))
}
