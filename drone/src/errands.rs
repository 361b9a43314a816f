//! The loops of a trusted drone: ask the orchestrator for work of a kind, do it, ask again.

use crate::build::Workshop;
use crate::link::{CallError, HELD_LIMIT, backoff};
use std::time::Duration;
use swarm_protocol::Code;
use tokio::time::Instant;

/// Between two requests at least, whatever an answer without work took.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a drone waits that cannot tell its epoch, as while a repository is being synced.
const EPOCH_PAUSE: Duration = Duration::from_secs(30);
/// How long a drone that is not trusted waits before it asks whether it is now.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// Why there was no answer.
#[derive(Debug)]
pub enum Unasked {
    /// The drone cannot tell its epoch.
    Epoch(anyhow::Error),
    /// The call failed.
    Call(CallError),
}

/// A kind of work.
pub trait Errand: Sync {
    /// What it is called, as in "resolving".
    const WHAT: &'static str;
    /// What is to be done.
    type Task: Send;

    /// One request; nothing when there was nothing.
    fn ask(&self) -> impl Future<Output = Result<Option<Self::Task>, Unasked>> + Send;

    /// Does it, and reports.
    fn work(&self, task: Self::Task) -> impl Future<Output = ()> + Send;
}

/// Asks and works until the drone drains. It never fails: what is wrong with the drone itself ends the claim loop.
pub async fn run<E: Errand>(shop: &Workshop, errand: &E) {
    let (what, link) = (E::WHAT, &shop.link);
    let mut waits = backoff();
    let mut refused = false;
    loop {
        let begun = Instant::now();
        let mut changes = shop.epochs.changes();
        let asked = tokio::select! {
            biased;
            // An answer that is lost here is given up when the session is closed.
            () = link.draining.cancelled() => return,
            // The same request is made again, with what is held now; work that is lost here is given again.
            _ = changes.changed() => continue,
            asked = errand.ask() => asked,
        };
        let pause = match asked {
            Ok(task) => {
                (waits, refused) = (backoff(), false);
                if let Some(task) = task {
                    errand.work(task).await;
                }
                SHORTEST.saturating_sub(begun.elapsed())
            }
            Err(Unasked::Call(error)) if error.is_transient() => {
                tracing::debug!(%error, what, "no answer to the request for work; repeating it");
                waits.next().unwrap_or(HELD_LIMIT)
            }
            Err(error) => {
                error.log(what, refused);
                refused = true;
                error.pause()
            }
        };
        tokio::select! {
            () = link.draining.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Unasked {
    fn pause(&self) -> Duration {
        match self {
            Self::Epoch(_) => EPOCH_PAUSE,
            Self::Call(_) => REFUSED_PAUSE,
        }
    }

    fn log(&self, what: &str, again: bool) {
        match self {
            _ if again => {}
            Self::Epoch(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    what,
                    "the drone cannot tell its epoch and asks for no work"
                );
            }
            Self::Call(error) if error.code() == Some(Code::Forbidden) => {
                tracing::debug!(what, "the drone is not trusted with it");
            }
            Self::Call(error) => tracing::warn!(%error, what, "the orchestrator refuses requests for work"),
        }
    }
}
