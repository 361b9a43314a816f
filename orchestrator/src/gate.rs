//! The gate between *prepared* and *promoting* (law 8): a trusted drone of the run's epoch asks Portage what each
//! workstation would do with the generation. Clients see only what passed.
//!
//! ```text
//! validating, prepared ── a drone judges ──▶ promoting
//!                              │ findings ──▶ failed; what is missing is built by a successor, once
//!                              └ could not ask ──▶ another drone, five times at most
//! ```

use crate::api::error::ApiError;
use crate::app::App;
use crate::db::overdue::Listened;
use crate::db::runs::{self, RunError};
use crate::db::{self, gates, generations};
use crate::errand::{MOST_FAILURES, PAUSE_SECONDS};
use crate::mend;
use crate::poll::Poll;
use chrono::{DateTime, Utc};
use swarm_protocol::Code;
use swarm_protocol::drone::Fence;
use swarm_protocol::gate::{Gate, GateAnswer, GateRequest, Seat, Unjudged, Verdict};
use swarm_protocol::id::{DroneId, GateId, RunId};
use swarm_protocol::state::GateOutcome;
use swarm_protocol::ticket::SignedTicket;
use tracing::{info, warn};

/// Serves a request: at once when a generation waits, else when one comes or the request's time is over.
pub async fn serve(app: &App, drone: DroneId, request: &GateRequest) -> Result<GateAnswer, ApiError> {
    let mut poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    loop {
        if let Some(gate) = take(app, drone, request).await?
            && let Some(gate) = offer(app, gate).await?
        {
            return Ok(GateAnswer { gate: Some(gate) });
        }
        if !poll.again().await {
            return Ok(GateAnswer { gate: None });
        }
    }
}

/// The session's live gate (its last answer was lost), or a new one.
async fn take(app: &App, drone: DroneId, request: &GateRequest) -> sqlx::Result<Option<GateId>> {
    if let Some(live) = gates::of_session(&app.db, request.session).await? {
        return Ok(Some(live));
    }
    let mut tx = app.db.begin().await?;
    let Some(run) = gates::lock_waiting(&mut tx, &request.epochs, PAUSE_SECONDS).await? else {
        return Ok(None);
    };
    let gate = gates::begin(&mut tx, run, drone, request.session).await?;
    tx.commit().await?;
    Ok(Some(gate))
}

/// Says what is to be done.
async fn offer(app: &App, gate: GateId) -> Result<Option<Gate>, ApiError> {
    let Some(task) = gates::task(&app.db, gate).await? else { return Ok(None) };
    let seats = gates::seats(&app.db, task.target_id, &task.world).await?;
    let now = db::now(&app.db).await?;
    Ok(Some(Gate {
        gate,
        token: task.token,
        run: task.run,
        number: task.number,
        timestamp: task.timestamp,
        epoch: task.epoch,
        bundles: bundles(app, now, &seats),
        seats,
        ticket: app.generation_ticket(now, &task.target, task.number),
        target: task.target,
        mask: task.mask,
        smoke: app.gate.smoke,
        limit_seconds: app.gate.limit_seconds.into(),
    }))
}

/// What lets a drone read what the seats have installed.
pub fn bundles(app: &App, now: DateTime<Utc>, seats: &[Seat]) -> Option<SignedTicket> {
    let bundles: Vec<_> = seats.iter().filter_map(|seat| Some(seat.installed?.bundle)).collect();
    (!bundles.is_empty()).then(|| app.bundles_ticket(now, bundles, None))
}

