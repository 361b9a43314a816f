//! One attempt from its claim to its end: build, deliver, report; then its directories go.

use crate::artifact::Artifact;
use crate::build::{Build, Workshop};
use crate::deliver;
use crate::failure::Failure;
use crate::link::within;
use crate::live::{Cancelled, Live};
use crate::log::BuildLog;
use crate::report::report;
use crate::root::{AttemptDir, Guard};
use crate::shipper;
use crate::stop::Stop;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::drone::{Completion, Fail, HandBack, Usage};
use swarm_protocol::request_id::{RequestId, on_behalf};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// How long a hand-back may take: the drone is about to stop.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(5);

/// Runs an attempt to its end. Whatever happens, it is off the desk afterwards.
pub async fn run(shop: &Arc<Workshop>, live: &Arc<Live>) {
    let claim = live.identity().claim.clone();
    let span = tracing::info_span!("attempt", attempt.begun = %claim.attempt, package.cpv = %claim.cpv);
    // The lines of the orchestrator and of the binhost about it have its id, and not another for each call.
    let id = RequestId::of(Some(format!("attempt.{}", claim.attempt).as_bytes()));
    on_behalf(id, Box::pin(run_in(shop, live).instrument(span))).await;
}

async fn run_in(shop: &Arc<Workshop>, live: &Arc<Live>) {
    let identity = live.identity();
    tracing::info!(attempt = %identity.claim.attempt, run = %identity.claim.run, "attempt begins");
    let claim = &identity.claim;
    let guard = Guard::new(shop.link.config.limits(&claim.target, &claim.cpv));
    if let Err(stop) = work(shop, live, &guard).await {
        stopped(shop, live, stop, guard.usage()).await;
    }
    shop.link.forget(live);
    // The next heartbeat shows the empty hands.
    shop.link.beat();
}

async fn work(shop: &Arc<Workshop>, live: &Arc<Live>, guard: &Guard) -> Result<(), Stop> {
    let attempts = shop.link.config.state_dir.join("attempts");
    let dir = AttemptDir::create(&attempts, &live.attempt().to_string())?;
    let log = Arc::new(BuildLog::create(&dir.log(), shop.link.config.log_bytes)?);
    live.attach_log(log.clone());
    let shipping = {
        let (shop, live, log) = (shop.clone(), live.clone(), log.clone());
        AbortOnDropHandle::new(tokio::spawn(
            async move { shipper::ship(&shop.link, &live, &log).await }.in_current_span(),
        ))
    };
    let result = make(shop, live, &dir, &log, guard).await;
    if let Err(Stop::Failed(failure)) = &result {
        log.note(&format!("failed ({}): {}", failure.class, failure.reason));
    }
    log.close();
    let result = match result {
        // The barrier: nothing is reported before all of its log is there.
        Ok((artifact, uploading)) => {
            shipping.await??;
            let completed = deliver::complete(&shop.link, live, &artifact, uploading, guard.usage()).await;
            completed.map(|completed| accepted(live, &completed))
        }
        Err(Stop::Failed(failure)) => {
            shipping.await??;
            Err(Stop::Failed(failure))
        }
        Err(other) => Err(other),
    };
    // A compiler's tree has a million files.
    tokio::task::spawn_blocking(move || drop(dir)).await?;
    result
}

/// Builds and uploads; the latter's time.
async fn make(
    shop: &Workshop,
    live: &Live,
    dir: &AttemptDir,
    log: &Arc<BuildLog>,
    guard: &Guard,
) -> Result<(Artifact, Duration), Stop> {
    let artifact = Build { shop, live, dir, log, guard }.run().await?;
    log.note(&format!("artifact {} of {} bytes", artifact.digest, artifact.size));
    let uploading = deliver::upload(&shop.link, live, &artifact, log).await?;
    Ok((artifact, uploading))
}

fn accepted(live: &Live, completed: &swarm_protocol::drone::Completed) {
    let identity = live.identity();
    let (attempt, cpv) = (identity.claim.attempt, &identity.claim.cpv);
    if completed.result == Completion::Failed {
        let reason = completed.reason.as_deref().unwrap_or("no reason given");
        tracing::warn!(%attempt, package.cpv = %cpv, reason, "the artifact was refused");
    } else {
        tracing::info!(%attempt, package.cpv = %cpv, "the package is received");
    }
}

async fn stopped(shop: &Workshop, live: &Live, why: Stop, usage: Option<Usage>) {
    let attempt = live.attempt();
    match why {
        Stop::Failed(failure) => fail(shop, live, *failure, usage).await,
        Stop::Refused(error) => {
            tracing::error!(%attempt, error, "a report was refused; the attempt is dropped");
        }
        Stop::Cancelled if live.cancelled() == Some(Cancelled::Stopping) => hand_back(shop, live).await,
        Stop::Cancelled => tracing::info!(%attempt, "the attempt was taken away and is forgotten"),
    }
}

async fn fail(shop: &Workshop, live: &Live, failure: Failure, usage: Option<Usage>) {
    let Failure { class, reason, excerpt, out_of_memory } = failure;
    tracing::warn!(attempt = %live.attempt(), failure.class = %class, reason, "the attempt failed");
    let reason: String = reason.chars().take(1000).collect();
    let reported = report(&shop.link, live, |client, identity| {
        let (reason, excerpt) = (reason.clone(), excerpt.clone());
        let body = Fail { fence: identity.fence(), class, reason, excerpt, out_of_memory, usage };
        async move { client.fail(identity.claim.attempt, &body).await }
    });
    if let Err(error) = reported.await {
        tracing::warn!(attempt = %live.attempt(), %error, "the failure was not reported");
    }
}

async fn hand_back(shop: &Workshop, live: &Live) {
    let identity = live.identity();
    let body = HandBack { fence: identity.fence(), reason: "the drone stops".to_owned() };
    match within(HAND_BACK_LIMIT, shop.link.client.hand_back(identity.claim.attempt, &body)).await {
        Ok(()) => tracing::info!(attempt = %identity.claim.attempt, "the package was handed back"),
        Err(error) => {
            tracing::warn!(attempt = %identity.claim.attempt, %error, "the package could not be handed back");
        }
    }
}
