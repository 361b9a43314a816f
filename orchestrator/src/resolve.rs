//! Resolving a run by a trusted drone: the long-poll for it, and what becomes of the answer (DESIGN 5.2).

use crate::api::error::ApiError;
use crate::app::App;
use crate::db;
use crate::db::resolutions::Task;
use crate::db::runs::{RunError, Unplanned};
use crate::db::succession::Offer;
use crate::db::{gates, resolutions, runs, succession, targets};
use crate::enter::{self, Entered, Entry};
use crate::errand::{MOST_FAILURES, PAUSE_SECONDS};
use crate::gate;
use crate::graph::{Graph, PlanError};
use crate::history::History;
use crate::lost;
use crate::machine::run::Transition;
use crate::poll::Poll;
use crate::toolchain;
use swarm_protocol::binhost::Inherit;
use swarm_protocol::client::ClientError;
use swarm_protocol::id::{DroneId, ResolutionId, RunId};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{
    BinaryKey, Finding, FindingKind, Resolution, ResolveAnswer, ResolveRequest, Resolved, Unresolved,
};
use swarm_protocol::state::{FailureClass, ResolutionOutcome};
use swarm_protocol::{Code, Digest};
use tracing::{info, warn};

/// Serves a request: at once when a run waits, else when one comes or the request's time is over.
pub async fn serve(app: &App, drone: DroneId, request: &ResolveRequest) -> Result<ResolveAnswer, ApiError> {
    let mut poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    loop {
        if let Some(resolution) = take(app, drone, request).await?
            && let Some(resolution) = offer(app, resolution).await?
        {
            return Ok(ResolveAnswer { resolution: Some(resolution) });
        }
        if !poll.again().await {
            return Ok(ResolveAnswer { resolution: None });
        }
    }
}

/// The session's live resolution (its last answer was lost), or a new one.
async fn take(app: &App, drone: DroneId, request: &ResolveRequest) -> sqlx::Result<Option<ResolutionId>> {
    if let Some(live) = resolutions::of_session(&app.db, request.session).await? {
        return Ok(Some(live));
    }
    let mut tx = app.db.begin().await?;
    let Some((run, held)) = resolutions::lock_waiting(&mut tx, &request.epochs, PAUSE_SECONDS).await? else {
        return Ok(None);
    };
    let target = runs::unplanned(&mut *tx, run).await?.ok_or(sqlx::Error::RowNotFound)?.target;
    let epoch = targets::epoch(&mut tx, target, &held.epoch).await?;
    let resolution = resolutions::begin(&mut tx, run, drone, request.session, epoch).await?;
    tx.commit().await?;
    Ok(Some(resolution))
}

/// Makes everything visible that the run may keep, and says what is to be done.
async fn offer(app: &App, resolution: ResolutionId) -> Result<Option<Resolution>, ApiError> {
    let Some(task) = resolutions::task(&app.db, resolution).await? else { return Ok(None) };
    let mut shown = show(app, &task).await?;
    if let Err((error, artifacts)) = &shown
        && lost::note(app, &task.target, error, artifacts).await?
    {
        // Without what is lost: Portage will build it again.
        shown = show(app, &task).await?;
    }
    let keys = match shown {
        Ok(keys) => keys,
        Err((error, _)) => {
            // Nothing was begun: the drone asks again, and so may others.
            warn!(run = %task.run, %error, "the binhost cannot be asked at the moment");
            let reason = format!("the binhost cannot be asked: {error}");
            resolutions::end(&app.db, resolution, ResolutionOutcome::Failed, Some(&reason)).await?;
            give_up(app, task.run).await?;
            return Err(ApiError::new(Code::Unavailable, "the binhost does not answer at the moment"));
        }
    };
    let seats = gates::seats(&app.db, task.target_id, &task.world).await?;
    let now = db::now(&app.db).await?;
    Ok(Some(Resolution {
        resolution,
        token: task.token,
        ticket: app.run_ticket(now, &task.target, task.run),
        run: task.run,
        target: task.target,
        epoch: task.epoch,
        world: task.world,
        wants: task.wants,
        bundles: gate::bundles(app, now, &seats),
        seats,
        mask: task.mask,
        keys,
        limit_seconds: app.times.resolve_seconds.into(),
    }))
}

/// Makes what the run may keep visible, and gives the build keys of it; on failure, what it was.
async fn show(app: &App, task: &Task) -> sqlx::Result<Result<Vec<BinaryKey>, (ClientError, Vec<Digest>)>> {
    let offers = succession::offers(&mut *app.db.acquire().await?, task.run, task.epoch_id).await?;
    let inherit = Inherit { artifacts: offers.iter().map(|offer| offer.published).collect() };
    let shown = app.binhost().await?.inherit(&task.target, task.run, &inherit).await;
    let key =
        |offer: Offer| Some(BinaryKey { key: offer.build_key?, cpv: offer.cpv, build_id: offer.build_id });
    Ok(match shown {
        Ok(()) => Ok(offers.into_iter().filter_map(key).collect()),
        Err(error) => Err((error, inherit.artifacts)),
    })
}

