//! The long-poll for work: plan, lock, claim, or wait for the next wake-up.

use crate::api::error::ApiError;
use crate::app::App;
use crate::claim_lock;
use crate::db;
use crate::db::claims::{Claimed, Grant};
use crate::poll::Poll;
use crate::scheduler::Decision;
use crate::wake;
use swarm_protocol::drone::{Claim, ClaimAnswer, ClaimRequest};
use swarm_protocol::id::{AttemptId, DroneId, PackageId};

/// How often a drone chooses again at once when others were faster, before it waits for the next wake-up.
const CHOICES: usize = 8;

/// Serves a claim request: at once when there is work, else when it comes or the request's time is over.
pub async fn serve(app: &App, drone: DroneId, request: &ClaimRequest) -> Result<ClaimAnswer, ApiError> {
    let mut poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    if let Some(former) = db::claims::of_request(&app.db, request.session, request.request).await? {
        return answer(app, &former).await;
    }
    let seat = app.planner.sit(drone, request.want.into(), request.epochs.clone());
    let mut stale = 0;
    loop {
        let planned = app.planner.decide(&seat, poll.version(), stale > 0).await?;
        let (reason, recheck) = match planned.decision {
            Decision::Claim(choices) if stale < CHOICES => {
                match take(app, drone, request, &choices).await? {
                    Claimed::Now(attempts) if attempts.is_empty() => stale += 1,
                    Claimed::Now(attempts) | Claimed::Before(attempts) => {
                        return answer(app, &attempts).await;
                    }
                }
                continue;
            }
            // Or a lock was left behind: it is not worth a whole poll interval.
            Decision::Claim(_) => ("others were faster".to_owned(), Some(claim_lock::TTL)),
            // Nothing is held ahead yet, so there is nothing to steal.
            Decision::Steal(_) => ("a package that another drone holds".to_owned(), None),
            Decision::Wait { reason, recheck_at } => {
                (reason.to_string(), recheck_at.and_then(|at| (at - planned.now).to_std().ok()))
            }
        };
        stale = 0;
        if !poll.again_within(recheck.unwrap_or(wake::NET)).await {
            return Ok(ClaimAnswer { claims: vec![], waiting_for: Some(reason) });
        }
    }
}

async fn take(
    app: &App,
    drone: DroneId,
    request: &ClaimRequest,
    choices: &[PackageId],
) -> Result<Claimed, ApiError> {
    let held = app.locks.take(choices).await;
    let claimed = db::retrying(|| {
        db::claims::claim(&app.db, &app.rules, drone, request.session, request.request, held.packages())
    })
    .await;
    app.locks.release(held);
    Ok(claimed?)
}

async fn answer(app: &App, attempts: &[AttemptId]) -> Result<ClaimAnswer, ApiError> {
    Ok(ClaimAnswer { claims: messages(app, attempts).await?, waiting_for: None })
}

/// The claims' messages, with tickets.
pub async fn messages(app: &App, attempts: &[AttemptId]) -> sqlx::Result<Vec<Claim>> {
    let now = db::now(&app.db).await?;
    let grant = Grant {
        ticket: &|target, run, package, attempt| app.attempt_ticket(now, target, run, package, attempt),
        max_artifact_bytes: app.limits.artifact_bytes,
        limit_seconds: app.times.build_limit_seconds.into(),
    };
    let mut claims = Vec::with_capacity(attempts.len());
    for &attempt in attempts {
        claims.push(db::claims::message(&app.db, attempt, &grant).await?);
    }
    Ok(claims)
}
