//! The claim loop: asks for a package, builds it, asks again. One build at a time, and up to `lookahead` packages held
//! besides, whose files are brought meanwhile. What is held and not begun goes back at once when the drone is to stop;
//! when it is grounded, the orchestrator takes it.
//!
//! Claim requests are numbered from 1 within a session and sent one at a time; a number is repeated until it is answered,
//! so an answer that was lost on the way is given again, never claimed twice.

use crate::attempt;
use crate::build::Workshop;
use crate::link::{CallError, HELD_LIMIT, Link, backoff, hold_seconds};
use crate::live::{Cancelled, Live};
use crate::machine;
use crate::stage::Stage;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::drone::{ClaimAnswer, ClaimRequest};
use swarm_protocol::resolution::HeldEpoch;
use tokio::task::JoinSet;

/// Claims and builds until the drone drains; an error is one that no repetition can mend.
pub async fn run(shop: &Arc<Workshop>) -> anyhow::Result<()> {
    let draining = shop.link.draining.clone();
    let mut waits = backoff();
    let mut attempts = JoinSet::new();
    let most = 1 + usize::from(shop.link.config.lookahead());
    loop {
        let mut changes = shop.epochs.changes();
        let want = u16::try_from(most - attempts.len().min(most)).unwrap_or(u16::MAX);
        let claimed = tokio::select! {
            biased;
            // An answer that is lost here comes back when the session is closed.
            () = draining.cancelled() => return drain(&shop.link, attempts).await,
            Some(ended) = attempts.join_next() => {
                ended.context("an attempt's task did not end")?;
                continue;
            }
            // The same request is made again, with what is held now; an answer that is lost here is given again.
            _ = changes.changed() => continue,
            claimed = claim_once(shop, want), if want > 0 => claimed,
        };
        let pause = match claimed {
            Ok(claims) => {
                waits = backoff();
                for live in claims {
                    let shop = shop.clone();
                    attempts.spawn(async move { attempt::run(&shop, &live).await });
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
                waits.next().unwrap_or(HELD_LIMIT)
            }
            Err(Unclaimed::Call(error)) => {
                return Err(anyhow::Error::new(error).context("the orchestrator refuses claims"));
            }
        };
        tokio::select! {
            () = draining.cancelled() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Gives back what has not begun, and waits for what has.
async fn drain(link: &Link, mut attempts: JoinSet<()>) -> anyhow::Result<()> {
    for live in link.desk().held().iter().filter(|live| live.stage() <= Stage::Waiting) {
        live.cancel(Cancelled::Stopping);
    }
    while let Some(ended) = attempts.join_next().await {
        ended.context("an attempt's task did not end")?;
    }
    Ok(())
}

enum Unclaimed {
    Epoch(anyhow::Error),
    Call(CallError),
}

/// One request; empty when there was nothing, or when the session was over and another is open now.
async fn claim_once(shop: &Workshop, want: u16) -> Result<Vec<Arc<Live>>, Unclaimed> {
    let held = shop.epochs.all().await.map_err(Unclaimed::Epoch)?;
    let request = message(&shop.link, &held, want);
    let call = shop.link.client.claim(&request);
    let answer = shop.link.long_poll(request.session, call).await.map_err(Unclaimed::Call)?;
    let settle =
        |answer: ClaimAnswer| shop.link.desk().settle(request.session, request.request, answer.claims);
    Ok(answer.map(settle).unwrap_or_default())
}

fn message(link: &Link, held: &[HeldEpoch], want: u16) -> ClaimRequest {
    let (session, settled) = {
        let desk = link.desk();
        (desk.session(), desk.settled())
    };
    ClaimRequest {
        session,
        request: settled + 1,
        want,
        ahead: want.min(link.config.lookahead()),
        epochs: held.iter().map(|held| held.epoch.digest()).collect(),
        memory_free_bytes: machine::memory().1,
        disk_free_bytes: machine::disk_free(&link.config.state_dir),
        wait_seconds: hold_seconds(),
    }
}
