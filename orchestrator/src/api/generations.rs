//! Generations of a target. What they were made of is in the database; which of them are kept and pinned, and how they
//! differ, the binhost's directory says, so those calls are passed on.

use super::Shared;
use super::auth::{Admin, Viewer};
use super::error::ApiError;
use super::extract::{Json, Path, Query};
use crate::app::App;
use crate::db::{generations, republish, targets};
use crate::learn;
use axum::extract::State;
use std::collections::HashMap;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::admin::{Generation, Republish};
use swarm_protocol::client::ClientError;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, TargetId};
use swarm_protocol::kept::{Between, Diff, Kept};

/// How long a list waits for the binhost: it is of use without what the binhost knows.
const PATIENCE: Duration = Duration::from_secs(3);

async fn target(app: &App, name: &TargetName) -> Result<TargetId, ApiError> {
    targets::id(&app.db, name).await?.ok_or_else(|| ApiError::not_found("target"))
}

/// The generations of a target, newest first.
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
) -> Result<axum::Json<Vec<Generation>>, ApiError> {
    let target = target(&app, &name).await?;
    let mut generations = generations::list(&app.db, target).await?;
    let binhost = app.binhost().await?;
    match tokio::time::timeout(PATIENCE, binhost.kept(&name)).await {
        Ok(Ok(kept)) => mark(&mut generations, &kept),
        Ok(Err(error)) => tracing::warn!(%error, "the binhost does not say what it keeps"),
        Err(_) => tracing::warn!("the binhost takes too long to say what it keeps"),
    }
    Ok(axum::Json(generations))
}

fn mark(generations: &mut [Generation], kept: &[Kept]) {
    let pinned: HashMap<_, _> = kept.iter().map(|kept| (kept.number, kept.pinned)).collect();
    for generation in generations {
        generation.pinned = pinned.get(&generation.number).copied();
    }
}

/// Publishes an earlier generation's set again: writes the intent, which the maintenance loop carries out.
pub async fn republish(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<TargetName>,
    Json(order): Json<Republish>,
) -> Result<axum::Json<Generation>, ApiError> {
    let target = target(&app, &name).await?;
    // A binhost that is away is asked again when it has to work.
    learn::ask(&app, target, &name).await?;
    let mut tx = app.db.begin().await?;
    let number = republish::begin(&mut tx, target, order).await?;
    tx.commit().await?;
    app.wake.all();
    let generations = generations::list(&app.db, target).await?;
    let begun = generations.into_iter().find(|generation| generation.number == number);
    begun.map(axum::Json).ok_or_else(|| ApiError::not_found("generation"))
}

/// Keeps a generation for good.
pub async fn pin(
    State(app): State<Shared>,
    _: Admin,
    Path((name, number)): Path<(TargetName, GenerationNumber)>,
) -> Result<axum::Json<Kept>, ApiError> {
    set_pinned(&app, &name, number, true).await
}

/// Leaves a generation to retention again.
pub async fn unpin(
    State(app): State<Shared>,
    _: Admin,
    Path((name, number)): Path<(TargetName, GenerationNumber)>,
) -> Result<axum::Json<Kept>, ApiError> {
    set_pinned(&app, &name, number, false).await
}

async fn set_pinned(
    app: &App,
    name: &TargetName,
    number: GenerationNumber,
    pinned: bool,
) -> Result<axum::Json<Kept>, ApiError> {
    target(app, name).await?;
    app.binhost().await?.pin(name, number, pinned).await.map(axum::Json).map_err(passed_on)
}

/// How two generations differ.
pub async fn diff(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
    Query(between): Query<Between>,
) -> Result<axum::Json<Diff>, ApiError> {
    target(&app, &name).await?;
    app.binhost().await?.diff(&name, between).await.map(axum::Json).map_err(passed_on)
}

/// What the binhost does not know is said in its words; that it does not answer as it should is for the log.
pub(super) fn passed_on(error: ClientError) -> ApiError {
    match error {
        ClientError::Problem(problem) if matches!(problem.code, Code::NotFound | Code::InvalidValue) => {
            ApiError::new(problem.code, problem.detail)
        }
        error => {
            tracing::warn!(%error, "the binhost cannot be asked at the moment");
            ApiError::new(Code::Unavailable, "the binhost does not answer at the moment")
        }
    }
}
