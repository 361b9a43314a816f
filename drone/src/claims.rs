//! The claim loop: asks for a package, builds it, asks again. One build at a time.
//!
//! Claim requests are numbered from 1 within a session and sent one at a time; a number is repeated until it is answered,
//! so an answer that was lost on the way is given again, never claimed twice.

use crate::attempt;
use crate::build::Workshop;
use crate::link::{CallError, Link, backoff, within};
use crate::live::Live;
use crate::machine;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::drone::ClaimRequest;
use swarm_protocol::resolution::HeldEpoch;

/// How long the orchestrator shall hold a request that it has nothing for.
const WAIT_SECONDS: u16 = 30;
/// How long an answer may take: the wait and the way.
const LIMIT: Duration = Duration::from_secs(45);

/// Claims and builds until the drone drains; an error is one that no repetition can mend.
pub async fn run(shop: &Arc<Workshop>) -> anyhow::Result<()> {
    let draining = shop.link.draining.clone();
    let mut waits = backoff();
    loop {
        let mut changes = shop.epochs.changes();
        let claimed = tokio::select! {
            biased;
            // An answer that is lost here comes back when the session is closed.
            () = draining.cancelled() => return Ok(()),
            // The same request is made again, with what is held now; an answer that is lost here is given again.
            _ = changes.changed() => continue,
            claimed = claim_once(shop) => claimed,
        };
        let pause = match claimed {
            Ok(claims) => {
                waits = backoff();
                for live in claims {
                    attempt::run(shop, &live).await;
                }
                continue;
            }
            Err(Unclaimed::Epoch(error)) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the drone cannot tell its epoch and claims nothing"
                );
                Duration::from_secs(30)
            }
            Err(Unclaimed::Call(error)) if error.is_transient() => {
                tracing::debug!(%error, "no answer to the claim; repeating it");
                waits.next().unwrap_or(LIMIT)
            }
            Err(Unclaimed::Call(error)) => {
                return Err(anyhow::Error::new(error).context("the orchestrator refuses claims"));
            }
        };
        tokio::select! {
            () = draining.cancelled() => return Ok(()),
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

enum Unclaimed {
    Epoch(anyhow::Error),
    Call(CallError),
}

/// One request; empty when there was nothing, or when the session was over and another is open now.
async fn claim_once(shop: &Workshop) -> Result<Vec<Arc<Live>>, Unclaimed> {
    let held = shop.epochs.all().await.map_err(Unclaimed::Epoch)?;
    let request = message(&shop.link, &held);
    match within(LIMIT, shop.link.client.claim(&request)).await {
        Ok(answer) => Ok(shop.link.desk().settle(request.session, request.request, answer.claims)),
        Err(error) if error.code() == Some(Code::StaleSession) => {
            shop.link.another_session(request.session).await;
            Ok(Vec::new())
        }
        Err(error) => Err(Unclaimed::Call(error)),
    }
}

fn message(link: &Link, held: &[HeldEpoch]) -> ClaimRequest {
    let (session, settled) = {
        let desk = link.desk();
        (desk.session(), desk.settled())
    };
    ClaimRequest {
        session,
        request: settled + 1,
        want: 1,
        epochs: held.iter().map(|held| held.epoch.digest()).collect(),
        memory_free_bytes: machine::memory().1,
        disk_free_bytes: machine::disk_free(&link.config.state_dir),
        wait_seconds: WAIT_SECONDS,
    }
}
