//! What each action does: processes and messages here, rows in [`super::database`].

use super::action::Action;
use super::database::{Origin, Report, asked, drone_id, fence, session, transact};
use super::scope::{Flaw, Scope};
use super::world::{
    Attempt, Breach, Choice, Drive, DriveAt, Knows, LateBeat, NO_ROOT, Orchestrator, PACKAGES, Package, Plan,
    Request, Run, World,
};
use build_orchestrator::machine::package::Transition;
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome};

/// The world after `action`; none if the swarm refuses it and nothing changes.
pub fn next(scope: &Scope, world: &World, action: Action) -> Option<World> {
    let mut world = *world;
    let done = match action {
        Action::Decide(_) | Action::Plan(..) | Action::Execute(_) => decide(scope, &mut world, action),
        Action::Die(_)
        | Action::Drive { .. }
        | Action::Stage(_)
        | Action::Refuse(_)
        | Action::Conclude(_) => receive(scope, &mut world, action),
        Action::Answer { .. } | Action::GiveUp { .. } | Action::Drop { .. } => learn(&mut world, action),
        Action::Start { package } => report(scope, &mut world, package, Report::Start),
        Action::Complete { package } => report(scope, &mut world, package, Report::Complete(false)),
        Action::Fail { package, class } => {
            costly(&mut world) && report(scope, &mut world, package, Report::Fail(class))
        }
        Action::HandBack { package } => {
            costly(&mut world) && report(scope, &mut world, package, Report::HandBack)
        }
        Action::Hear { .. }
        | Action::Unlist { .. }
        | Action::Regain { .. }
        | Action::SendLate { .. }
        | Action::UnlistLate { .. }
        | Action::RegainLate { .. } => beat(scope, &mut world, action),
        Action::Silence { .. } | Action::Crash { .. } | Action::Restart { .. } | Action::Stall { .. } => {
            suffer(scope, &mut world, action)
        }
        _ => govern(scope, &mut world, action),
    };
    done.then_some(world)
}

fn costly(world: &mut World) -> bool {
    world.faults -= 1;
    true
}

fn decide(scope: &Scope, world: &mut World, action: Action) -> bool {
    match action {
        Action::Decide(plan) => {
            if plan.choice == Choice::Steal {
                world.faults -= 1;
            }
            carry_out(scope, world, plan)
        }
        Action::Plan(orchestrator, plan) => {
            world.orchestrators[orchestrator].plan = Some(plan);
            costly(world)
        }
        Action::Execute(orchestrator) => {
            if let Some(plan) = world.orchestrators[orchestrator].plan.take() {
                carry_out(scope, world, plan);
            }
            true
        }
        _ => false,
    }
}

/// The transaction that a plan leads to: it looks again at everything that the plan was made on.
fn carry_out(scope: &Scope, world: &mut World, plan: Plan) -> bool {
    let package = usize::from(plan.package);
    let attempt = usize::from(plan.attempt);
    match plan.choice {
        Choice::Claim => begin(scope, world, plan, None, Transition::Claim { drone: drone_id(plan.drone) }),
        Choice::Steal => {
            begin(scope, world, plan, Some(attempt), Transition::Steal { drone: drone_id(plan.drone) })
        }
        Choice::Reclaim => {
            let drone = world.drones[usize::from(plan.drone)];
            let stalled = world.packages[package].attempts[attempt].stalled;
            if drone.heard && !stalled && !scope.has(Flaw::ReclaimWithoutRecheck) {
                return false;
            }
            let live = if scope.has(Flaw::ReclaimTakesAny) { world.packages[package].live() } else { None };
            let taken = if stalled && !scope.has(Flaw::StalledRegained) {
                Transition::Stall
            } else {
                Transition::Reclaim
            };
            transact(scope, world, package, live.or(Some(attempt)), &taken, Origin::NONE).is_ok()
        }
    }
}

