//! What the model remembers: small, copied freely, hashed in a few words.
//!
//! Everything that two worlds may differ in without ever differing in what can happen next is left out or brought
//! into one form by [`super::canonical`].

use std::fmt;
use std::hash::{Hash, Hasher};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// The most of each kind that any configuration has.
pub const PACKAGES: usize = 3;
/// See [`PACKAGES`].
pub const DRONES: usize = 3;
/// See [`PACKAGES`].
pub const ORCHESTRATORS: usize = 2;
/// See [`PACKAGES`]; `database` notes a breach if a package ever needs more.
pub const ATTEMPTS: usize = 5;
/// The drone of an attempt whose drone nobody will ever ask for again.
pub const NOBODY: u8 = 3;
/// The root of an attempt whose kin nobody will ever ask for again.
pub const NO_ROOT: u8 = 7;

/// Everything: Postgres, the binhost's directory, the processes, the messages between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    pub run: Run,
    pub packages: [Package; PACKAGES],
    pub drones: [Drone; DRONES],
    pub orchestrators: [Orchestrator; ORCHESTRATORS],
    /// A heartbeat that is still under way, or will arrive once more.
    pub late: Option<LateBeat>,
    /// How many more things may go wrong.
    pub faults: u8,
    /// A law that the last step broke.
    pub breach: Option<Breach>,
}

/// The run's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Building,
    Frozen,
    Cancelled,
}

/// A package's row, its attempts' rows, and what the binhost's staging view holds of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Package {
    pub state: PackageState,
    pub unmet: u8,
    pub stuck: u8,
    pub pausing: bool,
    /// Failures of attempts below this index do not count any more: a person released the package after them.
    pub forgiven: u8,
    pub attempts: [Attempt; ATTEMPTS],
    /// How many of `attempts` there are.
    pub count: u8,
    /// The attempt whose artifact the binhost serves.
    pub staged: Option<u8>,
}

/// An attempt's row, and what its drone's process knows of it. Its index is its number, its id, its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub phase: AttemptPhase,
    pub outcome: Option<Outcome>,
    pub class: Option<FailureClass>,
    pub drone: u8,
    /// Its session is its drone's open one.
    pub open: bool,
    /// The first of the attempts under which one drone went on compiling, each regained from the one before.
    pub root: u8,
    pub knows: Knows,
    /// It completed, and with which of the two digests that its builds may have; the first one reported is `false`.
    pub built: Option<bool>,
    /// It has shown no progress for the stall time.
    pub stalled: bool,
}

/// What a drone's process knows of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knows {
    /// Nothing any more, or never anything: the process that held it has died, or has let it go.
    Gone,
    /// The answer to the claim request is under way. The request is open until it arrives or is given up.
    InFlight,
    /// The heartbeat's answer with the regained attempt is under way; until then it holds, and lists, the former one.
    Offered,
    /// It holds the claim.
    Known,
}

/// A drone: its row and its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drone {
    /// The process runs, under the drone's open session.
    pub up: bool,
    /// Not silent for a full grace time during which the leader listened.
    pub heard: bool,
}

/// An orchestrator's process, as far as it carries anything from one transaction to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orchestrator {
    /// What it has chosen on a snapshot, and not done yet.
    pub plan: Option<Plan>,
    /// The receive sequence that it drives.
    pub drive: Option<Drive>,
}

/// A choice that grows old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub choice: Choice,
    pub package: u8,
    /// The attempt to take, for *steal* and *reclaim*.
    pub attempt: u8,
    /// Who gets the package.
    pub drone: u8,
    /// The session that asked is still the drone's open one.
    pub open: bool,
    pub request: Request,
}

/// What kind of choice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Claim,
    Steal,
    Reclaim,
}

/// How the claim request stands that a plan is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// It is the session's last one, and unanswered.
    Open,
    /// An attempt was begun for it; its answer has arrived or was given up.
    Served,
    /// The drone gave it up, and no attempt was begun for it.
    GivenUp,
}

/// A receive sequence under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    pub package: u8,
    pub attempt: u8,
    pub at: DriveAt,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveAt {
    /// `stage` is on its way to the binhost.
    Asked,
    /// The binhost's *yes* is known; `Receive` is not applied.
    Staged,
    /// The binhost's *no* is known; `Refuse` is not applied.
    Refused,
}

/// An old heartbeat, one bit per attempt index and package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateBeat {
    pub drone: u8,
    pub open: bool,
    /// The attempts that it lists.
    pub listed: [u8; PACKAGES],
    /// The roots of the attempts that older, settled requests had brought when it was sent.
    pub settled: [u8; PACKAGES],
}