/// A drone's plan. Repeating an accepted report is accepted.
pub async fn resolved(
    app: &App,
    drone: DroneId,
    resolution: ResolutionId,
    report: &Resolved,
) -> Result<(), ApiError> {
    let reported =
        resolutions::reported(&app.db, resolution, drone, report.fence).await?.ok_or_else(stale)?;
    match reported.outcome {
        None => {}
        Some(ResolutionOutcome::Planned | ResolutionOutcome::Outdated) => return Ok(()),
        Some(_) => return Err(stale()),
    }
    let mut plan = report.plan.clone();
    let history = History::of(db::history::of_target(&app.db, reported.run).await?);
    history.fill(&mut plan);
    let graph = match Graph::of(&plan) {
        Ok(graph) => graph,
        Err(error) => {
            let findings = [finding(&error)];
            return refuse(app, resolution, reported.run, &error.to_string(), &findings).await;
        }
    };
    let entry = Entry {
        run: reported.run,
        epoch: reported.epoch,
        plan: &plan,
        graph: &graph,
        history: &history,
        by: Some((resolution, &reported)),
        findings: &report.findings,
    };
    match enter::enter(app, &entry).await? {
        Entered::Building => {}
        Entered::Outdated => info!(run = %reported.run, "a plan came too late; the run is resolved again"),
    }
    Ok(())
}

/// What a person reads when a drone's plan cannot be a queue.
fn finding(error: &PlanError) -> Finding {
    let kind = if matches!(error, PlanError::Cycle(_)) { FindingKind::Cycle } else { FindingKind::Other };
    Finding { kind, atom: None, wanted_by: vec![], workstation: None, detail: error.to_string() }
}

/// A drone's answer that there is no plan.
pub async fn unresolved(
    app: &App,
    drone: DroneId,
    resolution: ResolutionId,
    report: &Unresolved,
) -> Result<(), ApiError> {
    let reported =
        resolutions::reported(&app.db, resolution, drone, report.fence).await?.ok_or_else(stale)?;
    if report.class == FailureClass::Package {
        return match reported.outcome {
            None => refuse(app, resolution, reported.run, &report.reason, &report.findings).await,
            Some(ResolutionOutcome::Refused) => Ok(()),
            Some(_) => Err(stale()),
        };
    }
    if resolutions::end(&app.db, resolution, ResolutionOutcome::Failed, Some(&report.reason)).await? {
        warn!(run = %reported.run, reason = report.reason, "a drone could not resolve a run");
        give_up(app, reported.run).await?;
        app.wake.all();
    }
    Ok(())
}

/// Portage refuses, and would refuse again: the run fails. Its predecessor, if there is one, goes on.
async fn refuse(
    app: &App,
    resolution: ResolutionId,
    run: RunId,
    reason: &str,
    findings: &[Finding],
) -> Result<(), ApiError> {
    let mut tx = app.db.begin().await?;
    let Unplanned { target, name, .. } =
        runs::unplanned(&mut *tx, run).await?.ok_or_else(|| ApiError::not_found("run"))?;
    // Before the run's own lock: a successor may be begun.
    runs::lock_open(&mut tx, target).await?;
    if !resolutions::end(&mut *tx, resolution, ResolutionOutcome::Refused, Some(reason)).await? {
        return Err(stale());
    }
    runs::set_findings(&mut tx, run, findings).await?;
    runs::apply(&mut tx, run, Transition::Fail, Some(reason)).await?;
    let successor = toolchain::refused(&mut tx, (target, &name), run, findings).await?;
    tx.commit().await?;
    warn!(%run, reason, "a run cannot be resolved");
    toolchain::tell(app, successor).await;
    Ok(())
}

/// Fails a run that too many drones could not resolve; nobody retries for ever (law 7).
pub async fn give_up(app: &App, run: RunId) -> Result<(), RunError> {
    let (count, reason) = resolutions::fruitless(&app.db, run).await?;
    if count < MOST_FAILURES {
        return Ok(());
    }
    let reason = reason.unwrap_or_default();
    let reason = format!("{count} drones could not resolve it; the last one: {reason}");
    let mut tx = app.db.begin().await?;
    match runs::apply(&mut tx, run, Transition::Fail, Some(&reason)).await {
        Ok(_) => tx.commit().await?,
        // It is over already.
        Err(RunError::State(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn stale() -> ApiError {
    ApiError::new(
        Code::StaleReport,
        "the resolution, its token and its session are not a live one; nothing was changed",
    )
}

/// The graph of a plan that a person posts.
pub fn graph(plan: &Plan) -> Result<Graph, ApiError> {
    if let Some(kept) = plan.packages.iter().find(|package| package.keep.is_some()) {
        let detail =
            format!("the plan keeps {}: only a drone that resolves a run is offered binaries", kept.cpv);
        return Err(ApiError::new(Code::InvalidValue, detail));
    }
    if plan.stagings.iter().any(|staging| !staging.substitutes.is_empty()) {
        let detail = "the plan has substitutes: only a drone that resolves a run is offered binaries";
        return Err(ApiError::new(Code::InvalidValue, detail));
    }
    Graph::of(plan).map_err(|error| {
        let code = if matches!(error, PlanError::Cycle(_)) { Code::PlanCycle } else { Code::InvalidValue };
        ApiError::new(code, error.to_string())
    })
}
