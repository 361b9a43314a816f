//! One form for all worlds that have the same future: drones and orchestrators are alike, and what nobody can ask
//! for any more is forgotten. Every rewriting here is a bisimulation: it keeps each row that some later action, law
//! or verdict reads.

use super::database::failure;
use super::moves::regainable;
use super::scope::{Fault, Flaw, Scope};
use super::world::{
    Attempt, Choice, DRONES, DriveAt, Knows, LateBeat, NO_ROOT, NOBODY, Package, Plan, Request, Run, World,
};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// Brings a world into its form.
pub fn canonical(scope: &Scope, mut world: World) -> World {
    if scope.flaw.is_none() {
        lay_down(scope, &mut world);
    }
    for number in 0..scope.packages {
        if world.packages[number].count > 0 {
            forget(scope, &mut world, number);
        }
    }
    rename_drones(&mut world);
    if world.orchestrators[0].word() > world.orchestrators[1].word() {
        world.orchestrators.swap(0, 1);
    }
    world
}

/// What an orchestrator carries is put down once nothing can come of it: whatever is asked of an ended attempt is
/// refused (`laws` asks it all in every world), as are plans for ended sessions and served requests.
fn lay_down(scope: &Scope, world: &mut World) {
    for number in 0..world.orchestrators.len() {
        if let Some(plan) = world.orchestrators[number].plan
            && (!plan.open || plan.request == Request::Served || lost(scope, world, plan))
        {
            world.orchestrators[number].plan = None;
        }
        if let Some(drive) = world.orchestrators[number].drive
            && drive.at != DriveAt::Asked
            && ended(world, drive.package, drive.attempt)
        {
            world.orchestrators[number].drive = None;
        }
    }
}

/// The plan's object is gone for good.
fn lost(scope: &Scope, world: &World, plan: Plan) -> bool {
    match plan.choice {
        Choice::Claim => is_over(scope, world, usize::from(plan.package)),
        Choice::Steal | Choice::Reclaim => ended(world, plan.package, plan.attempt),
    }
}

fn ended(world: &World, package: u8, attempt: u8) -> bool {
    world.packages[usize::from(package)].attempts[usize::from(attempt)].phase == AttemptPhase::Ended
}

fn forget(scope: &Scope, world: &mut World, number: usize) {
    let over = is_over(scope, world, number);
    for index in 0..usize::from(world.packages[number].count) {
        let keeps = !over && regainable(scope, world, number, index);
        let package = &mut world.packages[number];
        let counts = !over && index >= usize::from(package.forgiven);
        let attempt = &mut package.attempts[index];
        if attempt.phase == AttemptPhase::Ended {
            if keeps {
                attempt.class = None;
            } else {
                let root = attempt.root;
                bury(attempt, counts);
                if scope.has(Flaw::OlderRegained) || scope.has(Flaw::RegainedSettled) {
                    attempt.root = root;
                }
            }
        }
    }
    let package = &mut world.packages[number];
    if package.forgiven > 0 && !package.existing()[..usize::from(package.forgiven)].iter().any(matters) {
        package.forgiven = 0;
    }
    uproot(package, number, &mut world.late);
    if over && !named(world, number) {
        shorten(&mut world.packages[number]);
    }
}

/// Nothing can begin for the package any more.
fn is_over(scope: &Scope, world: &World, number: usize) -> bool {
    match world.packages[number].state {
        PackageState::Received => true,
        PackageState::Quarantined => !scope.permits(world, Fault::Release),
        _ => world.run == Run::Cancelled && world.packages[number].live().is_none(),
    }
}

/// Of an ended attempt counts whose fault it was and, for *package*, where; and that its claim's answer is under way.
fn bury(attempt: &mut Attempt, counts: bool) {
    let class = failure(attempt).filter(|_| counts);
    let received = attempt.outcome == Some(Outcome::Received);
    attempt.outcome = Some(match (class, received) {
        (_, true) => Outcome::Received,
        (Some(FailureClass::Infrastructure), _) => Outcome::Lost,
        (Some(_), _) => Outcome::Failed,
        (None, _) => Outcome::HandedBack,
    });
    attempt.class = class.filter(|class| *class != FailureClass::Infrastructure);
    attempt.built = attempt.built.filter(|_| received);
    attempt.stalled = false;
    attempt.root = NO_ROOT;
    if attempt.knows != Knows::InFlight {
        attempt.knows = Knows::Gone;
        attempt.open = false;
        if class != Some(FailureClass::Package) {
            attempt.drone = NOBODY;
        }
    }
}