/// A law that one step broke. Laws about single worlds are in `laws`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    AcceptingTaken,
    BuildingStolen,
    HealthyRobbed,
    UnreadyClaimed,
    RequestServedTwice,
    StalledRegained,
    GivenUpRegained,
    PostgresRefuses,
}

impl Package {
    /// The attempts that exist.
    pub fn existing(&self) -> &[Attempt] {
        &self.attempts[..usize::from(self.count)]
    }

    /// The live attempt's index. That there is one at most is checked by `laws`.
    pub fn live(&self) -> Option<usize> {
        let mut index = usize::from(self.count);
        // It is the last one, but for flawed databases.
        while index > 0 {
            index -= 1;
            if self.attempts[index].phase != AttemptPhase::Ended {
                return Some(index);
            }
        }
        None
    }

    /// No person is asked, no drone is needed, nothing more will happen by itself.
    pub fn settled(&self) -> bool {
        matches!(self.state, PackageState::Received | PackageState::Quarantined | PackageState::Blocked)
    }
}

impl Attempt {
    /// A row that does not exist.
    pub const NONE: Self = Self {
        phase: AttemptPhase::Ended,
        outcome: None,
        class: None,
        drone: NOBODY,
        open: false,
        root: NO_ROOT,
        knows: Knows::Gone,
        built: None,
        stalled: false,
    };

    /// *held* or *building*.
    pub fn unfinished(&self) -> bool {
        matches!(self.phase, AttemptPhase::Held | AttemptPhase::Building)
    }

    /// Reports about it can be under way: its drone knew its token once.
    pub fn reportable(&self) -> bool {
        matches!(self.knows, Knows::Known | Knows::Gone)
    }

    fn word(&self) -> u32 {
        let outcome = self.outcome.map_or(7, |outcome| outcome as u32);
        let class = self.class.map_or(4, |class| class as u32);
        let built = self.built.map_or(2, u32::from);
        (self.phase as u32)
            | outcome << 2
            | class << 5
            | u32::from(self.drone) << 8
            | u32::from(self.open) << 10
            | u32::from(self.root) << 11
            | (self.knows as u32) << 14
            | built << 16
            | u32::from(self.stalled) << 18
    }
}

/// Only the attempts that exist.
impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, unmet, stuck, pausing, forgiven, staged, .. } = self;
        write!(
            f,
            "{state} unmet={unmet} stuck={stuck} pausing={pausing} forgiven={forgiven} staged={staged:?} "
        )?;
        f.debug_list().entries(self.existing()).finish()
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u32(
            self.run as u32
                | u32::from(self.faults) << 2
                | self.breach.map_or(8, |breach| breach as u32) << 6,
        );
        for package in &self.packages {
            package.hash(hasher);
        }
        let mut word = 0;
        for drone in &self.drones {
            word = word << 2 | u32::from(drone.up) << 1 | u32::from(drone.heard);
        }
        hasher.write_u32(word);
        for orchestrator in &self.orchestrators {
            hasher.write_u32(orchestrator.word());
        }
        if let Some(late) = self.late {
            hasher.write_u8(late.drone << 1 | u8::from(late.open));
            hasher.write(&late.listed);
            hasher.write(&late.settled);
        }
    }
}

impl Hash for Package {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u32(
            self.state as u32
                | u32::from(self.unmet) << 3
                | u32::from(self.stuck) << 5
                | u32::from(self.pausing) << 7
                | u32::from(self.forgiven) << 8
                | u32::from(self.count) << 11
                | self.staged.map_or(7, u32::from) << 14,
        );
        for attempt in self.existing() {
            hasher.write_u32(attempt.word());
        }
    }
}

impl Orchestrator {
    /// Does nothing.
    pub const IDLE: Self = Self { plan: None, drive: None };

    /// Tells any two apart; also their order.
    pub fn word(&self) -> u32 {
        let plan = self.plan.map_or(0, |plan| {
            (plan.choice as u32 + 1)
                | u32::from(plan.package) << 2
                | u32::from(plan.attempt) << 4
                | u32::from(plan.drone) << 7
                | u32::from(plan.open) << 9
                | (plan.request as u32) << 10
        });
        let drive = self.drive.map_or(0, |drive| {
            (drive.at as u32 + 1) | u32::from(drive.package) << 2 | u32::from(drive.attempt) << 4
        });
        plan | drive << 16
    }
}