/// A drone's verdict. Repeating an accepted report is accepted.
pub async fn judged(app: &App, drone: DroneId, gate: GateId, report: &Verdict) -> Result<(), ApiError> {
    let reported = reported(app, drone, gate, report.fence).await?;
    let passed = report.findings.is_empty();
    let outcome = if passed { GateOutcome::Passed } else { GateOutcome::Refused };
    match reported.outcome {
        None => {}
        Some(former) if former == outcome => return Ok(()),
        Some(_) => return Err(stale()),
    }
    let (run, generation) = (reported.run, reported.generation);
    let mut tx = app.db.begin().await?;
    // Before the run's own lock: a successor may be begun.
    let open = runs::lock_open(&mut tx, reported.target).await?;
    let reason = (!passed).then(|| refusal(report));
    if !gates::end(&mut *tx, gate, outcome, reason.as_deref()).await? {
        return Err(stale());
    }
    let Some(reason) = reason else {
        generations::passed(&mut tx, run).await?;
        tx.commit().await?;
        info!(%run, "a generation passed the gate");
        app.wake.all();
        return Ok(());
    };
    generations::refused(&mut tx, run, generation, &reason, &report.findings).await?;
    let successor = mend::missing(&mut tx, (reported.target, &open), run, &report.missing).await?;
    tx.commit().await?;
    warn!(%run, reason, "a generation did not pass the gate");
    if let Some(successor) = successor {
        info!(%run, %successor, packages = report.missing.len(), "a successor shall build what is missing");
    }
    app.wake.all();
    Ok(())
}

fn refusal(report: &Verdict) -> String {
    let mut workstations: Vec<_> = report.findings.iter().map(|finding| &finding.workstation).collect();
    workstations.sort();
    workstations.dedup();
    let names: Vec<_> = workstations
        .into_iter()
        .map(|name| name.as_deref().unwrap_or("a workstation that is set up anew"))
        .collect();
    let count = report.findings.len();
    let findings = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
    format!("Portage could not bring {} to this generation: {findings}", names.join(", "))
}

/// A drone could not ask.
pub async fn unjudged(app: &App, drone: DroneId, gate: GateId, report: &Unjudged) -> Result<(), ApiError> {
    let reported = reported(app, drone, gate, report.fence).await?;
    if gates::end(&app.db, gate, GateOutcome::Failed, Some(&report.reason)).await? {
        warn!(run = %reported.run, reason = report.reason, "a drone could not judge a generation");
        give_up(app, reported.run).await?;
        app.wake.all();
    }
    Ok(())
}

/// Fails a run that too many drones could not judge; nobody retries for ever (law 7).
pub async fn give_up(app: &App, run: RunId) -> Result<(), RunError> {
    let (count, reason) = gates::fruitless(&app.db, run).await?;
    if count < MOST_FAILURES {
        return Ok(());
    }
    let reason = reason.unwrap_or_default();
    fail(app, run, &format!("{count} drones could not judge its generation; the last one: {reason}")).await
}

/// Fails the runs that no drone came to judge: while they wait, none of their targets' runs is resolved.
pub async fn forsake(app: &App, listened: Listened) -> Result<(), RunError> {
    let patience = app.gate.patience_seconds;
    for run in gates::forsaken(&app.db, patience.into(), listened).await? {
        let reason =
            format!("no trusted drone of the run's epoch came to judge its generation in {patience} s");
        warn!(%run, reason, "a generation is not judged");
        fail(app, run, &reason).await?;
    }
    Ok(())
}

async fn fail(app: &App, run: RunId, reason: &str) -> Result<(), RunError> {
    let mut tx = app.db.begin().await?;
    let Some(generation) = generations::of_run(&mut *tx, run).await? else { return Ok(()) };
    match generations::refused(&mut tx, run, generation, reason, &[]).await {
        Ok(()) => tx.commit().await?,
        // It is over already, or past the gate.
        Err(RunError::State(_)) => {}
        Err(error) => return Err(error),
    }
    app.wake.all();
    Ok(())
}

async fn reported(
    app: &App,
    drone: DroneId,
    gate: GateId,
    fence: Fence,
) -> Result<gates::Reported, ApiError> {
    gates::reported(&app.db, gate, drone, fence).await?.ok_or_else(stale)
}

fn stale() -> ApiError {
    ApiError::new(
        Code::StaleReport,
        "the gate, its token and its session are not a live one; nothing was changed",
    )
}