/// A claim or a steal. Under the drone's lock: its session is open, it is heard, its request has brought nothing yet.
fn begin(
    scope: &Scope,
    world: &mut World,
    plan: Plan,
    victim: Option<usize>,
    transition: Transition,
) -> bool {
    let served = plan.request == Request::Served
        || (plan.request == Request::Open && awaits_answer(world, usize::from(plan.drone)));
    let drone = world.drones[usize::from(plan.drone)];
    if (served && !scope.has(Flaw::RequestUnchecked))
        || (!plan.open && !scope.has(Flaw::SessionUnchecked))
        || !drone.heard
    {
        return false;
    }
    let listens = plan.open && drone.up && plan.request == Request::Open;
    let knows = if listens { Knows::InFlight } else { Knows::Gone };
    let origin = Origin { open: plan.open, knows, root: None };
    let begun = transact(scope, world, usize::from(plan.package), victim, &transition, origin).is_ok();
    if begun && served {
        world.breach = Some(Breach::RequestServedTwice);
    }
    begun
}

/// The drone's open request has brought an attempt, live or over.
pub fn awaits_answer(world: &World, drone: usize) -> bool {
    world
        .packages
        .iter()
        .flat_map(Package::existing)
        .any(|attempt| usize::from(attempt.drone) == drone && attempt.knows == Knows::InFlight)
}

/// The receive sequence, and the death of whoever drives it.
fn receive(scope: &Scope, world: &mut World, action: Action) -> bool {
    match action {
        Action::Die(number) => world.orchestrators[number] = Orchestrator::IDLE,
        Action::Drive { orchestrator, package } => return drive(world, orchestrator, package),
        Action::Stage(number) => {
            if let Some(drive) = &mut world.orchestrators[number].drive {
                drive.at =
                    stage(scope, &mut world.packages[usize::from(drive.package)].staged, drive.attempt);
            }
        }
        Action::Refuse(number) => {
            if let Some(drive) = &mut world.orchestrators[number].drive {
                drive.at = DriveAt::Refused;
                let staged = world.packages[usize::from(drive.package)].staged;
                // What is staged already is not looked at again.
                return staged != Some(drive.attempt) && costly(world);
            }
        }
        Action::Conclude(number) => conclude(scope, world, number),
        _ => return false,
    }
    true
}

fn drive(world: &mut World, orchestrator: usize, package: usize) -> bool {
    let Some(live) = world.packages[package].live() else { return false };
    let small = |index| u8::try_from(index).unwrap_or(u8::MAX);
    world.orchestrators[orchestrator].drive =
        Some(Drive { package: small(package), attempt: small(live), at: DriveAt::Asked });
    true
}

/// The binhost's idempotent `stage`, and its answer.
fn stage(scope: &Scope, staged: &mut Option<u8>, attempt: u8) -> DriveAt {
    if *staged > Some(attempt) && !scope.has(Flaw::LowerStaged) {
        return DriveAt::Refused;
    }
    *staged = Some(attempt);
    DriveAt::Staged
}

fn conclude(scope: &Scope, world: &mut World, number: usize) {
    let Some(drive) = world.orchestrators[number].drive.take() else { return };
    let package = usize::from(drive.package);
    let transition = match drive.at {
        DriveAt::Staged => Transition::Receive,
        _ => Transition::Refuse { class: FailureClass::Package },
    };
    let live = if scope.has(Flaw::ReceiveTakesLive) { world.packages[package].live() } else { None };
    let attempt = live.unwrap_or(usize::from(drive.attempt));
    // A refusal is no error: somebody else was faster.
    let _ = transact(scope, world, package, Some(attempt), &transition, Origin::NONE);
}

/// What a drone's process gets to know, and forgets.
fn learn(world: &mut World, action: Action) -> bool {
    match action {
        Action::Answer { package, attempt } => {
            let row = world.packages[package].attempts[attempt];
            forget_kin(&mut world.packages[package], row.root);
            world.packages[package].attempts[attempt].knows = Knows::Known;
            if row.knows == Knows::InFlight {
                settle(world, row.drone, Request::Served);
            }
            true
        }
        Action::GiveUp { drone } => give_up(world, drone),
        Action::Drop { package, attempt } => {
            let row = world.packages[package].attempts[attempt];
            forget_kin(&mut world.packages[package], row.root);
            row.phase == AttemptPhase::Ended || costly(world)
        }
        _ => false,
    }
}

/// The drone's process forgets what it held under this root, and waits for no answer about it.
fn forget_kin(package: &mut Package, root: u8) {
    for attempt in &mut package.attempts[..usize::from(package.count)] {
        if attempt.root == root && root != NO_ROOT {
            attempt.knows = Knows::Gone;
        }
    }
}

