//! Postgres and the thin layer above it: a [`Cell`] is read under the package's lock, production's
//! [`package::step`] judges, and the [`Change`] is written as the real layer writes it, in the same transaction.
//! What Postgres itself would refuse — a second live attempt, an illegal move, a broken CHECK — is a breach: the
//! machine must never ask for it.

use super::scope::{Flaw, Scope};
use super::world::{ATTEMPTS, Attempt, Breach, Knows, Package, Run, World};
use build_orchestrator::machine::package::{
    self, AttemptChange, Begin, Cell, Change, Refusal, Spread, Step, Transition,
};
use build_orchestrator::machine::retry::PastFailure;
use swarm_protocol::Digest;
use swarm_protocol::drone::Fence;
use swarm_protocol::id::{AttemptId, AttemptToken, DroneId, SessionId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};
use uuid::Uuid;

/// What a drone reports of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Start,
    /// With one of the two digests that the attempt's builds may have.
    Complete(bool),
    Fail(FailureClass),
    HandBack,
}

/// What the row of a new attempt holds beside what [`Begin`] says.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub open: bool,
    pub knows: Knows,
    /// The root of the attempt that it is regained from.
    pub root: Option<u8>,
}

impl Origin {
    /// For transitions that begin no attempt.
    pub const NONE: Self = Self { open: true, knows: Knows::Gone, root: None };
}

/// The fence that the attempt's own drone puts on its reports.
pub fn fence(package: usize, index: usize, attempt: &Attempt) -> Fence {
    Fence { token: token(package, index), session: session(attempt.drone, attempt.open) }
}

/// Each attempt has its own token.
pub fn token(package: usize, index: usize) -> AttemptToken {
    AttemptToken(Uuid::from_u128(1 + package as u128 * 16 + index as u128))
}

/// A drone's open session, or any of its ended ones: which of those is never asked.
pub fn session(drone: u8, open: bool) -> SessionId {
    SessionId(1 + i64::from(drone) * 2 + i64::from(open))
}

pub fn drone_id(drone: u8) -> DroneId {
    DroneId(1 + i64::from(drone))
}

/// No two attempts build the same bytes, and two builds of one attempt need not either.
fn digest(package: usize, index: usize, variant: bool) -> Digest {
    let mark = u8::try_from(package * 16 + index * 2).unwrap_or(u8::MAX) + u8::from(variant);
    blake3::Hash::from_bytes([mark; 32]).into()
}

/// Judges and, if it is legal, applies a transition that addresses the attempt `index`.
pub fn transact(
    scope: &Scope,
    world: &mut World,
    number: usize,
    index: Option<usize>,
    transition: &Transition,
    origin: Origin,
) -> Result<(), Refusal> {
    let before = world.packages[number];
    match judge(scope, &cell(world, number, index), transition)? {
        Step::Change(change) => {
            audit(world, &before, transition);
            apply(scope, world, number, index, &change, origin);
            Ok(())
        }
        Step::Repeat if scope.has(Flaw::RepeatCounted) && *transition == Transition::Receive => {
            spread(scope, world, number, Spread::Received);
            Ok(())
        }
        Step::Repeat => Err(Refusal::State),
    }
}

/// What production's machine says.
pub fn judge(scope: &Scope, cell: &Cell, transition: &Transition) -> Result<Step, Refusal> {
    if scope.flaw.is_none() {
        return package::step(cell, transition, &scope.policy);
    }
    let mut misread = cell.clone();
    mislead(scope, &mut misread, transition);
    package::step(&misread, transition, &scope.policy)
}

/// The transition that a report on an attempt asks for.
pub fn asked(number: usize, index: usize, fence: Fence, report: Report) -> Transition {
    match report {
        Report::Start => Transition::Start { fence },
        Report::Complete(variant) => Transition::Complete { fence, built: digest(number, index, variant) },
        Report::Fail(class) => Transition::Fail { fence, class },
        Report::HandBack => Transition::HandBack { fence },
    }
}

