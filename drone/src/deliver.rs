//! Brings an artifact to the binhost and has it accepted (DESIGN 5, point 6). Nothing here gives up for the network's
//! sake: an interrupted delivery costs time only (law 10).

use crate::artifact::Artifact;
use crate::failure::Failure;
use crate::link::{CALL_LIMIT, Link, backoff, within};
use crate::live::Live;
use crate::log::BuildLog;
use crate::report::report;
use crate::stage::Stage;
use crate::stop::Stop;
use std::time::{Duration, Instant};
use swarm_protocol::Code;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::drone::{Complete, Completed, Completion, Usage};
use swarm_protocol::state::FailureClass;
use tokio::fs::File;

/// Between two questions whether the artifact is accepted by now.
const ACCEPTING_PAUSE: Duration = Duration::from_secs(2);
/// How often other bytes than were sent may arrive.
const CORRUPTIONS: u32 = 3;

/// Uploads `artifact`, repeating for as long as needed. Each failure is noted in the log, and so counts as progress:
/// a drone that waits for a binhost has not stalled. Gives the time that it took.
pub async fn upload(link: &Link, live: &Live, artifact: &Artifact, log: &BuildLog) -> Result<Duration, Stop> {
    live.enter(Stage::Uploading);
    let began = Instant::now();
    let mut waits = backoff();
    let mut corruptions = 0;
    loop {
        let result = tokio::select! {
            () = live.token().cancelled() => return Err(Stop::Cancelled),
            result = upload_once(link, live, artifact) => result?,
        };
        let Err(error) = result else { return Ok(began.elapsed()) };
        log.note(&format!("upload: {error}"));
        corruptions += u32::from(error.code() == Some(Code::DigestMismatch));
        let corrupted = error.code() == Some(Code::DigestMismatch) && corruptions < CORRUPTIONS;
        if !error.is_transient() && !corrupted {
            return Err(Failure::new(
                FailureClass::Infrastructure,
                format!("the upload was refused: {error}"),
            )
            .into());
        }
        tokio::select! {
            () = live.token().cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep(waits.next().unwrap_or(CALL_LIMIT)) => {}
        }
    }
}

async fn upload_once(
    link: &Link,
    live: &Live,
    artifact: &Artifact,
) -> Result<Result<(), crate::link::CallError>, Stop> {
    let file = File::open(&artifact.path).await?;
    let client = BinhostClient::new(&link.session().binhost_url, live.identity().claim.ticket.0.clone());
    // Slower than 64 KiB/s is as good as broken.
    let limit = CALL_LIMIT + Duration::from_secs(artifact.size / (64 << 10));
    Ok(within(limit, client.upload(artifact.digest, artifact.size, file)).await)
}

/// Asks that the uploaded artifact be accepted until it is received or refused.
pub async fn complete(
    link: &Link,
    live: &Live,
    artifact: &Artifact,
    uploading: Duration,
    usage: Option<Usage>,
) -> Result<Completed, Stop> {
    live.enter(Stage::Completing);
    loop {
        let answer = report(link, live, |client, identity| async move {
            let body = Complete {
                fence: identity.fence(),
                built: artifact.digest,
                size: artifact.size,
                upload_seconds: Some(uploading.as_secs_f64()),
                usage,
            };
            client.complete(identity.claim.attempt, &body).await
        });
        let answer = answer.await?;
        if answer.result != Completion::Accepting {
            return Ok(answer);
        }
        tokio::select! {
            () = live.token().cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep(ACCEPTING_PAUSE) => {}
        }
    }
}