fn give_up(world: &mut World, drone: usize) -> bool {
    let small = u8::try_from(drone).unwrap_or(u8::MAX);
    for package in &mut world.packages {
        for attempt in &mut package.attempts[..usize::from(package.count)] {
            if attempt.drone == small && attempt.knows == Knows::InFlight {
                attempt.knows = Knows::Gone;
                settle(world, small, Request::Served);
                return costly(world);
            }
        }
    }
    settle(world, small, Request::GivenUp);
    costly(world)
}

/// The drone's open request is over; plans that were to answer it keep its number.
fn settle(world: &mut World, drone: u8, how: Request) {
    for orchestrator in &mut world.orchestrators {
        if let Some(plan) = &mut orchestrator.plan
            && plan.drone == drone
            && plan.choice != Choice::Reclaim
            && plan.request == Request::Open
        {
            plan.request = how;
        }
    }
}

/// A report on the live attempt, with its own fence. Whoever completes, fails or hands back has its hands free.
fn report(scope: &Scope, world: &mut World, number: usize, report: Report) -> bool {
    let package = &world.packages[number];
    let Some(live) = package.live() else { return false };
    let fence = fence(number, live, &package.attempts[live]);
    let transition = asked(number, live, fence, report);
    if transact(scope, world, number, Some(live), &transition, Origin::NONE).is_err() {
        return false;
    }
    if report != Report::Start {
        let attempt = &mut world.packages[number].attempts[live];
        attempt.knows = Knows::Gone;
        attempt.stalled = false;
    }
    if scope.has(Flaw::NoSweep) && matches!(report, Report::Complete(_)) {
        drive(world, 0, number);
    }
    true
}

/// Heartbeats, in time or late. Each of their effects is a transaction of its own.
fn beat(scope: &Scope, world: &mut World, action: Action) -> bool {
    match action {
        Action::Hear { drone } => {
            world.drones[drone].heard = true;
            true
        }
        Action::Unlist { package } | Action::UnlistLate { package } => {
            let live = world.packages[package].live();
            transact(scope, world, package, live, &Transition::Lose, Origin::NONE).is_ok()
        }
        Action::Regain { package, attempt } => regain(scope, world, package, attempt),
        Action::RegainLate { package, attempt } => {
            world.drones[usize::from(world.packages[package].attempts[attempt].drone)].heard = true;
            regain(scope, world, package, attempt)
        }
        Action::SendLate { drone } => {
            world.late = Some(snapshot(world, drone));
            costly(world)
        }
        _ => false,
    }
}

/// A list may name any attempt of a root; the newest of them decides, so that an old list brings nothing back that its
/// drone has given up since. The new one is known as soon as the answer arrives, if its drone still holds its kin.
fn regain(scope: &Scope, world: &mut World, number: usize, listed: usize) -> bool {
    let newest = newest_kin(&world.packages[number], listed);
    let newest_outcome = world.packages[number].attempts[newest].outcome;
    let index = if scope.has(Flaw::OlderRegained) { listed } else { newest };
    let former = world.packages[number].attempts[index];
    if former.stalled && !scope.has(Flaw::StalledRegained) {
        return false;
    }
    let mut knows = Knows::Gone;
    for attempt in &mut world.packages[number].attempts {
        if attempt.root == former.root && attempt.knows == Knows::Offered {
            attempt.knows = Knows::Gone;
        } else if attempt.root == former.root && attempt.knows == Knows::Known {
            knows = Knows::Offered;
        }
    }
    let transition = Transition::Regain { session: session(former.drone, former.open) };
    let origin = Origin { open: former.open, knows, root: Some(former.root) };
    let begun = transact(scope, world, number, Some(index), &transition, origin).is_ok();
    if begun && former.stalled {
        world.breach = Some(Breach::StalledRegained);
    }
    if begun && newest_outcome != Some(Outcome::Reclaimed) {
        world.breach = Some(Breach::GivenUpRegained);
    }
    begun
}

fn newest_kin(package: &Package, index: usize) -> usize {
    let root = package.attempts[index].root;
    let newest = package.existing().iter().rposition(|attempt| attempt.root == root && root != NO_ROOT);
    newest.unwrap_or(index)
}

