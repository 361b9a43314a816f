//! Resolving runs (DESIGN 5.2): a trusted drone asks the Portage of its base root what a run has to build and to keep, and
//! answers with a plan or with Portage's refusal.
//!
//! ```text
//! loop ──▶ work: epoch? ── the run's index ── ask, wants, ask again ── epoch? ──▶ plan | fail, repeated until answered
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
//! | [`index`] | brings an index |
//! | [`wants`] | what workstations want beside the world |
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
pub mod wants;
pub mod work;

use crate::build::Workshop;
use crate::errands::{self, Errand, Unasked};
use crate::link::hold_seconds;
use swarm_protocol::id::SessionId;
use swarm_protocol::resolution::{Resolution, ResolveRequest};

/// Resolves until the drone drains.
pub async fn run(shop: &Workshop) {
    errands::run(shop, &Resolving(shop)).await;
}

struct Resolving<'a>(&'a Workshop);

impl Errand for Resolving<'_> {
    const WHAT: &'static str = "resolving";
    type Task = (SessionId, Resolution);

    async fn ask(&self) -> Result<Option<Self::Task>, Unasked> {
        ask_once(self.0).await
    }

    async fn work(&self, (session, resolution): Self::Task) {
        work::run(self.0, session, &resolution).await;
    }
}

/// One request; nothing when there was nothing, or when the session was over and another is open now.
async fn ask_once(shop: &Workshop) -> Result<Option<(SessionId, Resolution)>, Unasked> {
    let epochs = shop.epochs.all().await.map_err(Unasked::Epoch)?;
    let session = shop.link.desk().session();
    let request = ResolveRequest { session, epochs, wait_seconds: hold_seconds() };
    let call = shop.link.client.resolve(&request);
    let answer = shop.link.long_poll(session, call).await.map_err(Unasked::Call)?;
    Ok(answer.and_then(|answer| answer.resolution).map(|resolution| (session, resolution)))
}
