//! The long-poll for work: plan, lock, claim, or wait for the next wake-up.

use crate::api::error::ApiError;
use crate::app::App;
use crate::claim_lock;
use crate::db;
use crate::db::claims::{Claimed, Given, Grant};
use crate::planner::{Asks, Choice};
use crate::poll::Poll;
use std::time::Duration;
use swarm_protocol::drone::{ClaimAnswer, ClaimRequest};
use swarm_protocol::id::{AttemptId, DroneId, PackageId};
use tokio::time::{Instant, sleep, timeout};

/// How often a drone chooses again at once when others were faster, before it rests.
const CHOICES: usize = 8;

/// How long a plan may take.
const PLANNED: Duration = Duration::from_secs(5);

/// Serves a claim request: at once when there is work, else when it comes or the request's time is over.
pub async fn serve(app: &App, drone: DroneId, request: &ClaimRequest) -> Result<ClaimAnswer, ApiError> {
    let mut poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    if let Some(answer) = answered(app, request).await? {
        return Ok(answer);
    }
    let asks = Asks {
        wants: request.want.into(),
        ahead: request.ahead.into(),
        epochs: request.epochs.iter().copied().collect(),
        memory_free_bytes: request.memory_free_bytes,
        disk_free_bytes: request.disk_free_bytes,
    };
    let mut seat = app.planner.sit(drone, asks);
    let came = Instant::now();
    let mut in_vain = 0;
    loop {
        // Whoever does not want to wait gets what there is.
        tokio::select! {
            () = app.stop.cancelled() => break,
            _ = timeout(PLANNED, seat.planned()) => {}
        }
        let Some(choice) = poll.until_over(seat.choice()).await else { break };
        let Some(choice) = choice else {
            // A later poll of this drone has its place. If that one repeats this request, what it gets is this one's too.
            while poll.again().await {
                if let Some(answer) = answered(app, request).await? {
                    return Ok(answer);
                }
            }
            break;
        };
        let claimed = match choice {
            Choice::Claim(packages) => {
                let began = Instant::now();
                let claimed = take(app, drone, request, &packages).await?;
                app.metrics.claim(began.elapsed());
                claimed
            }
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
        match &claimed {
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
                let waited = came.elapsed();
                let given = messages(app, attempts).await?;
                if let Claimed::Now(_) = claimed {
                    // A package that was ready when the drone came had to wait for nobody else.
                    for given in &given {
                        app.metrics.hand_off(given.ready_for.min(waited));
                    }
                }
                let claims = given.into_iter().map(|given| given.claim).collect();
                return Ok(ClaimAnswer { claims, waiting_for: None });
            }
        }
    }
    // An empty answer settles the request, and with it whatever a repetition of it has got, at another orchestrator perhaps. What
    // one gets from here on, the drone's next heartbeat returns.
    if let Some(answer) = answered(app, request).await? {
        return Ok(answer);
    }
    let waiting_for = if db::drones::awaits_approval(&app.db, drone).await? {
        "a person, who has to let this drone in".to_owned()
    } else {
        seat.reason().to_string()
    };
    Ok(ClaimAnswer { claims: vec![], waiting_for: Some(waiting_for) })
}

/// What the request has brought before.
async fn answered(app: &App, request: &ClaimRequest) -> Result<Option<ClaimAnswer>, ApiError> {
    let former = db::claims::of_request(&app.db, request.session, request.request).await?;
    let Some(former) = former else { return Ok(None) };
    let claims = messages(app, &former).await?.into_iter().map(|given| given.claim).collect();
    Ok(Some(ClaimAnswer { claims, waiting_for: None }))
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

/// The claims' messages, with tickets.
pub async fn messages(app: &App, attempts: &[AttemptId]) -> sqlx::Result<Vec<Given>> {
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
