//! Who gets which package: a pure function over a snapshot, `plan(snapshot, policy, now) → per drone a decision` (law 1).
//! Production and the simulator run the same one.
//!
//! ```text
//! order:   whose turn is it? priority, then the target that had least, then rank
//! fit:     which drones may build it?
//! assign:  on which of them is it done first? There it is claimed, or waited for
//! steal:   what could an idle drone take that another has not started?
//! ```

mod assign;
pub mod explain;
mod fit;
mod order;
mod shares;
mod steal;
#[cfg(test)]
mod tests;

pub use assign::plan;
use chrono::{DateTime, Utc};
pub use explain::Explanation;
pub use shares::Shares;
use std::collections::{BTreeMap, BTreeSet};
pub use steal::{Loot, Stealing, Strategy};
use swarm_protocol::Digest;
use swarm_protocol::id::{AttemptId, DroneId, PackageId, TargetId};

/// What the scheduler sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Packages that nothing but a pause holds back.
    pub ready: Vec<Ready>,
    /// Drones that are online, whether they ask for work or not.
    pub drones: Vec<Drone>,
    /// What each target was given lately, in seconds of work on a drone of speed 1; nothing where absent.
    pub used: BTreeMap<TargetId, f64>,
    /// How idle drones take from others.
    pub stealing: Stealing,
}

/// What is to be built, by whomever.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The package. The queue's order is that of ids.
    pub package: PackageId,
    /// Whose generation it is for.
    pub target: TargetId,
    /// The epoch that its drone must hold.
    pub epoch: Digest,
    /// Its expected build time on a drone of speed 1, in seconds.
    pub estimate_seconds: f64,
    /// What its build takes, as far as known.
    pub needs: Needs,
    /// The drones that may build it; all where absent.
    pub only_on: Option<BTreeSet<DroneId>>,
    /// No two packages of a group are built at one time.
    pub exclusive: Option<String>,
    /// The drones that failed it.
    pub failed_on: Vec<DroneId>,
}

/// A package that could be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// What it is.
    pub job: Job,
    /// A person's wish; higher goes first, before everything else.
    pub priority: i16,
    /// Its expected build time plus the longest chain behind it, in seconds.
    pub rank: f64,
    /// Since when nothing that it waits for is missing.
    pub ready_since: DateTime<Utc>,
    /// It must not be claimed earlier.
    pub not_before: Option<DateTime<Utc>>,
}

/// What a build takes; 0 is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
}

impl Needs {
    /// What is enough for both.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
        }
    }
}

/// A drone that is online.
#[derive(Clone, Debug, PartialEq)]
pub struct Drone {
    /// The drone.
    pub drone: DroneId,
    /// How much faster it builds than a drone of speed 1.
    pub speed: f64,
    /// What it has to give to the next build.
    pub has: Needs,
    /// The epochs it holds, as far as known.
    pub epochs: BTreeSet<Digest>,
    /// How many packages it asks for now.
    pub wants: usize,
    /// How many of these would wait behind what it builds.
    pub ahead: usize,
    /// It has just finished something, and will ask at any moment, until then.
    pub returns_until: Option<DateTime<Utc>>,
    /// What it has, in the order in which it builds it.
    pub work: Vec<Work>,
}

/// A live attempt of a drone.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The attempt.
    pub attempt: AttemptId,
    /// Of what.
    pub job: Job,
    /// When the drone got it.
    pub claimed_at: DateTime<Utc>,
    /// When its build began; it is held where absent.
    pub started_at: Option<DateTime<Utc>>,
}

/// What a drone should do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Claim these.
    Claim(Vec<PackageId>),
    /// Take this one, which its drone has not started.
    Steal(Loot),
    /// Wait; look again at `recheck_at` if nothing happens before.
    Wait {
        /// Why, for people.
        reason: Reason,
        /// When something changes by itself.
        recheck_at: Option<DateTime<Utc>>,
    },
}

/// Why a drone does not get a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is ready, or others took it all.
    NothingReady,
    /// It pauses after a failure.
    Pausing,
    /// It belongs to an epoch that the drone does not hold.
    OtherEpoch,
    /// It has just failed on this drone; another shall try.
    FailedHere,
    /// A rule names other drones for it.
    OtherDrones,
    /// Another package of its group is being built.
    Exclusive,
    /// It takes more memory than the drone has, and another has more.
    Memory,
    /// It takes more disk than the drone has, and another has more.
    Disk,
    /// Another drone, which is busy, will have it done earlier.
    FasterDrone,
    /// The drone is offline, grounded or draining.
    NotOnline,
    /// The drone builds something else.
    Busy,
    /// The drone asks for nothing, or asks another orchestrator.
    NotAsking,
    /// The drone could get it; what goes before it has it first.
    InTurn,
}

impl Reason {
    /// A stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.words().0
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NothingReady => ("nothing_ready", "no package is ready"),
            Self::Pausing => ("pausing", "it pauses after a failure"),
            Self::OtherEpoch => ("other_epoch", "it belongs to an epoch that this drone does not hold"),
            Self::FailedHere => ("failed_here", "it has just failed on this drone; another one shall try"),
            Self::OtherDrones => ("other_drones", "a rule keeps it for other drones"),
            Self::Exclusive => ("exclusive", "a rule forbids it beside what is being built"),
            Self::Memory => ("memory", "it takes more memory than this drone has"),
            Self::Disk => ("disk", "it takes more disk than this drone has"),
            Self::FasterDrone => ("faster_drone", "a faster drone, still busy, will have it done earlier"),
            Self::NotOnline => ("not_online", "this drone is not online: offline, grounded or draining"),
            Self::Busy => ("busy", "this drone builds something else"),
            Self::NotAsking => ("not_asking", "this drone does not ask for work here"),
            Self::InTurn => ("in_turn", "this drone may get it, in its turn"),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words().1)
    }
}

/// How packages find their drones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The highest rank goes where it is done first, and waits for that drone if it is busy, though no longer than it
    /// would take on the best idle one. What production does.
    #[default]
    EarliestFinish,
    /// The highest rank goes to the fastest idle drone. To compare with.
    CriticalPath,
    /// The queue's order goes to the fastest idle drone. To compare with.
    Fifo,
}