/// What the package's lock protects, read for a transition that addresses the attempt `index`.
pub fn cell(world: &World, number: usize, index: Option<usize>) -> Cell {
    let package = &world.packages[number];
    Cell {
        run_builds: world.run == Run::Building,
        state: package.state,
        unmet: i32::from(package.unmet),
        pausing: package.pausing,
        attempt: index.map(|index| row(number, index, &package.attempts[index])),
        failures: failures(package),
    }
}

fn row(number: usize, index: usize, attempt: &Attempt) -> package::Attempt {
    package::Attempt {
        id: AttemptId(i64::try_from(index).unwrap_or(i64::MAX)),
        phase: attempt.phase,
        outcome: attempt.outcome,
        drone: drone_id(attempt.drone),
        session: session(attempt.drone, attempt.open),
        token: token(number, index),
        built: attempt.built.map(|variant| digest(number, index, variant)),
    }
}

/// The package's failures, oldest first.
pub fn failures(package: &Package) -> Vec<PastFailure> {
    let mut failures = Vec::new();
    for attempt in &package.existing()[usize::from(package.forgiven)..] {
        if let Some(class) = failure(attempt) {
            failures.push(PastFailure { drone: drone_id(attempt.drone), class });
        }
    }
    failures
}

/// Whose fault the attempt's end was.
pub fn failure(attempt: &Attempt) -> Option<FailureClass> {
    match attempt.outcome {
        Some(Outcome::Failed) => attempt.class,
        Some(Outcome::Reclaimed | Outcome::Lost) => Some(FailureClass::Infrastructure),
        _ => None,
    }
}

/// The flaws of machine and database, as if the rows were others.
fn mislead(scope: &Scope, cell: &mut Cell, transition: &Transition) {
    let taking = matches!(transition, Transition::Reclaim | Transition::Stall | Transition::Lose);
    match (scope.flaw, &mut cell.attempt) {
        (Some(Flaw::AcceptingTaken), Some(attempt)) if taking && attempt.phase == AttemptPhase::Accepting => {
            attempt.phase = AttemptPhase::Building;
        }
        (Some(Flaw::BuildingStolen), Some(attempt))
            if matches!(transition, Transition::Steal { .. }) && attempt.phase == AttemptPhase::Building =>
        {
            attempt.phase = AttemptPhase::Held;
        }
        (Some(Flaw::UnmetIgnored), _) => cell.unmet = 0,
        (Some(Flaw::PauseIgnored), _) => cell.pausing = false,
        (Some(Flaw::FailuresForgotten), _) => cell.failures.clear(),
        _ => {}
    }
}

/// Laws about single steps, said without the machine's help.
fn audit(world: &mut World, before: &Package, transition: &Transition) {
    let victim = before.live().map(|index| before.attempts[index]);
    let taking = matches!(
        transition,
        Transition::Reclaim | Transition::Stall | Transition::Lose | Transition::Steal { .. }
    );
    let breach = match (transition, victim) {
        (_, Some(victim)) if taking && victim.phase == AttemptPhase::Accepting => Breach::AcceptingTaken,
        (Transition::Steal { .. }, Some(victim)) if victim.phase == AttemptPhase::Building => {
            Breach::BuildingStolen
        }
        (Transition::Reclaim | Transition::Stall, Some(victim))
            if world.drones[usize::from(victim.drone)].heard && !victim.stalled =>
        {
            Breach::HealthyRobbed
        }
        (Transition::Lose, Some(victim)) if victim.open && victim.knows != Knows::Gone => {
            Breach::HealthyRobbed
        }
        (Transition::Claim { .. }, _) if before.unmet > 0 || before.pausing || world.run != Run::Building => {
            Breach::UnreadyClaimed
        }
        _ => return,
    };
    world.breach = Some(breach);
}

