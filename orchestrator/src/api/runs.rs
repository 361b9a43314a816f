//! Runs, their packages and logs.

use super::Shared;
use super::auth::{Admin, Planner, Viewer};
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::db::transition::{Note, Subject};
use crate::db::{logs, packages, runs, targets};
use crate::graph::{Graph, PlanError};
use crate::machine;
use crate::machine::package::Transition;
use crate::maintenance;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sqlx::PgConnection;
use swarm_protocol::Code;
use swarm_protocol::admin::{Attempt, NewRun, Package, Run};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, PackageId, RunId};
use swarm_protocol::plan::Plan;

/// Begins a run; the target's open one is superseded.
pub async fn start(
    State(app): State<Shared>,
    _: Admin,
    Path(target): Path<TargetName>,
    Json(new): Json<NewRun>,
) -> Result<axum::Json<Run>, ApiError> {
    let graph = new.plan.as_ref().map(graph).transpose()?;
    let target = targets::id(&app.db, &target).await?.ok_or_else(|| ApiError::not_found("target"))?;
    let mut tx = app.db.begin().await?;
    let open = runs::lock_open(&mut tx, target).await?;
    if let Some((open, _)) = open {
        runs::apply(&mut tx, open, machine::run::Transition::Supersede, Some("a newer run began")).await?;
    }
    let epoch = targets::epoch(&mut tx, target, &new.epoch).await?;
    let run = runs::insert(&mut tx, target, epoch, open.map(|(run, _)| run)).await?;
    if let (Some(plan), Some(graph)) = (&new.plan, &graph) {
        enter(&mut tx, run, plan, graph).await?;
    }
    tx.commit().await?;
    maintenance::end_orphans(&app).await?;
    app.wake.all();
    answer(&app, run).await
}

/// Enters the plan of a run that is resolving.
pub async fn plan(
    State(app): State<Shared>,
    _: Planner,
    Path(run): Path<RunId>,
    Json(plan): Json<Plan>,
) -> Result<axum::Json<Run>, ApiError> {
    let graph = graph(&plan)?;
    let mut tx = app.db.begin().await?;
    enter(&mut tx, run, &plan, &graph).await?;
    tx.commit().await?;
    app.wake.all();
    answer(&app, run).await
}

fn graph(plan: &Plan) -> Result<Graph, ApiError> {
    Graph::of(plan).map_err(|error| {
        let code = if matches!(error, PlanError::Cycle(_)) { Code::PlanCycle } else { Code::InvalidValue };
        ApiError::new(code, error.to_string())
    })
}

async fn enter(tx: &mut PgConnection, run: RunId, plan: &Plan, graph: &Graph) -> Result<(), ApiError> {
    runs::apply(tx, run, machine::run::Transition::Plan, None).await?;
    packages::insert_plan(tx, run, plan, graph).await?;
    Ok(())
}

async fn answer(app: &Shared, run: RunId) -> Result<axum::Json<Run>, ApiError> {
    let run = runs::list(&app.db, Some(run)).await?.pop();
    run.map(axum::Json).ok_or_else(|| ApiError::not_found("run"))
}

/// The newest runs.
pub async fn list(State(app): State<Shared>, _: Viewer) -> Result<axum::Json<Vec<Run>>, ApiError> {
    Ok(axum::Json(runs::list(&app.db, None).await?))
}

/// One run.
pub async fn show(
    State(app): State<Shared>,
    _: Viewer,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Run>, ApiError> {
    answer(&app, run).await
}

/// Cancels a run; its live attempts end with it.
pub async fn cancel(
    State(app): State<Shared>,
    _: Admin,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Run>, ApiError> {
    let mut tx = app.db.begin().await?;
    runs::apply(&mut tx, run, machine::run::Transition::Cancel, Some("a person cancelled it")).await?;
    tx.commit().await?;
    maintenance::end_orphans(&app).await?;
    answer(&app, run).await
}

/// The packages of a run, by rank.
pub async fn packages(
    State(app): State<Shared>,
    _: Viewer,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Vec<Package>>, ApiError> {
    let _: axum::Json<Run> = answer(&app, run).await?;
    Ok(axum::Json(packages::list(&app.db, Some(run), None).await?))
}

/// The attempts at a package, oldest first.
pub async fn attempts(
    State(app): State<Shared>,
    _: Viewer,
    Path(package): Path<PackageId>,
) -> Result<axum::Json<Vec<Attempt>>, ApiError> {
    let _: axum::Json<Package> = package_answer(&app, package).await?;
    Ok(axum::Json(packages::attempts(&app.db, package).await?))
}

async fn package_answer(app: &Shared, package: PackageId) -> Result<axum::Json<Package>, ApiError> {
    let package = packages::list(&app.db, None, Some(package)).await?.pop();
    package.map(axum::Json).ok_or_else(|| ApiError::not_found("package"))
}

/// Lets a quarantined package be tried again, with its former failures forgiven.
pub async fn release(
    State(app): State<Shared>,
    _: Admin,
    Path(package): Path<PackageId>,
) -> Result<axum::Json<Package>, ApiError> {
    let applied = app.apply(Subject::Package(package), &Transition::Release, Note::default()).await?;
    let mut tx = app.db.begin().await?;
    match runs::apply(&mut tx, applied.run, machine::run::Transition::Thaw, None).await {
        // It was frozen for want of work, and has some again; or it was building all along.
        Ok(_) | Err(runs::RunError::State(_)) => tx.commit().await?,
        Err(error) => return Err(error.into()),
    }
    app.wake.all();
    package_answer(&app, package).await
}

/// The log of an attempt, as the build wrote it.
pub async fn log(
    State(app): State<Shared>,
    _: Viewer,
    Path(attempt): Path<AttemptId>,
) -> Result<impl IntoResponse, ApiError> {
    if !logs::attempt_exists(&app.db, attempt).await? {
        return Err(ApiError::not_found("attempt"));
    }
    let mut text = Vec::new();
    for chunk in logs::chunks(&app.db, attempt).await? {
        zstd::stream::copy_decode(chunk.as_slice(), &mut text)
            .unwrap_or_else(|_| text.extend_from_slice(b"\n[a damaged chunk of the log]\n"));
    }
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}
