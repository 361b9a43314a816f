//! Everything that can happen next, one transaction or one message at a time.

use super::scope::{Fault, Flaw, Scope};
use super::world::{Choice, DriveAt, Knows, LateBeat, Package, Plan, Request, Run, World};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// One step of somebody. Packages, attempts, drones and orchestrators are named by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A plan is made and carried out at once.
    Decide(Plan),
    /// An orchestrator makes a plan on what it sees now.
    Plan(usize, Plan),
    /// It carries the plan out on what is there now.
    Execute(usize),
    /// It dies, with its plan and the receive sequence that it drives.
    Die(usize),
    /// It asks the binhost to stage what is being accepted: as the completion's handler, or as the sweep.
    Drive {
        orchestrator: usize,
        package: usize,
    },
    /// The binhost heeds the request to stage.
    Stage(usize),
    /// The binhost finds the artifact wrong.
    Refuse(usize),
    /// The binhost's answer is recorded: `Receive` or `Refuse`.
    Conclude(usize),

    /// A claim's answer, or a regained attempt's, arrives. Its loss and repetition is its arriving later.
    Answer {
        package: usize,
        attempt: usize,
    },
    /// The drone stops waiting for its claim request's answer.
    GiveUp {
        drone: usize,
    },
    /// The drone's process lets go of an attempt.
    Drop {
        package: usize,
        attempt: usize,
    },
    /// A report on the live attempt arrives, at any time after its drone could send it. Reports on others, and with
    /// wrong fences, must change nothing: `laws` tries them all in every world.
    Start {
        package: usize,
    },
    Complete {
        package: usize,
    },
    Fail {
        package: usize,
        class: FailureClass,
    },
    HandBack {
        package: usize,
    },

    /// A heartbeat arrives.
    Hear {
        drone: usize,
    },
    /// A heartbeat arrives whose list lacks the live attempt.
    Unlist {
        package: usize,
    },
    /// A heartbeat arrives that lists a reclaimed attempt.
    Regain {
        package: usize,
        attempt: usize,
    },
    /// A heartbeat is sent that will be late.
    SendLate {
        drone: usize,
    },
    /// It arrives and lacks the live attempt.
    UnlistLate {
        package: usize,
    },
    /// It arrives and lists a reclaimed attempt.
    RegainLate {
        package: usize,
        attempt: usize,
    },

    /// The drone is silent for the grace time.
    Silence {
        drone: usize,
    },
    /// The drone's process dies.
    Crash {
        drone: usize,
    },
    /// It starts again and opens a session.
    Restart {
        drone: usize,
    },
    /// The build makes no progress for the stall time.
    Stall {
        package: usize,
    },
    /// The pause after a failure is over.
    Wake {
        package: usize,
    },
    /// A person releases it.
    Release {
        package: usize,
    },
    Freeze,
    Thaw,
    CancelRun,
    /// A live attempt of the cancelled run is ended.
    Cancel {
        package: usize,
    },
}

/// Lists what can happen in `world`. What a drone, a clock or a person would not do is left out here; whether the
/// swarm heeds it is for the database to say.
pub fn list(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    if world.breach.is_some() {
        return;
    }
    decisions(scope, world, &mut |plan| actions.push(Action::Decide(plan)));
    for orchestrator in 0..scope.orchestrators {
        of_orchestrator(scope, world, orchestrator, actions);
    }
    for drone in 0..scope.drones {
        of_drone(scope, world, drone, actions);
    }
    for package in 0..scope.packages {
        of_package(scope, world, package, actions);
        of_live_attempt(scope, world, package, actions);
        of_attempts(scope, world, package, actions);
    }
    of_late_beat(scope, world, actions);
    of_run(scope, world, actions);
}

/// The choices that a planner or a maintenance loop may make on a snapshot of this world.
fn decisions(scope: &Scope, world: &World, choose: &mut dyn FnMut(Plan)) {
    for drone in 0..scope.drones {
        if asks(scope, world, drone) {
            for package in 0..scope.packages {
                if world.packages[package].state == PackageState::Needed {
                    choose(plan(Choice::Claim, package, 0, drone));
                } else if scope.permits(world, Fault::Steal)
                    && let Some(attempt) = world.packages[package].live()
                    && may_rob(scope, &world.packages[package], attempt, drone)
                {
                    choose(plan(Choice::Steal, package, attempt, drone));
                }
            }
        }
    }
    for package in 0..scope.packages {
        if let Some(attempt) = world.packages[package].live() {
            let row = &world.packages[package].attempts[attempt];
            let silent = !world.drones[usize::from(row.drone)].heard;
            if silent || row.stalled {
                choose(plan(Choice::Reclaim, package, attempt, usize::from(row.drone)));
            }
        }
    }
}

