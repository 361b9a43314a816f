//! What the orchestrator asks: stage, inherit, drop, prepare, promote, and what is there. All of it is idempotent.

use super::failure::Failure;
use super::params::{self, Params};
use super::tickets::Bearer;
use super::{App, blocking, body};
use crate::target::Target;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::binhost::{Current, Inherit, Missing, Prepare, Prepared, Promote, Stage, Staged};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::kept::{Between, Diff, Kept};

/// `POST …/runs/{run}/stage`
pub(super) async fn stage(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, run)): Params<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Staged>, Failure> {
    bearer.control()?;
    let (name, run) = (target_name(&target)?, params::run(&run)?);
    let stage: Stage = body::json(&app, &headers, body).await?;
    let (now, store, keyring) = (app.clock.now(), Arc::clone(&app.store), app.keyring.clone());
    let (package, attempt) = (stage.package, stage.attempt);
    tracing::Span::current().record("attempt", tracing::field::display(attempt));
    let target = name.clone();
    let staged = blocking(move || {
        store.target_or_new(&target)?.stage(&store.blobs, keyring.as_ref(), run, &stage, now)
    })
    .await?;
    tracing::info!(target.name = %name, %run, %package, %attempt, artifact.path = staged.path, "staged");
    Ok(Json(staged))
}

/// `PUT …/runs/{run}/inherited`
pub(super) async fn inherit(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, run)): Params<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    bearer.control()?;
    let (name, run) = (target_name(&target)?, params::run(&run)?);
    let inherit: Inherit = body::json(&app, &headers, body).await?;
    let (now, store, artifacts) = (app.clock.now(), Arc::clone(&app.store), inherit.artifacts.len());
    let target = name.clone();
    blocking(move || store.target_or_new(&target)?.inherit(&store.blobs, run, &inherit, now)).await?;
    tracing::info!(target.name = %name, %run, artifacts, "inherited");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/runs/{run}`
pub(super) async fn drop_run(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, run)): Params<(String, String)>,
) -> Result<StatusCode, Failure> {
    bearer.control()?;
    let (name, run) = (target_name(&target)?, params::run(&run)?);
    let (store, target) = (Arc::clone(&app.store), name.clone());
    if blocking(move || store.target_or_new(&target)?.drop_run(run)).await? {
        tracing::info!(target.name = %name, %run, "the staging view of a run is dropped");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/missing`
pub(super) async fn missing(
    bearer: Bearer,
    State(app): State<App>,
    Params(target): Params<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Missing>, Failure> {
    bearer.control()?;
    target_name(&target)?;
    let Missing { artifacts } = body::json(&app, &headers, body).await?;
    let artifacts = blocking(move || app.store.blobs.missing(artifacts)).await?;
    Ok(Json(Missing { artifacts }))
}

/// `PUT …/generations/{number}`
pub(super) async fn prepare(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, number)): Params<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Prepared>, Failure> {
    bearer.control()?;
    let (name, number) = (target_name(&target)?, params::number(&number)?);
    let prepare: Prepare = body::json(&app, &headers, body).await?;
    let (now, store) = (app.clock.now(), Arc::clone(&app.store));
    let target = name.clone();
    let prepared =
        blocking(move || store.target_or_new(&target)?.prepare(&store.blobs, number, &prepare, now)).await?;
    tracing::info!(target.name = %name, generation = %number, packages = prepared.packages, "prepared");
    Ok(Json(prepared))
}

/// `POST …/promote`
pub(super) async fn promote(
    bearer: Bearer,
    State(app): State<App>,
    Params(target): Params<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Current>, Failure> {
    bearer.control()?;
    let name = target_name(&target)?;
    let promote: Promote = body::json(&app, &headers, body).await?;
    let (number, store) = (promote.number, Arc::clone(&app.store));
    let target = name.clone();
    let current = blocking(move || store.target_or_new(&target)?.promote(&store.blobs, &promote)).await?;
    tracing::info!(target.name = %name, generation = %number, "promoted");
    Ok(Json(current))
}

/// `GET …/current`
pub(super) async fn current(
    bearer: Bearer,
    State(app): State<App>,
    Params(target): Params<String>,
) -> Result<Json<Current>, Failure> {
    bearer.control()?;
    let none = Current { number: None, timestamp: None };
    Ok(Json(app.store.target(&target_name(&target)?).map_or(none, |target| target.current())))
}

/// `GET …/generations`
pub(super) async fn kept(
    bearer: Bearer,
    State(app): State<App>,
    Params(target): Params<String>,
) -> Result<Json<Vec<Kept>>, Failure> {
    bearer.control()?;
    let target = app.store.target(&target_name(&target)?);
    Ok(Json(target.map_or_else(Vec::new, |target| target.kept())))
}

/// `GET …/diff`
pub(super) async fn diff(
    bearer: Bearer,
    State(app): State<App>,
    Params(target): Params<String>,
    between: Result<Query<Between>, QueryRejection>,
) -> Result<Json<Diff>, Failure> {
    bearer.control()?;
    let Query(between) = between.map_err(|error| Failure::new(Code::InvalidValue, error.body_text()))?;
    let target = known(&app, &target)?;
    Ok(Json(blocking(move || target.diff(between)).await?))
}

/// `PUT …/generations/{number}/pin`
pub(super) async fn pin(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, number)): Params<(String, String)>,
) -> Result<Json<Kept>, Failure> {
    set_pinned(bearer, app, target, number, true).await
}

/// `DELETE …/generations/{number}/pin`
pub(super) async fn unpin(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, number)): Params<(String, String)>,
) -> Result<Json<Kept>, Failure> {
    set_pinned(bearer, app, target, number, false).await
}

async fn set_pinned(
    bearer: Bearer,
    app: App,
    name: String,
    number: String,
    pinned: bool,
) -> Result<Json<Kept>, Failure> {
    bearer.control()?;
    let (target, number) = (known(&app, &name)?, params::number(&number)?);
    let kept = blocking(move || target.pin(number, pinned)).await?;
    tracing::info!(target.name = name, generation = %number, pinned, "a person decided what is kept");
    Ok(Json(kept))
}

fn known(app: &App, name: &str) -> Result<Arc<Target>, Failure> {
    let nothing = || Failure::new(Code::NotFound, "nothing was ever staged for this target");
    app.store.target(&target_name(name)?).ok_or_else(nothing)
}

fn target_name(text: &str) -> Result<TargetName, Failure> {
    params::parse("target", text)
}
