//! Gates (PORTAGE.md 1, law 8): a trusted drone asks the Portage of its base root what each workstation would do with a
//! generation that clients do not see yet.
//!
//! ```text
//! loop ──▶ work: epoch? ── the generation's index ── per seat: its root ── gate.py ──▶ verdict | fail, repeated
//!                                              then, if asked for: a smoke install
//! ```
//!
//! What is asked, and what counts as a finding, is `drone/resolver/gate.py`'s; its options stand in `options.py`, beside
//! those of the resolver. Nothing of it reads an exit status but the smoke install, which compares what is there, too.
//!
//! | a seat's root | what |
//! |---|---|
//! | the base root, its configuration and its repositories | as for a resolution, without a network |
//! | `/var/db/pkg` | the workstation's; of one that is set up anew, nothing but [`vdb::seed`] |
//! | the world | the workstation's |
//! | the index | the generation's, as `PORTAGE_BINHOST=file:///…`; Portage has none cached |
//!
//! | module | what |
//! |---|---|
//! | `gate` | the loop |
//! | [`work`] | one gate, from the task to the report |
//! | [`seat`] | one workstation's answer |
//! | [`vdb`] | what a workstation has installed |
//! | [`smoke`] | installs the generation in a root that is thrown away |

pub mod seat;
pub mod smoke;
pub mod vdb;
pub mod work;

use crate::build::Workshop;
use crate::config::Config;
use crate::errands::{self, Errand, Unasked};
use crate::link::hold_seconds;
use std::path::PathBuf;
use swarm_protocol::gate::{Gate, GateRequest};
use swarm_protocol::id::SessionId;

/// The directories of gates; cleared when the drone starts.
#[must_use]
pub fn directories(config: &Config) -> PathBuf {
    config.state_dir.join("gates")
}

/// Judges until the drone drains.
pub async fn run(shop: &Workshop) {
    errands::run(shop, &Judging(shop)).await;
}

struct Judging<'a>(&'a Workshop);

impl Errand for Judging<'_> {
    const WHAT: &'static str = "judging";
    type Task = (SessionId, Gate);

    async fn ask(&self) -> Result<Option<Self::Task>, Unasked> {
        let Self(shop) = self;
        let held = shop.epochs.all().await.map_err(Unasked::Epoch)?;
        let epochs = held.iter().map(|held| held.epoch.digest()).collect();
        let session = shop.link.desk().session();
        let request = GateRequest { session, epochs, wait_seconds: hold_seconds() };
        let call = shop.link.client.gate(&request);
        let answer = shop.link.long_poll(session, call).await.map_err(Unasked::Call)?;
        Ok(answer.and_then(|answer| answer.gate).map(|gate| (session, gate)))
    }

    async fn work(&self, (session, gate): Self::Task) {
        work::run(self.0, session, &gate).await;
    }
}
