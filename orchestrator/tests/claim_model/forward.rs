//! No world is a dead end: in each of them some step that needs no luck, no fault and no person brings the swarm
//! nearer to "everything is received or waits for a person". Nearer is a number that such a step makes smaller;
//! since the world after it is explored as well, the end is reached from everywhere.

use super::action::Action;
use super::moves::{awaits_answer, next};
use super::scope::{Flaw, Scope};
use super::world::{DriveAt, Knows, Package, Plan, Request, Run, World};
use super::{database::failure, world::Choice};
use swarm_protocol::state::{AttemptPhase, PackageState};

/// More than any package can be away from its end without failing again.
const A_TRY: usize = 100;

/// Nothing is left to do, or something that brings the end nearer can be done.
pub fn goes_forward(scope: &Scope, world: &World) -> bool {
    let distance = distance(scope, world);
    if distance == 0 {
        return true;
    }
    let Some(action) = helpful(scope, world) else { return false };
    next(scope, world, action).is_some_and(|after| self::distance(scope, &after) < distance)
}

/// How far the end is.
fn distance(scope: &Scope, world: &World) -> usize {
    let mut sum = usize::from(world.run == Run::Frozen);
    for drone in &world.drones[..scope.drones] {
        sum += usize::from(!drone.heard) + 5 * usize::from(!drone.up);
    }
    for orchestrator in &world.orchestrators {
        sum += match orchestrator.drive.map(|drive| drive.at) {
            None => 0,
            Some(DriveAt::Asked) => 2,
            Some(DriveAt::Staged | DriveAt::Refused) => 1,
        };
    }
    for number in 0..scope.packages {
        sum += of_package(scope, world, number);
    }
    if at_rest(scope, world) { 0 } else { sum }
}

/// Every package is settled, or the run is over and nothing lives.
fn at_rest(scope: &Scope, world: &World) -> bool {
    let mut rests = true;
    for package in &world.packages[..scope.packages] {
        rests &= if world.run == Run::Cancelled { package.live().is_none() } else { package.settled() };
    }
    rests
}

fn of_package(scope: &Scope, world: &World, number: usize) -> usize {
    let package = &world.packages[number];
    if world.run == Run::Cancelled {
        return usize::from(package.live().is_some());
    }
    let mut unanswered = 0;
    let mut failures = 0;
    for (index, attempt) in package.existing().iter().enumerate() {
        let over = attempt.phase == AttemptPhase::Ended;
        unanswered += usize::from(over && attempt.knows == Knows::InFlight);
        failures += usize::from(index >= usize::from(package.forgiven) && failure(attempt).is_some());
    }
    let policy = &scope.policy;
    let most = policy.infrastructure_failures
        + policy.package_failures
        + policy.resources_failures
        + policy.epoch_failures;
    let tries = A_TRY * (most - failures.min(most));
    match package.live() {
        Some(live) => unanswered + tries + of_attempt(world, number, live),
        None if package.state == PackageState::Needed => {
            unanswered + tries + 20 + usize::from(package.pausing)
        }
        None => unanswered,
    }
}

fn of_attempt(world: &World, number: usize, live: usize) -> usize {
    let attempt = &world.packages[number].attempts[live];
    let unknown = usize::from(matches!(attempt.knows, Knows::InFlight | Knows::Offered));
    match attempt.phase {
        AttemptPhase::Held => 16 + unknown,
        AttemptPhase::Building => 12 + unknown,
        AttemptPhase::Accepting if driven(world, number, live) => 5,
        AttemptPhase::Accepting => 9,
        AttemptPhase::Ended => 0,
    }
}

fn driven(world: &World, number: usize, live: usize) -> bool {
    world.orchestrators.iter().any(|orchestrator| {
        orchestrator
            .drive
            .is_some_and(|drive| usize::from(drive.package) == number && usize::from(drive.attempt) == live)
    })
}

/// One such step.
fn helpful(scope: &Scope, world: &World) -> Option<Action> {
    for (number, orchestrator) in world.orchestrators.iter().enumerate() {
        match orchestrator.drive.map(|drive| drive.at) {
            Some(DriveAt::Asked) => return Some(Action::Stage(number)),
            Some(_) => return Some(Action::Conclude(number)),
            None => {}
        }
    }
    if world.run == Run::Frozen {
        return Some(Action::Thaw);
    }
    (0..scope.packages).find_map(|number| for_package(scope, world, number))
}

fn for_package(scope: &Scope, world: &World, number: usize) -> Option<Action> {
    let package = &world.packages[number];
    match package.live() {
        Some(_) if world.run == Run::Cancelled => Some(Action::Cancel { package: number }),
        Some(live) => for_attempt(scope, world, number, live),
        None if package.settled() || package.unmet > 0 || world.run == Run::Cancelled => None,
        None if package.pausing => Some(Action::Wake { package: number }),
        None => (0..scope.drones).find_map(|drone| for_drone(scope, world, number, drone)),
    }
}

fn for_attempt(scope: &Scope, world: &World, number: usize, live: usize) -> Option<Action> {
    let attempt = &world.packages[number].attempts[live];
    let drone = usize::from(attempt.drone);
    if attempt.phase == AttemptPhase::Accepting {
        return (!scope.has(Flaw::NoSweep)).then_some(Action::Drive { orchestrator: 0, package: number });
    }
    if attempt.stalled {
        return Some(Action::Decide(plan(Choice::Reclaim, number, live, drone)));
    }
    match attempt.knows {
        Knows::InFlight | Knows::Offered => Some(Action::Answer { package: number, attempt: live }),
        Knows::Known if attempt.phase == AttemptPhase::Held => Some(Action::Start { package: number }),
        Knows::Known => Some(Action::Complete { package: number }),
        Knows::Gone if !world.drones[drone].up => Some(Action::Restart { drone }),
        Knows::Gone if !world.drones[drone].heard => Some(Action::Hear { drone }),
        Knows::Gone => (!scope.has(Flaw::ListIgnored)).then_some(Action::Unlist { package: number }),
    }
}

/// What brings the package to this drone; nothing if the drone has its hands full.
fn for_drone(scope: &Scope, world: &World, number: usize, drone: usize) -> Option<Action> {
    if !world.drones[drone].up {
        return Some(Action::Restart { drone });
    }
    if !world.drones[drone].heard {
        return Some(Action::Hear { drone });
    }
    if awaits_answer(world, drone) {
        return unanswered(world, drone);
    }
    let holds = |package: &&Package| {
        package.live().is_some_and(|live| {
            usize::from(package.attempts[live].drone) == drone && package.attempts[live].knows != Knows::Gone
        })
    };
    let full = world.packages.iter().filter(holds).count() >= scope.capacity;
    (!full).then(|| Action::Decide(plan(Choice::Claim, number, 0, drone)))
}

fn unanswered(world: &World, drone: usize) -> Option<Action> {
    for (package, row) in world.packages.iter().enumerate() {
        for (attempt, row) in row.existing().iter().enumerate() {
            if usize::from(row.drone) == drone && row.knows == Knows::InFlight {
                return Some(Action::Answer { package, attempt });
            }
        }
    }
    None
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
