//! Runs, their packages and logs.

use super::Shared;
use super::answer::Log;
use super::auth::{Admin, Viewer};
use super::error::ApiError;
use super::extract::{Json, Path, Query};
use crate::chunk::decompressed;
use crate::db::events::{self, NewEvent};
use crate::db::runs::{Filter, RunError};
use crate::db::transition::{ApplyError, Note, Subject};
use crate::db::{attempts, history, logs, packages, runs, targets};
use crate::enter::{self, Entry};
use crate::history::History;
use crate::machine::{package, run::Transition};
use crate::{definitions, maintenance, resolve};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use swarm_protocol::Code;
use swarm_protocol::admin::{Attempt, AttemptDetail, LogPage, NewRun, Package, PackageDetail, Priority, Run};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, EpochId, PackageId, RunId, TargetId};
use swarm_protocol::state::RunState;

/// Begins a run. With a plan, it takes the place of the target's open run at once; without one, when a trusted drone
/// has resolved it.
pub async fn start(
    State(app): State<Shared>,
    _: Admin,
    Path(target): Path<TargetName>,
    Json(new): Json<NewRun>,
) -> Result<axum::Json<Run>, ApiError> {
    let planned = match (new.epoch, new.plan) {
        (epoch, None) => (epoch, None),
        (Some(epoch), Some(plan)) => {
            // What is wrong with it is said before there is a run.
            resolve::graph(&plan)?;
            (Some(epoch), Some(plan))
        }
        (None, Some(_)) => {
            return Err(ApiError::new(Code::InvalidValue, "a plan needs the epoch that it was made under"));
        }
    };
    let target = targets::id(&app.db, &target).await?.ok_or_else(|| ApiError::not_found("target"))?;
    let (run, epoch) = begin(&app, target, planned.0.as_ref(), planned.1.is_some()).await?;
    if let (Some(mut plan), Some(epoch)) = (planned.1, epoch) {
        let builds = History::of(history::of_target(&app.db, run).await?);
        builds.fill(&mut plan);
        let graph = resolve::graph(&plan)?;
        let entry =
            Entry { run, epoch, plan: &plan, graph: &graph, history: &builds, by: None, findings: &[] };
        let entered = enter::enter(&app, &entry).await;
        if let Err(error) = entered {
            abandon(&app, run, &error.to_string()).await?;
            return Err(error.into());
        }
    }
    app.wake.all();
    answer(&app, run).await
}

/// Makes the run's row; a run of the target that is still being resolved is superseded.
async fn begin(
    app: &Shared,
    target: TargetId,
    epoch: Option<&Epoch>,
    planned: bool,
) -> Result<(RunId, Option<EpochId>), ApiError> {
    let mut tx = app.db.begin().await?;
    let open = runs::lock_open(&mut tx, target).await?;
    if let Some((_, state @ (RunState::Validating | RunState::Promoting))) = open.current
        && planned
    {
        return Err(RunError::State(state).into());
    }
    if let Some(resolving) = open.resolving {
        runs::apply(&mut tx, resolving, Transition::Supersede, Some("a newer run began")).await?;
    }
    let definition = definitions::of_new_run(&mut tx, target, epoch).await?;
    let epoch = match epoch {
        Some(epoch) => Some(targets::epoch(&mut tx, target, epoch).await?),
        None => None,
    };
    let run = runs::insert(&mut tx, target, epoch, definition).await?;
    tx.commit().await?;
    Ok((run, epoch))
}