fn matters(attempt: &Attempt) -> bool {
    failure(attempt).is_some()
}

/// The root is the first of the kin that is still remembered, and a late list names remembered attempts only.
fn uproot(package: &mut Package, number: usize, late: &mut Option<LateBeat>) {
    let before = *package;
    let (mut indices, mut roots) = (0, 0);
    for (index, attempt) in before.existing().iter().enumerate() {
        if attempt.root != NO_ROOT {
            let first =
                before.existing().iter().position(|other| other.root == attempt.root).unwrap_or(index);
            package.attempts[index].root = u8::try_from(first).unwrap_or(NO_ROOT);
            indices |= 1 << index;
            let settled = late.is_some_and(|late| late.settled[number] >> attempt.root & 1 == 1);
            roots |= u8::from(settled) << first;
        }
    }
    if let Some(late) = late {
        late.listed[number] &= indices;
        late.settled[number] = roots;
    }
}

/// Somebody holds a number of one of the package's attempts.
fn named(world: &World, number: usize) -> bool {
    world.orchestrators.iter().any(|orchestrator| {
        orchestrator.plan.is_some_and(|plan| usize::from(plan.package) == number)
            || orchestrator.drive.is_some_and(|drive| usize::from(drive.package) == number)
    })
}

/// A package that is over keeps the received attempt alone, unless a claim's answer is still under way.
fn shorten(package: &mut Package) {
    if package.existing().iter().any(|attempt| attempt.knows == Knows::InFlight) {
        return;
    }
    let received = package.existing().iter().position(|attempt| attempt.outcome == Some(Outcome::Received));
    let kept = received.map(|index| package.attempts[index]);
    let staged = received.is_some() && package.staged.map(usize::from) == received;
    if received.is_some() && !staged {
        return;
    }
    for attempt in &mut package.attempts[..usize::from(package.count)] {
        *attempt = Attempt::NONE;
    }
    package.staged = kept.map(|_| 0);
    package.count = u8::from(kept.is_some());
    package.attempts[0] = kept.unwrap_or(Attempt::NONE);
}

/// Numbers the drones by what they have.
fn rename_drones(world: &mut World) {
    let marks = marks(world);
    if marks[0] >= marks[1] && marks[1] >= marks[2] {
        return;
    }
    let mut order = [0, 1, 2];
    order.sort_by_key(|drone| std::cmp::Reverse(marks[*drone]));
    let mut name = [0, 1, 2, NOBODY];
    let drones = world.drones;
    for (new, old) in order.iter().enumerate() {
        world.drones[new] = drones[*old];
        name[*old] = u8::try_from(new).unwrap_or(NOBODY);
    }
    for package in &mut world.packages {
        for attempt in &mut package.attempts[..usize::from(package.count)] {
            attempt.drone = name[usize::from(attempt.drone)];
        }
    }
    for orchestrator in &mut world.orchestrators {
        if let Some(plan) = &mut orchestrator.plan {
            plan.drone = name[usize::from(plan.drone)];
        }
    }
    if let Some(late) = &mut world.late {
        late.drone = name[usize::from(late.drone)];
    }
}

/// Tells drones apart unless they are interchangeable: by their rows, their attempts, the plans and the heartbeat that
/// name them. It does not depend on the orchestrators' order.
fn marks(world: &World) -> [u64; DRONES] {
    let mut marks = [0; DRONES + 1];
    let mut bit = 1 << 63;
    for package in &world.packages {
        for attempt in package.existing() {
            marks[usize::from(attempt.drone)] |= bit;
            bit >>= 1;
        }
    }
    for (drone, row) in world.drones.iter().enumerate() {
        marks[drone] |= u64::from(row.up) << 40 | u64::from(row.heard) << 39;
    }
    if let Some(late) = world.late {
        marks[usize::from(late.drone)] |= 1 << 38;
    }
    for orchestrator in &world.orchestrators {
        if let Some(plan) = orchestrator.plan {
            marks[usize::from(plan.drone)] += u64::from(orchestrator.word() & !(3 << 7));
        }
    }
    [marks[0], marks[1], marks[2]]
}

const _: () = assert!(DRONES == 3, "three drones are sorted");
