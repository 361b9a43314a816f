//! `/healthz`: the process lives. `/readyz`: it can serve; what is degraded is named (law 12).

use super::Shared;
use super::error::ApiError;
use crate::app::App;
use crate::db;
use axum::extract::State;
use serde::Serialize;
use std::time::Duration;
use swarm_protocol::Code;

/// A maintenance loop that has missed this many turns is stuck.
const MISSED_TURNS: Duration = Duration::from_secs(3);

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
    db::now(&app.db).await?;
    let mut degraded = app.alarms.sentences();
    if !app.wake.redis_answers().await {
        degraded.push("Redis does not answer: drones are woken by looking every few seconds".to_owned());
    }
    for drone in db::sessions::contested(&app.db).await? {
        degraded.push(format!("two processes speak for the drone {drone}"));
    }
    for one in db::unbrought::list(&app.db).await? {
        let (drone, number, target, reason) = (one.drone, one.number, one.target, one.reason);
        degraded
            .push(format!("drone {drone} cannot bring itself to definition {number} of {target}: {reason}"));
    }
    degraded.extend(db::nightlies::amiss(&app.db).await?);
    degraded.extend(db::stuck::unresolved(&app.db).await?);
    degraded.extend(db::stuck::unbuilt(&app.db).await?);
    degraded.extend(db::stuck::frozen(&app.db).await?);
    if app.turned.elapsed() > MISSED_TURNS * app.times.maintenance_seconds {
        degraded.push("the maintenance loop does not turn".to_owned());
    }
    Ok(degraded)
}