/// A posted plan that cannot enter leaves no run behind that drones would resolve.
async fn abandon(app: &Shared, run: RunId, reason: &str) -> Result<(), ApiError> {
    let mut tx = app.db.begin().await?;
    match runs::apply(&mut tx, run, Transition::Fail, Some(reason)).await {
        Ok(_) => tx.commit().await?,
        Err(RunError::State(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn answer(app: &Shared, run: RunId) -> Result<axum::Json<Run>, ApiError> {
    let filter = Filter { run: Some(run), ..Filter::default() };
    let run = runs::list(&app.db, &filter).await?.pop();
    run.map(axum::Json).ok_or_else(|| ApiError::not_found("run"))
}

/// `?target=NAME&state=open`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    target: Option<TargetName>,
    state: Option<Openness>,
}

/// The runs that are not over.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Openness {
    Open,
}

/// The newest runs.
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    Query(Which { target, state }): Query<Which>,
) -> Result<axum::Json<Vec<Run>>, ApiError> {
    let open = matches!(state, Some(Openness::Open));
    let filter = Filter { target: target.as_ref(), open, ..Filter::default() };
    Ok(axum::Json(runs::list(&app.db, &filter).await?))
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
    runs::apply(&mut tx, run, Transition::Cancel, Some("a person cancelled it")).await?;
    tx.commit().await?;
    maintenance::end_orphans(&app).await?;
    answer(&app, run).await
}

/// Lets a frozen run go on.
pub async fn thaw(
    State(app): State<Shared>,
    _: Admin,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Run>, ApiError> {
    let mut tx = app.db.begin().await?;
    runs::apply(&mut tx, run, Transition::Thaw, None).await?;
    tx.commit().await?;
    app.wake.all();
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
    Ok(axum::Json(attempts::of_package(&app.db, package).await?))
}

/// One attempt.
pub async fn attempt(
    State(app): State<Shared>,
    _: Viewer,
    Path(attempt): Path<AttemptId>,
) -> Result<axum::Json<AttemptDetail>, ApiError> {
    let detail = attempts::detail(&app.db, attempt).await?;
    detail.map(axum::Json).ok_or_else(|| ApiError::not_found("attempt"))
}

/// A package with its surroundings.
pub async fn package(
    State(app): State<Shared>,
    _: Viewer,
    Path(package): Path<PackageId>,
) -> Result<axum::Json<PackageDetail>, ApiError> {
    let detail = packages::detail(&app.db, package).await?;
    detail.map(axum::Json).ok_or_else(|| ApiError::not_found("package"))
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
    let applied =
        app.apply(Subject::Package(package), &package::Transition::Release, Note::default()).await?;
    let mut tx = app.db.begin().await?;
    match runs::apply(&mut tx, applied.run, Transition::Thaw, None).await {
        // It was frozen for want of work, and has some again; or it was building all along.
        Ok(_) | Err(runs::RunError::State(_)) => tx.commit().await?,
        Err(error) => return Err(error.into()),
    }
    app.wake.all();
    package_answer(&app, package).await
}

/// Ends the pause after a package's last failure.
pub async fn retry(
    State(app): State<Shared>,
    _: Admin,
    Path(package): Path<PackageId>,
) -> Result<axum::Json<Package>, ApiError> {
    let subject = Subject::Package(package);
    match app.apply(subject, &package::Transition::Retry, Note::default()).await {
        Ok(_) => package_answer(&app, package).await,
        Err(ApplyError::Refused(_)) => Err(ApiError::new(
            Code::WrongState,
            "it does not wait after a failure; a quarantined package is released instead",
        )),
        Err(error) => Err(error.into()),
    }
}

/// What a priority may be.
const PRIORITIES: std::ops::RangeInclusive<i16> = -100..=100;

/// Gives a package, and what it waits for, a priority.
pub async fn prioritise(
    State(app): State<Shared>,
    _: Admin,
    Path(package): Path<PackageId>,
    Json(Priority { priority }): Json<Priority>,
) -> Result<axum::Json<Package>, ApiError> {
    if !PRIORITIES.contains(&priority) {
        let detail = format!("priority is {} to {}", PRIORITIES.start(), PRIORITIES.end());
        return Err(ApiError::new(Code::InvalidValue, detail));
    }
    let before = package_answer(&app, package).await?;
    let mut tx = app.db.begin().await?;
    let Some(run) = packages::prioritise(&mut tx, package, priority).await? else {
        return Err(ApiError::new(Code::WrongState, format!("the run of {} builds no more", before.cpv)));
    };
    let data = serde_json::json!({ "priority": priority });
    let event = NewEvent {
        kind: "package.prioritised",
        run: Some(run),
        package: Some(package),
        data,
        ..NewEvent::default()
    };
    events::append(&mut tx, event).await?;
    tx.commit().await?;
    app.wake.all();
    package_answer(&app, package).await
}

/// `?since=CURSOR`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    #[serde(default)]
    since: i32,
}

/// The log of an attempt, as the build wrote it, from a cursor on.
pub async fn log(
    State(app): State<Shared>,
    _: Viewer,
    Path(attempt): Path<AttemptId>,
    Query(Since { since }): Query<Since>,
) -> Result<Log, ApiError> {
    // Whether it has ended is read first: what it wrote before its end is then among the chunks.
    let ended = logs::has_ended(&app.db, attempt).await?.ok_or_else(|| ApiError::not_found("attempt"))?;
    let (mut text, mut cursor) = (Vec::new(), since);
    for (sequence, chunk) in logs::chunks(&app.db, attempt, since).await? {
        cursor = sequence + 1;
        text.extend(decompressed(&chunk));
    }
    Ok(Log(LogPage { text, cursor, ended }))
}