fn may_rob(scope: &Scope, package: &Package, attempt: usize, thief: usize) -> bool {
    let row = &package.attempts[attempt];
    usize::from(row.drone) != thief && (row.phase == AttemptPhase::Held || scope.has(Flaw::BuildingStolen))
}

fn plan(choice: Choice, package: usize, attempt: usize, drone: usize) -> Plan {
    let small = |index| u8::try_from(index).unwrap_or(u8::MAX);
    Plan {
        choice,
        package: small(package),
        attempt: small(attempt),
        drone: small(drone),
        open: true,
        request: Request::Open,
    }
}

/// The drone has a claim request open that no attempt was begun for.
fn asks(scope: &Scope, world: &World, drone: usize) -> bool {
    let mut held = 0;
    for package in &world.packages {
        for attempt in package.existing() {
            if usize::from(attempt.drone) == drone {
                if attempt.knows == Knows::InFlight {
                    return false;
                }
                held += usize::from(attempt.knows != Knows::Gone && attempt.phase != AttemptPhase::Ended);
            }
        }
    }
    world.drones[drone].up && held < scope.capacity
}

fn of_orchestrator(scope: &Scope, world: &World, number: usize, actions: &mut Vec<Action>) {
    let orchestrator = &world.orchestrators[number];
    // Orchestrators are alike: a second idle one adds nothing.
    let twin = number > 0 && world.orchestrators[number - 1] == *orchestrator;
    if twin {
        return;
    }
    if orchestrator.plan.is_some() {
        actions.push(Action::Execute(number));
    } else if scope.permits(world, Fault::StalePlan) {
        decisions(scope, world, &mut |plan| actions.push(Action::Plan(number, plan)));
    }
    match orchestrator.drive.map(|drive| drive.at) {
        None if !scope.has(Flaw::NoSweep) => {
            for package in 0..scope.packages {
                if accepting(&world.packages[package]) {
                    actions.push(Action::Drive { orchestrator: number, package });
                }
            }
        }
        None => {}
        Some(DriveAt::Asked) => {
            actions.push(Action::Stage(number));
            if scope.permits(world, Fault::Refusal) {
                actions.push(Action::Refuse(number));
            }
        }
        Some(DriveAt::Staged | DriveAt::Refused) => actions.push(Action::Conclude(number)),
    }
    if orchestrator.plan.is_some() || orchestrator.drive.is_some() {
        actions.push(Action::Die(number));
    }
}

fn accepting(package: &Package) -> bool {
    package.live().is_some_and(|live| package.attempts[live].phase == AttemptPhase::Accepting)
}

fn of_drone(scope: &Scope, world: &World, number: usize, actions: &mut Vec<Action>) {
    let drone = world.drones[number];
    if drone.heard && (!drone.up || scope.permits(world, Fault::Silence)) {
        actions.push(Action::Silence { drone: number });
    }
    if drone.up {
        if !drone.heard {
            actions.push(Action::Hear { drone: number });
        }
        if scope.permits(world, Fault::Death) {
            actions.push(Action::Crash { drone: number });
        }
        if scope.permits(world, Fault::GiveUp) {
            actions.push(Action::GiveUp { drone: number });
        }
        if scope.permits(world, Fault::LateBeat) && world.late.is_none() {
            actions.push(Action::SendLate { drone: number });
        }
    } else {
        actions.push(Action::Restart { drone: number });
    }
}

fn of_package(scope: &Scope, world: &World, number: usize, actions: &mut Vec<Action>) {
    let package = &world.packages[number];
    if package.pausing {
        actions.push(Action::Wake { package: number });
    }
    if package.state == PackageState::Quarantined && scope.permits(world, Fault::Release) {
        actions.push(Action::Release { package: number });
    }
}

