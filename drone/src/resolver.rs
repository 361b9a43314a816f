//! Resolving runs (DESIGN 5.2): a trusted drone asks the Portage of its base root what a run has to build and to keep, and
//! answers with a plan or with Portage's refusal.
//!
//! ```text
//! loop ──▶ work: epoch? ── the run's index ── ask ── epoch? ──▶ plan | fail, repeated until answered
//!                                              │
//!              build-drone __enter ─▶ bwrap ─▶ python3 resolve.py request.json answer.json
//! ```
//!
//! A program of ours in Python (`drone/resolver/`, part of this binary) runs in a clean root over the base root, without a
//! network, and drives Portage's own depgraph there: its `options.py` holds the options of PORTAGE.md 2 with their reasons,
//! `resolve.py` the form of request and answer, `findings.py` what counts as a refusal.
//!
//! | what | how |
//! |---|---|
//! | the world | `/var/lib/portage/world` and `world_sets` of the *request* are written into the root |
//! | binaries that may be kept | the run's staging index, brought by the drone with the resolution's ticket; Portage gets it as `PORTAGE_BINHOST=file:///…`, so that the ticket never enters a root and nothing is fetched |
//! | other binary repositories | the base root's `binrepos.conf` are covered, PKGDIR is empty |
//! | Portage's chatter | is no answer: the answer is a file; a traceback, or none, is an *infrastructure* failure with the last lines |
//! | determinism | packages and edges are ordered, and `PYTHONHASHSEED` is fixed: Portage iterates over sets |
//!
//! By hand: `build-drone resolve --world FILE [--index PACKAGES] [--json]`, in a root of its own.
//!
//! | module | what |
//! |---|---|
//! | `resolver` | the loop: asks for runs to resolve |
//! | [`work`] | one resolution, from the task to the report |
//! | [`index`] | brings the index of the run's staging view |
//! | [`ask`] | one question to Portage: runs the program, reads its answer |
//! | [`root`] | the files that the question puts into the root |
//! | [`verdict`] | what the answer is in the orchestrator's terms |
//! | [`by_hand`] | `build-drone resolve` |
//! | [`table`] | a plan and findings for people. Pure |

pub mod ask;
pub mod by_hand;
pub mod index;
pub mod root;
pub mod table;
pub mod verdict;
pub mod work;

use crate::build::Workshop;
use crate::link::{CallError, backoff, within};
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::id::SessionId;
use swarm_protocol::resolution::{Resolution, ResolveRequest};
use tokio::time::Instant;

/// How long the orchestrator shall hold a request that it has nothing for.
const WAIT_SECONDS: u16 = 30;
/// How long an answer may take: the wait and the way.
const LIMIT: Duration = Duration::from_secs(45);
/// Between two requests at least, whatever an answer without work took.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a drone waits that cannot tell its epoch, as while a repository is being synced.
const EPOCH_PAUSE: Duration = Duration::from_secs(30);
/// How long a drone that may not resolve waits before it asks whether it may now.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// Resolves until the drone drains. It never fails: what is wrong with the drone itself ends the claim loop.
pub async fn run(shop: &Workshop) {
    let draining = shop.link.draining.clone();
    let mut waits = backoff();
    let mut refused = false;
    loop {
        let begun = Instant::now();
        let mut changes = shop.epochs.changes();
        let asked = tokio::select! {
            biased;
            // An answer that is lost here is given up when the session is closed.
            () = draining.cancelled() => return,
            // The same request is made again, with what is held now; a resolution that is lost here is given again.
            _ = changes.changed() => continue,
            asked = ask_once(shop) => asked,
        };
        let pause = match asked {
            Ok(task) => {
                (waits, refused) = (backoff(), false);
                if let Some((session, resolution)) = task {
                    work::run(shop, session, &resolution).await;
                }
                SHORTEST.saturating_sub(begun.elapsed())
            }
            Err(Unasked::Call(error)) if error.is_transient() => {
                tracing::debug!(%error, "no answer to the request for a resolution; repeating it");
                waits.next().unwrap_or(LIMIT)
            }
            Err(error) => {
                error.log(refused);
                refused = true;
                error.pause()
            }
        };
        tokio::select! {
            () = draining.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

enum Unasked {
    Epoch(anyhow::Error),
    Call(CallError),
}

impl Unasked {
    fn pause(&self) -> Duration {
        match self {
            Self::Epoch(_) => EPOCH_PAUSE,
            Self::Call(_) => REFUSED_PAUSE,
        }
    }

    fn log(&self, again: bool) {
        match self {
            _ if again => {}
            Self::Epoch(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the drone cannot tell its epoch and resolves nothing"
                );
            }
            Self::Call(error) if error.code() == Some(Code::Forbidden) => {
                tracing::debug!("the drone is not trusted with resolving");
            }
            Self::Call(error) => tracing::warn!(%error, "the orchestrator refuses requests for a resolution"),
        }
    }
}

/// One request; nothing when there was nothing, or when the session was over and another is open now.
async fn ask_once(shop: &Workshop) -> Result<Option<(SessionId, Resolution)>, Unasked> {
    let epochs = shop.epochs.all().await.map_err(Unasked::Epoch)?;
    let session = shop.link.desk().session();
    let request = ResolveRequest { session, epochs, wait_seconds: WAIT_SECONDS };
    match within(LIMIT, shop.link.client.resolve(&request)).await {
        Ok(answer) => Ok(answer.resolution.map(|resolution| (session, resolution))),
        Err(error) if error.code() == Some(Code::StaleSession) => {
            shop.link.another_session(session).await;
            Ok(None)
        }
        Err(error) => Err(Unasked::Call(error)),
    }
}
