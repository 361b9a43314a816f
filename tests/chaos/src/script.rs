//! What a scripted drone does: shared by the harness, which writes it, and the drone's process, which follows it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::AttemptId;

/// A drone's part in the play.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Script {
    /// Of the world.
    pub seed: u64,
    /// What kind of drone it is.
    pub temper: Temper,
    /// Its builds take so many times the usual time.
    pub slowness: f64,
    /// Packages that it holds ahead.
    pub lookahead: u16,
    /// Its epoch.
    pub epoch: Epoch,
    /// What compiles nowhere, while `spoilt` exists.
    pub bad: Vec<Cpv>,
    /// While this exists, the bad do not compile, and drones keep to their temper.
    pub spoilt: PathBuf,
    /// While this exists, its disk is full.
    pub disk_full: PathBuf,
    /// Where it writes its journal.
    pub journal: PathBuf,
}

/// What kind of drone it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temper {
    /// It builds what it is told.
    Honest,
    /// It says everything twice.
    Stutters,
    /// It fails everything.
    Broken,
    /// It delivers what nobody asked for, and speaks for attempts that are not its own.
    Lies,
}

/// How a scripted build ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// With the package that was asked for.
    Good,
    /// It does not compile.
    Failure,
    /// It completes what was never uploaded.
    Phantom,
    /// It delivers a package of another slot.
    OtherSlot,
    /// It delivers bytes that are no package.
    Garbage,
}

impl Script {
    /// How long a build takes, and how it ends; the same for each repetition of a seed.
    #[must_use]
    pub fn deed(&self, cpv: &Cpv, attempt: AttemptId, spoilt: bool) -> (Duration, Deed) {
        let roll = self.roll(&format!("{cpv} {attempt}"));
        // Some take longer than a drone may be silent.
        let usual = match self.roll(&cpv.to_string()) {
            long if long % 12 == 0 => Duration::from_millis(4000 + long % 4000),
            short => Duration::from_millis(50 + short % 400),
        };
        let deed = match self.temper {
            _ if !spoilt => Deed::Good,
            _ if self.bad.contains(cpv) => Deed::Failure,
            Temper::Broken => Deed::Failure,
            Temper::Lies => [Deed::Phantom, Deed::OtherSlot, Deed::Garbage, Deed::Good][(roll % 4) as usize],
            Temper::Honest | Temper::Stutters => Deed::Good,
        };
        (usual.mul_f64(self.slowness), deed)
    }

    fn roll(&self, of: &str) -> u64 {
        let digest = swarm_protocol::Digest::of(format!("{} {of}", self.seed).as_bytes()).to_string();
        digest.bytes().take(12).fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte))
    }
}