fn apply(
    scope: &Scope,
    world: &mut World,
    number: usize,
    index: Option<usize>,
    change: &Change,
    origin: Origin,
) {
    let package = &mut world.packages[number];
    let mut lawful = package.state == change.state || package_may_move(package.state, change.state);
    package.state = change.state;
    lawful &= change_attempt(package, index, change.attempt);
    if let Some(begin) = change.begin {
        lawful &= insert_attempt(package, begin, origin);
    }
    package.pausing |= change.pause.is_some();
    lawful &= spread(scope, world, number, change.spread);
    for package in &world.packages {
        lawful &= checks_hold(package);
    }
    if !lawful {
        world.breach = Some(Breach::PostgresRefuses);
    }
}

fn change_attempt(package: &mut Package, index: Option<usize>, change: AttemptChange) -> bool {
    let (phase, outcome, class) = match change {
        AttemptChange::Keep => return true,
        AttemptChange::Move(phase) => (phase, None, None),
        AttemptChange::End(outcome, class) => (AttemptPhase::Ended, Some(outcome), class),
    };
    let Some(index) = index else { return false };
    let attempt = &mut package.attempts[index];
    let lawful =
        attempt_may_move(attempt.phase, phase) && (outcome == Some(Outcome::Failed)) == class.is_some();
    attempt.phase = phase;
    attempt.outcome = outcome;
    attempt.class = class;
    if phase == AttemptPhase::Accepting {
        attempt.built = Some(false);
    }
    lawful
}

/// `attempts_one_live`, and the model's own room.
fn insert_attempt(package: &mut Package, begin: Begin, origin: Origin) -> bool {
    let index = usize::from(package.count);
    if index == ATTEMPTS || package.live().is_some() {
        return false;
    }
    package.attempts[index] = Attempt {
        phase: begin.phase,
        drone: u8::try_from(begin.drone.0 - 1).unwrap_or(u8::MAX),
        open: origin.open,
        root: origin.root.unwrap_or(package.count),
        knows: origin.knows,
        ..Attempt::NONE
    };
    package.count += 1;
    true
}

/// Tells the dependents, and theirs where they become blocked or free.
fn spread(scope: &Scope, world: &mut World, number: usize, news: Spread) -> bool {
    if news == Spread::Nothing || (news != Spread::Received && scope.has(Flaw::SpreadForgotten)) {
        return true;
    }
    let mut lawful = true;
    for (dependent, on) in scope.waits {
        if *on == number {
            let package = &mut world.packages[*dependent];
            let before = package.state;
            lawful &= hear(package, news);
            if package.state != before {
                lawful &= package_may_move(before, package.state) && spread(scope, world, *dependent, news);
            }
        }
    }
    lawful
}

fn hear(package: &mut Package, news: Spread) -> bool {
    match news {
        Spread::Nothing => {}
        Spread::Received if package.unmet == 0 => return false,
        Spread::Received => package.unmet -= 1,
        Spread::Stuck => package.stuck += 1,
        Spread::Unstuck if package.stuck == 0 => return false,
        Spread::Unstuck => package.stuck -= 1,
    }
    match (package.stuck, package.state) {
        (1.., _) => package.state = PackageState::Blocked,
        (0, PackageState::Blocked) => package.state = PackageState::Needed,
        _ => {}
    }
    true
}

/// The migration's `package_moves`.
fn package_may_move(before: PackageState, after: PackageState) -> bool {
    use PackageState::{Blocked, Delegated, Needed, Quarantined, Received};
    matches!(
        (before, after),
        (Needed, Delegated | Blocked)
            | (Delegated, Needed | Received | Quarantined)
            | (Blocked | Quarantined, Needed)
    )
}

/// The migration's `attempt_moves`.
fn attempt_may_move(before: AttemptPhase, after: AttemptPhase) -> bool {
    use AttemptPhase::{Accepting, Building, Ended, Held};
    matches!((before, after), (Held, Building | Ended) | (Building, Accepting | Ended) | (Accepting, Ended))
}

/// The CHECKs of `packages`.
fn checks_hold(package: &Package) -> bool {
    use PackageState::{Blocked, Delegated, Quarantined, Received};
    package.stuck <= package.unmet
        && (package.state == Blocked) == (package.stuck > 0)
        && (package.unmet == 0 || !matches!(package.state, Delegated | Received | Quarantined))
}
