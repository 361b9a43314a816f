//! `/healthz`: the process lives. `/readyz`: it can serve; what is degraded is named (law 12).

use super::Shared;
use super::error::ApiError;
use crate::alarms;
use crate::app::App;
use axum::extract::State;
use serde::Serialize;
use swarm_protocol::Code;

/// What `/readyz` says.
#[derive(Debug, Serialize)]
pub struct Ready {
    /// `ready` or `degraded`.
    status: &'static str,
    /// What works less well, in sentences.
    degraded: Vec<String>,
}

/// Answers as long as the process lives.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Answers 200 when requests can be served, though perhaps slower; 503 when they cannot.
pub async fn ready(State(app): State<Shared>) -> Result<axum::Json<Ready>, ApiError> {
    if app.stop.is_cancelled() {
        return Err(ApiError::new(Code::Unavailable, "the orchestrator is stopping"));
    }
    let degraded = degraded(&app).await?;
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    Ok(axum::Json(Ready { status, degraded }))
}

/// What works less well, in sentences.
pub async fn degraded(app: &App) -> sqlx::Result<Vec<String>> {
    Ok(alarms::standing(app).await?.into_iter().map(|alarm| alarm.text).collect())
}