fn of_live_attempt(scope: &Scope, world: &World, number: usize, actions: &mut Vec<Action>) {
    let package = &world.packages[number];
    let Some(live) = package.live() else { return };
    let attempt = &package.attempts[live];
    if world.run == Run::Cancelled {
        actions.push(Action::Cancel { package: number });
    }
    if attempt.phase == AttemptPhase::Accepting {
        return;
    }
    if attempt.reportable() {
        actions.push(match attempt.phase {
            AttemptPhase::Held => Action::Start { package: number },
            _ => Action::Complete { package: number },
        });
        if scope.permits(world, Fault::Failure) {
            for class in scope.classes {
                actions.push(Action::Fail { package: number, class: *class });
            }
        }
        if scope.permits(world, Fault::HandBack) {
            actions.push(Action::HandBack { package: number });
        }
    }
    if attempt.phase == AttemptPhase::Building && !attempt.stalled && scope.permits(world, Fault::Stall) {
        actions.push(Action::Stall { package: number });
    }
    let drone = world.drones[usize::from(attempt.drone)];
    let unlisted = match attempt.knows {
        Knows::Gone => true,
        Knows::InFlight => scope.has(Flaw::UnsettledLost),
        Knows::Offered => scope.has(Flaw::KinUnlisted),
        Knows::Known => false,
    };
    if unlisted && attempt.open && drone.up && drone.heard && !scope.has(Flaw::ListIgnored) {
        actions.push(Action::Unlist { package: number });
    }
}

fn of_attempts(scope: &Scope, world: &World, number: usize, actions: &mut Vec<Action>) {
    for (index, attempt) in world.packages[number].existing().iter().enumerate() {
        if attempt.knows == Knows::Gone {
            continue;
        }
        if attempt.knows != Knows::Known {
            actions.push(Action::Answer { package: number, attempt: index });
        }
        if attempt.knows == Knows::InFlight {
            continue;
        }
        let over = attempt.phase == AttemptPhase::Ended;
        if attempt.knows == Knows::Known && (over || scope.permits(world, Fault::Drop)) {
            actions.push(Action::Drop { package: number, attempt: index });
        }
        let drone = world.drones[usize::from(attempt.drone)];
        let back = attempt.knows == Knows::Known && drone.up && drone.heard;
        if attempt.outcome == Some(Outcome::Reclaimed) && back {
            actions.push(Action::Regain { package: number, attempt: index });
        }
    }
}

fn of_late_beat(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    let Some(late) = world.late else { return };
    if !late.open && !scope.has(Flaw::SessionUnchecked) {
        return;
    }
    for package in 0..scope.packages {
        if misses(scope, late, package, &world.packages[package]) {
            actions.push(Action::UnlistLate { package });
        }
        for (attempt, row) in world.packages[package].existing().iter().enumerate() {
            let listed = late.listed[package] >> attempt & 1 == 1;
            if listed && row.outcome == Some(Outcome::Reclaimed) {
                actions.push(Action::RegainLate { package, attempt });
            }
        }
    }
}

/// The late heartbeat's list lacks the package's live attempt, though an older request than its own brought it.
/// Whatever shares a root is one claim here: the list may name any of the attempts under which its drone goes on.
fn misses(scope: &Scope, late: LateBeat, number: usize, package: &Package) -> bool {
    let Some(live) = package.live() else { return false };
    let attempt = &package.attempts[live];
    if attempt.drone != late.drone || attempt.open != late.open {
        return false;
    }
    let counts = if scope.has(Flaw::KinUnlisted) { 1 << live } else { kin(package, attempt.root) };
    let regained = usize::from(attempt.root) != live && scope.has(Flaw::RegainedSettled);
    (regained || late.settled[number] >> attempt.root & 1 == 1) && late.listed[number] & counts == 0
}

/// The attempts of one root, as bits.
pub fn kin(package: &Package, root: u8) -> u8 {
    let mut bits = 0;
    for (index, attempt) in package.existing().iter().enumerate() {
        bits |= u8::from(attempt.root == root) << index;
    }
    bits
}

fn of_run(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    if world.run == Run::Frozen {
        actions.push(Action::Thaw);
    }
    if world.run == Run::Building && scope.permits(world, Fault::Freeze) {
        actions.push(Action::Freeze);
    }
    if world.run != Run::Cancelled && scope.permits(world, Fault::Cancel) {
        actions.push(Action::CancelRun);
    }
}
