//! Notifications: whether they arrive. What they are told and where stands in the configuration only.

use super::Shared;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Json;
use crate::db;
use axum::extract::State;
use swarm_protocol::admin::{NotifyTest, NotifyTested};

/// Sends a test message, and waits for what comes of it.
pub async fn test(
    State(app): State<Shared>,
    _: Admin,
    Json(NotifyTest { name }): Json<NotifyTest>,
) -> Result<axum::Json<Vec<NotifyTested>>, ApiError> {
    if name.as_ref().is_some_and(|name| !app.notify.names().contains(name)) {
        return Err(ApiError::not_found("destination of notifications in the configuration"));
    }
    let tested = app.notify.test(name.as_deref(), db::now(&app.db).await?).await;
    let said = tested
        .into_iter()
        .map(|(name, outcome)| NotifyTested { name, error: outcome.err().map(|error| error.to_string()) });
    Ok(axum::Json(said.collect()))
}
