//! The long-poll for work: plan, lock, claim, or wait for the next wake-up.

use crate::api::error::ApiError;
use crate::app::App;
use crate::claim_lock;
use crate::db;
use crate::db::claims::{Claimed, Grant};
use crate::planner::{Asks, Choice};
use crate::poll::Poll;
use std::time::Duration;
use swarm_protocol::drone::{Claim, ClaimAnswer, ClaimRequest};
use swarm_protocol::id::{AttemptId, DroneId, PackageId};
use tokio::time::{Instant, sleep, timeout};

/// How often a drone chooses again at once when others were faster, before it rests.
const CHOICES: usize = 8;

/// How long a plan may take.
const PLANNED: Duration = Duration::from_secs(5);

/// Serves a claim request: at once when there is work, else when it comes or the request's time is over.
pub async fn serve(app: &App, drone: DroneId, request: &ClaimRequest) -> Result<ClaimAnswer, ApiError> {
    let poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    if let Some(former) = db::claims::of_request(&app.db, request.session, request.request).await? {
        return answer(app, &former).await;
    }
    let asks = Asks {
        wants: request.want.into(),
        ahead: request.ahead.into(),
        epochs: request.epochs.iter().copied().collect(),
        memory_free_bytes: request.memory_free_bytes,
        disk_free_bytes: request.disk_free_bytes,
    };
    let mut seat = app.planner.sit(drone, asks);
    let mut in_vain = 0;
    loop {
        // Whoever does not want to wait gets what there is.
        tokio::select! {
            () = app.stop.cancelled() => break,
            _ = timeout(PLANNED, seat.planned()) => {}
        }
        let Some(choice) = poll.until_over(seat.choice()).await else { break };
        let claimed = match choice {
            Choice::Claim(packages) => take(app, drone, request, &packages).await?,
            Choice::Steal(loot) => {
                let began = Instant::now();
                let stolen =
                    db::claims::steal(&app.db, &app.rules, drone, request.session, request.request, loot);
                let stolen = stolen.await?;
                let taken = !stolen.attempts().is_empty();
                app.metrics.steal(taken, began.elapsed());
                seat.stole(loot, taken, db::now(&app.db).await?);
                stolen
            }
        };
        match claimed {
            Claimed::Now(attempts) if attempts.is_empty() => {
                in_vain += 1;
                // Or a lock was left behind: it is not worth a whole poll interval.
                if in_vain % CHOICES == 0 && poll.until_over(sleep(claim_lock::TTL)).await.is_none() {
                    break;
                }
                seat.in_vain();
            }
            Claimed::Now(attempts) | Claimed::Before(attempts) => {
                seat.claimed();
                return answer(app, &attempts).await;
            }
        }
    }
    let waiting_for = if db::drones::awaits_approval(&app.db, drone).await? {
        "a person, who has to let this drone in".to_owned()
    } else {
        seat.reason().to_string()
    };
    Ok(ClaimAnswer { claims: vec![], waiting_for: Some(waiting_for) })
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
        distfiles: app.distfiles_ticket(now),
        max_artifact_bytes: app.limits.artifact_bytes,
        limit_seconds: app.times.build_limit_seconds.into(),
    };
    let mut claims = Vec::with_capacity(attempts.len());
    for &attempt in attempts {
        claims.push(db::claims::message(&app.db, attempt, &grant).await?);
    }
    Ok(claims)
}
