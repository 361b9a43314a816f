//! Fenced reports: repeated until they are answered, under whatever identity the attempt then has.
//!
//! `stale_report` does not yet mean that all is lost: after a partition the attempt was reclaimed, and the next heartbeat
//! tells whether the drone regains it (then the report is made again, under the new identity) or not (then the attempt is
//! cancelled). So a report that is stale asks for heartbeats and waits for their verdict. Two of them without a word about
//! the attempt count as a no.

use crate::link::{CALL_LIMIT, CallError, Link, backoff, within};
use crate::live::{Cancelled, Identity, Live};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::client::{ClientError, DroneClient};

/// Why a report was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Unreported {
    /// The attempt was cancelled meanwhile.
    #[error("the attempt was cancelled")]
    Cancelled,
    /// The orchestrator refuses it, and will again.
    #[error("the orchestrator refuses the report: {0}")]
    Refused(CallError),
}

/// Makes a report of `live`: `call` once per try, with the identity of the moment.
pub async fn report<T, F>(
    link: &Link,
    live: &Live,
    call: impl Fn(DroneClient, Arc<Identity>) -> F,
) -> Result<T, Unreported>
where
    F: Future<Output = Result<T, ClientError>>,
{
    tokio::select! {
        biased;
        () = live.token().cancelled() => Err(Unreported::Cancelled),
        result = until_answered(link, live, call) => result,
    }
}

async fn until_answered<T, F>(
    link: &Link,
    live: &Live,
    call: impl Fn(DroneClient, Arc<Identity>) -> F,
) -> Result<T, Unreported>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut waits = backoff();
    loop {
        let identity = live.identity();
        let error = match within(CALL_LIMIT, call(link.client.clone(), identity.clone())).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.code() {
            Some(Code::StaleReport | Code::StaleSession) => verdict(link, live, &identity).await,
            _ if error.is_transient() => {
                tracing::debug!(attempt = %identity.claim.attempt, %error, "report not answered; repeating it");
                tokio::time::sleep(waits.next().unwrap_or(CALL_LIMIT)).await;
            }
            _ => return Err(Unreported::Refused(error)),
        }
    }
}

/// Waits until heartbeats have told what became of an attempt whose report was stale.
async fn verdict(link: &Link, live: &Live, reported: &Identity) {
    let mut identities = live.identities();
    let silence = async {
        link.fresh_beat().await;
        tokio::time::sleep(Duration::from_secs(link.session().heartbeat_seconds.into())).await;
        link.fresh_beat().await;
    };
    tokio::select! {
        _ = identities.wait_for(|now| now.claim.attempt != reported.claim.attempt) => {}
        () = silence => {
            tracing::warn!(attempt = %reported.claim.attempt, "the orchestrator no longer knows the attempt");
            live.cancel(Cancelled::Revoked);
        }
    }
}
