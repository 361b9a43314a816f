//! How large a model is, what may go wrong in it, and which mistake it makes on purpose.

use super::world::{ATTEMPTS, Attempt, DRONES, Drone, Orchestrator, PACKAGES, Package, Run, World};
use build_orchestrator::machine::retry::Policy;
use std::time::Duration;
use swarm_protocol::state::{FailureClass, PackageState};

/// One configuration.
#[derive(Clone, Debug)]
pub struct Scope {
    pub packages: usize,
    pub drones: usize,
    pub orchestrators: usize,
    /// `(package, on)`: the package waits for the other.
    pub waits: &'static [(usize, usize)],
    /// How many claims a drone holds at most: two with lookahead.
    pub capacity: usize,
    /// How many things may go wrong in one history, of the kinds in `kinds`.
    pub faults: u8,
    pub kinds: Vec<Fault>,
    /// The classes of failure that drones report.
    pub classes: &'static [FailureClass],
    pub policy: Policy,
    /// Whether the run also proves that what should be seen is seen; costs time in every world.
    pub sights: bool,
    /// The mistake, in a mutation check.
    pub flaw: Option<Flaw>,
}

/// What may go wrong. Each occurrence costs one of [`Scope::faults`]; what is not listed here is free and may happen
/// any number of times: every delay, loss and repetition of a report or of a claim's answer, orchestrators that die,
/// restarts of dead drones, a partition's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A drone's process dies. What it sent is still under way.
    Death,
    /// A living drone falls silent for the grace time. What it sent is still under way.
    Silence,
    /// A drone gives up a claim request before its answer arrives.
    GiveUp,
    /// A drone's process forgets a claim that it held.
    Drop,
    /// A build fails.
    Failure,
    /// A drone stops politely and hands a claim back.
    HandBack,
    /// The binhost refuses an artifact.
    Refusal,
    /// The planner steals.
    Steal,
    /// A plan is carried out later than it was made, on whatever is there then.
    StalePlan,
    /// A heartbeat is delayed, or arrives again, at any later time and any number of times.
    LateBeat,
    /// A build stops making progress.
    Stall,
    /// A person releases a quarantined package.
    Release,
    /// The run is frozen; it thaws for free.
    Freeze,
    /// The run is cancelled.
    Cancel,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Death,
        Self::Silence,
        Self::GiveUp,
        Self::Drop,
        Self::Failure,
        Self::HandBack,
        Self::Refusal,
        Self::Steal,
        Self::StalePlan,
        Self::LateBeat,
        Self::Stall,
        Self::Release,
        Self::Freeze,
        Self::Cancel,
    ];
}

/// A mistake that somebody could make in the machine, the database layer, the binhost or a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A report reaches the live attempt, whatever attempt, token and session it carries.
    FenceIgnored,
    /// A reclaim does not look again whether its drone is still silent.
    ReclaimWithoutRecheck,
    /// A reclaim takes whatever attempt is live by then.
    ReclaimTakesAny,
    /// Taking an attempt does not spare *accepting*.
    AcceptingTaken,
    /// A steal takes what its victim has started.
    BuildingStolen,
    /// A claim does not look at `unmet`.
    UnmetIgnored,
    /// A claim does not look at the pause.
    PauseIgnored,
    /// A repeated `Receive` counts for the dependents once more.
    RepeatCounted,
    /// The binhost stages an attempt below the staged one.
    LowerStaged,
    /// `Receive` goes to the live attempt, not to the one that was staged.
    ReceiveTakesLive,
    /// A claim does not look whether its request has brought an attempt already.
    RequestUnchecked,
    /// Claims and heartbeats of ended sessions are heeded.
    SessionUnchecked,
    /// A new session leaves the former's attempts as they are.
    SessionInherits,
    /// A heartbeat that lists the former attempt does not speak for the one regained from it.
    KinUnlisted,
    /// A regained attempt has no claim request: any heartbeat, however old, speaks about it.
    RegainedSettled,
    /// A heartbeat speaks about attempts whose claim's answer its drone had not got when it sent it.
    UnsettledLost,
    /// A heartbeat regains what was reclaimed for want of progress.
    StalledRegained,
    /// A heartbeat regains the attempt that it lists, though that was regained before and has ended otherwise since.
    OlderRegained,
    /// The retry rule does not see the past.
    FailuresForgotten,
    /// A package that leaves quarantine, or enters it, does not tell its dependents.
    SpreadForgotten,
    /// Nothing drives a receive sequence whose orchestrator died.
    NoSweep,
    /// Nobody compares a heartbeat's list with the attempts held.
    ListIgnored,
}

/// Small numbers, so that every verdict is reached.
const TIGHT: Policy = Policy {
    package_drones: 2,
    package_failures: 2,
    infrastructure_failures: 2,
    resources_failures: 1,
    epoch_failures: 1,
    first_pause: Duration::from_secs(5),
    longest_pause: Duration::from_mins(30),
};

impl Scope {
    /// Two orchestrators, every kind of fault, `packages` of which the second waits for the first.
    pub fn new(packages: usize, drones: usize, faults: u8) -> Self {
        Self {
            packages,
            drones,
            orchestrators: 2,
            waits: if packages > 1 { &[(1, 0)] } else { &[] },
            capacity: 1,
            faults,
            kinds: Fault::ALL.to_vec(),
            classes: &[FailureClass::Package],
            policy: TIGHT,
            sights: true,
            flaw: None,
        }
    }

    /// This kind of fault may happen once more.
    pub fn permits(&self, world: &World, fault: Fault) -> bool {
        world.faults > 0 && self.kinds.contains(&fault)
    }

    /// The same with a mistake in it.
    pub fn with(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// The flaw is the one that this model has.
    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The world before anything happened.
    pub fn genesis(&self) -> World {
        let absent = Package {
            state: PackageState::Received,
            unmet: 0,
            stuck: 0,
            pausing: false,
            forgiven: 0,
            attempts: [Attempt::NONE; ATTEMPTS],
            count: 0,
            staged: None,
        };
        let mut packages = [absent; PACKAGES];
        for package in packages.iter_mut().take(self.packages) {
            package.state = PackageState::Needed;
        }
        for (package, _) in self.waits {
            packages[*package].unmet += 1;
        }
        let mut drones = [Drone { up: false, heard: false }; DRONES];
        for drone in drones.iter_mut().take(self.drones) {
            *drone = Drone { up: true, heard: true };
        }
        World {
            run: Run::Building,
            packages,
            drones,
            orchestrators: [Orchestrator::IDLE; 2],
            late: None,
            faults: self.faults,
            breach: None,
        }
    }
}