/// The heartbeat that the drone sends now.
fn snapshot(world: &World, drone: usize) -> LateBeat {
    let drone = u8::try_from(drone).unwrap_or(u8::MAX);
    let mut late = LateBeat { drone, open: true, listed: [0; PACKAGES], settled: [0; PACKAGES] };
    for (number, package) in world.packages.iter().enumerate() {
        for (index, attempt) in package.existing().iter().enumerate() {
            if attempt.drone == drone && attempt.open && attempt.root != NO_ROOT {
                late.listed[number] |= u8::from(attempt.knows == Knows::Known) << index;
                late.settled[number] |= u8::from(attempt.knows != Knows::InFlight) << attempt.root;
            }
        }
    }
    late
}

/// What happens to drones and their builds.
fn suffer(scope: &Scope, world: &mut World, action: Action) -> bool {
    match action {
        Action::Silence { drone } => {
            world.drones[drone].heard = false;
            !world.drones[drone].up || costly(world)
        }
        Action::Crash { drone } => {
            world.drones[drone].up = false;
            each_of(world, drone, |attempt| attempt.knows = Knows::Gone);
            costly(world)
        }
        Action::Restart { drone } => open_session(scope, world, drone),
        Action::Stall { package } => {
            if let Some(live) = world.packages[package].live() {
                world.packages[package].attempts[live].stalled = true;
            }
            costly(world)
        }
        _ => false,
    }
}

fn each_of(world: &mut World, drone: usize, change: impl Fn(&mut Attempt)) {
    for package in &mut world.packages {
        for attempt in &mut package.attempts[..usize::from(package.count)] {
            if usize::from(attempt.drone) == drone {
                change(attempt);
            }
        }
    }
}

/// One transaction: the former session ends, with all of its attempts that are not being accepted.
fn open_session(scope: &Scope, world: &mut World, drone: usize) -> bool {
    world.drones[drone].up = true;
    world.drones[drone].heard = true;
    each_of(world, drone, |attempt| attempt.open = false);
    for orchestrator in &mut world.orchestrators {
        if let Some(plan) = &mut orchestrator.plan {
            plan.open &= usize::from(plan.drone) != drone || plan.choice == Choice::Reclaim;
        }
    }
    match &mut world.late {
        Some(late) if usize::from(late.drone) != drone => {}
        Some(late) if scope.has(Flaw::SessionUnchecked) => late.open = false,
        // It names an ended session: it will be refused.
        late => *late = None,
    }
    for number in 0..scope.packages {
        if let Some(live) = world.packages[number].live()
            && usize::from(world.packages[number].attempts[live].drone) == drone
            && !scope.has(Flaw::SessionInherits)
        {
            // What is being accepted stays: the machine refuses.
            let _ = transact(scope, world, number, Some(live), &Transition::Lose, Origin::NONE);
        }
    }
    true
}

/// What clocks, people and the run do.
fn govern(scope: &Scope, world: &mut World, action: Action) -> bool {
    match action {
        Action::Wake { package } => world.packages[package].pausing = false,
        Action::Release { package } => {
            world.faults -= 1;
            let released = transact(scope, world, package, None, &Transition::Release, Origin::NONE).is_ok();
            world.packages[package].forgiven = world.packages[package].count;
            return released;
        }
        Action::Freeze => {
            world.faults -= 1;
            world.run = Run::Frozen;
        }
        Action::Thaw => world.run = Run::Building,
        Action::CancelRun => {
            world.faults -= 1;
            world.run = Run::Cancelled;
        }
        Action::Cancel { package } => {
            let live = world.packages[package].live();
            return transact(scope, world, package, live, &Transition::Cancel, Origin::NONE).is_ok();
        }
        _ => return false,
    }
    true
}

/// A reclaimed attempt that a heartbeat could still bring back, or that speaks for the one that it was regained as.
pub fn regainable(scope: &Scope, world: &World, number: usize, index: usize) -> bool {
    let package = &world.packages[number];
    let attempt = &package.attempts[index];
    if attempt.outcome != Some(Outcome::Reclaimed) {
        return false;
    }
    let newest = &package.attempts[newest_kin(package, index)];
    let live = newest.phase != AttemptPhase::Ended;
    let back =
        newest.outcome == Some(Outcome::Reclaimed) && (!newest.stalled || scope.has(Flaw::StalledRegained));
    let late = world.late.is_some_and(|late| late.listed[number] >> index & 1 == 1);
    (live || back || scope.has(Flaw::OlderRegained))
        && (attempt.open || scope.has(Flaw::SessionUnchecked))
        && (attempt.knows != Knows::Gone || late)
}
