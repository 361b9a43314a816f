//! The laws, said of one world without the machine's help; those of single steps are told as a [`Breach`].

use super::Claims;
use super::database::{Report, asked, cell, failures, fence, judge, session, token};
use super::forward::goes_forward;
use super::scope::{Fault, Flaw, Scope};
use super::world::{Attempt, Breach, DriveAt, Knows, Package, World};
use build_orchestrator::machine::package::{Cell, Step, Transition};
use stateright::Property;
use swarm_protocol::drone::Fence;
use swarm_protocol::id::DroneId;
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// What holds in every world.
pub const LAWS: &[Law] = &[
    ("a package has one live attempt at most", |scope, world| {
        packages(scope, world).iter().all(|package| living(package) <= 1)
    }),
    ("a package is delegated if and only if it has a live attempt", |scope, world| {
        packages(scope, world)
            .iter()
            .all(|package| (package.state == PackageState::Delegated) == (living(package) > 0))
    }),
    ("a package is received once, from one attempt", |scope, world| {
        packages(scope, world).iter().all(received_once)
    }),
    ("what the binhost serves of a received package is what was received", |scope, world| {
        packages(scope, world).iter().all(serves_what_was_received)
    }),
    ("a report with an old attempt, token or session changes nothing", |scope, world| {
        (0..scope.packages).all(|number| reports_are_fenced(scope, world, number))
    }),
    ("what is asked of an ended attempt changes nothing", |scope, world| {
        (0..scope.packages).all(|number| the_ended_rest(scope, world, number))
    }),
    ("what a drone holds belongs to its open session", |scope, world| {
        packages(scope, world)
            .iter()
            .flat_map(Package::existing)
            .all(|attempt| attempt.open || !attempt.unfinished())
    }),
    ("unmet counts the waits that are not received, stuck those out of reach", |scope, world| {
        (0..scope.packages).all(|number| counts_its_waits(scope, world, number))
    }),
    ("failures stay within the policy's budget", |scope, world| {
        packages(scope, world).iter().all(|package| within_budget(scope, package))
    }),
    ("a claim request has one answer", |scope, world| {
        (0..scope.drones).all(|drone| answers_under_way(world, drone) <= 1)
    }),
    ("there is a way forward", |scope, world| world.breach.is_some() || goes_forward(scope, world)),
    ("what is being accepted is never taken", |_, world| world.breach != Some(Breach::AcceptingTaken)),
    ("active work is never stolen", |_, world| world.breach != Some(Breach::BuildingStolen)),
    ("a healthy drone never loses work", |_, world| world.breach != Some(Breach::HealthyRobbed)),
    ("what is not ready is never claimed", |_, world| world.breach != Some(Breach::UnreadyClaimed)),
    ("a claim request brings one attempt", |_, world| world.breach != Some(Breach::RequestServedTwice)),
    ("what stalls is not given back to its drone", |_, world| world.breach != Some(Breach::StalledRegained)),
    ("what a drone has given up is not given back to it by an old heartbeat", |_, world| {
        world.breach != Some(Breach::GivenUpRegained)
    }),
    ("Postgres has nothing to refuse", |_, world| world.breach != Some(Breach::PostgresRefuses)),
];

/// A law's sentence, and whether it holds.
pub type Law = (&'static str, fn(&Scope, &World) -> bool);

/// All laws hold. They are one property for stateright, which looks up each property's name in every state.
pub fn hold(scope: &Scope, world: &World) -> bool {
    for (_, holds) in LAWS {
        if !holds(scope, world) {
            return false;
        }
    }
    true
}

/// The laws that `world` breaks.
pub fn broken(scope: &Scope, world: &World) -> Vec<&'static str> {
    LAWS.iter().filter(|(_, holds)| !holds(scope, world)).map(|(name, _)| *name).collect()
}

/// What must be seen at least once, or the model would prove nothing.
pub fn sights(scope: &Scope) -> Vec<Property<Claims>> {
    if scope.flaw.is_some() {
        return Vec::new();
    }
    let mut seen = vec![sight("everything is received", |_, world| {
        world.packages.iter().all(|package| package.state == PackageState::Received)
    })];
    if !scope.sights {
        return seen;
    }
    seen.extend([
        sight("both orchestrators drive one receive sequence", |_, world| {
            let [one, other] = world.orchestrators;
            one.drive.is_some() && one.drive.map(|drive| drive.at) != other.drive.map(|drive| drive.at) && {
                one.drive.map(|drive| (drive.package, drive.attempt))
                    == other.drive.map(|drive| (drive.package, drive.attempt))
            }
        }),
        sight("an artifact is staged, and whoever asked for it is dead", |_, world| {
            world
                .packages
                .iter()
                .any(|package| package.state == PackageState::Delegated && package.staged.is_some())
                && world.orchestrators.iter().all(|orchestrator| orchestrator.drive.is_none())
        }),
        sight("a receive sequence outlives its attempt", |_, world| outlived(world)),
    ]);
    let mut add = |faults: &[Fault], name, condition| {
        if faults.len() <= usize::from(scope.faults) && faults.iter().all(|fault| scope.kinds.contains(fault))
        {
            seen.push(sight(name, condition));
        }
    };
    add(&[Fault::Failure, Fault::Failure], "a package is quarantined", |_, world| {
        world.packages.iter().any(|package| package.state == PackageState::Quarantined)
    });
    add(&[Fault::Silence], "a drone that was away goes on compiling", |_, world| {
        any_attempt(world, |attempt| {
            attempt.knows == Knows::Offered && attempt.phase == AttemptPhase::Building
        })
    });
    add(&[Fault::Death], "an artifact is accepted though its session is over", |_, world| {
        any_attempt(world, |attempt| attempt.phase == AttemptPhase::Accepting && !attempt.open)
    });
    add(&[Fault::Silence], "a claim's answer arrives too late", |_, world| {
        any_attempt(world, |attempt| attempt.phase == AttemptPhase::Ended && attempt.knows == Knows::InFlight)
    });
    add(
        &[Fault::Refusal],
        "an artifact is refused by one orchestrator and staged for the other",
        |_, world| {
            world.orchestrators.iter().filter_map(|orchestrator| orchestrator.drive).any(|drive| {
                drive.at == DriveAt::Refused
                    && world.packages[usize::from(drive.package)].staged == Some(drive.attempt)
            })
        },
    );
    add(&[Fault::StalePlan, Fault::Silence], "a reclaim is decided and the drone heard again", |_, world| {
        world.orchestrators.iter().filter_map(|orchestrator| orchestrator.plan).any(|plan| {
            let attempt = world.packages[usize::from(plan.package)].attempts[usize::from(plan.attempt)];
            plan.choice == super::world::Choice::Reclaim
                && attempt.unfinished()
                && world.drones[usize::from(attempt.drone)].heard
        })
    });
    if scope.packages > 1 {
        add(&[Fault::Failure, Fault::Failure], "a package is blocked", |_, world| {
            world.packages.iter().any(|package| package.state == PackageState::Blocked)
        });
    }
    seen
}

fn sight(name: &'static str, condition: fn(&Claims, &World) -> bool) -> Property<Claims> {
    Property::sometimes(name, condition)
}

fn packages<'a>(scope: &Scope, world: &'a World) -> &'a [Package] {
    &world.packages[..scope.packages]
}

fn any_attempt(world: &World, found: fn(&Attempt) -> bool) -> bool {
    world.packages.iter().any(|package| package.existing().iter().any(found))
}

fn living(package: &Package) -> usize {
    package.existing().iter().filter(|attempt| attempt.phase != AttemptPhase::Ended).count()
}

fn received_once(package: &Package) -> bool {
    let received =
        package.existing().iter().filter(|attempt| attempt.outcome == Some(Outcome::Received)).count();
    received == usize::from(package.state == PackageState::Received)
}

fn serves_what_was_received(package: &Package) -> bool {
    let received = package.existing().iter().position(|attempt| attempt.outcome == Some(Outcome::Received));
    package.state != PackageState::Received
        || (received.is_some() && received == package.staged.map(usize::from))
}

/// Tries every report on every attempt: with its own fence, with another attempt's token, with another session.
fn reports_are_fenced(scope: &Scope, world: &World, number: usize) -> bool {
    let package = &world.packages[number];
    let live = package.live();
    for (index, attempt) in package.existing().iter().enumerate() {
        let ignored = live.filter(|_| scope.has(Flaw::FenceIgnored));
        let cell = cell(world, number, Some(ignored.unwrap_or(index)));
        let own = fence(number, index, attempt);
        let forged = [
            Fence { token: token(number, index + 1), ..own },
            Fence { session: session(attempt.drone, !attempt.open), ..own },
        ];
        for report in REPORTS {
            let heeds = |fence: Fence| {
                let fence = cell
                    .attempt
                    .filter(|_| ignored.is_some())
                    .map_or(fence, |read| Fence { token: read.token, session: read.session });
                changes(scope, &cell, &asked(number, index, fence, report))
            };
            let fitting = live == Some(index) && fits(attempt, report);
            if heeds(own) != fitting || heeds(forged[0]) || heeds(forged[1]) {
                return false;
            }
        }
    }
    true
}

fn changes(scope: &Scope, cell: &Cell, transition: &Transition) -> bool {
    matches!(judge(scope, cell, transition), Ok(Step::Change(_)))
}

/// A sweep, a planner or a maintenance loop that comes too late, asking for what the attempt was once open to.
fn the_ended_rest(scope: &Scope, world: &World, number: usize) -> bool {
    for (index, attempt) in world.packages[number].existing().iter().enumerate() {
        if attempt.phase == AttemptPhase::Ended {
            let cell = cell(world, number, Some(index));
            if LATE.iter().any(|transition| changes(scope, &cell, transition)) {
                return false;
            }
        }
    }
    true
}

const LATE: [Transition; 9] = [
    Transition::Steal { drone: DroneId(99) },
    Transition::Reclaim,
    Transition::Stall,
    Transition::Return,
    Transition::Lose,
    Transition::Receive,
    Transition::Refuse { class: FailureClass::Package },
    Transition::Cancel,
    Transition::Reconcile,
];

const REPORTS: [Report; 5] = [
    Report::Start,
    Report::Complete(false),
    Report::Complete(true),
    Report::Fail(FailureClass::Package),
    Report::HandBack,
];

/// What a drone may report of its live attempt.
fn fits(attempt: &Attempt, report: Report) -> bool {
    match report {
        Report::Start => attempt.phase == AttemptPhase::Held,
        Report::Complete(_) => attempt.phase == AttemptPhase::Building,
        Report::Fail(_) | Report::HandBack => attempt.unfinished(),
    }
}

fn counts_its_waits(scope: &Scope, world: &World, number: usize) -> bool {
    let count = |states: &[PackageState]| {
        scope
            .waits
            .iter()
            .filter(|(of, on)| *of == number && states.contains(&world.packages[*on].state))
            .count()
    };
    let stuck = count(&[PackageState::Quarantined, PackageState::Blocked]);
    let unmet = stuck + count(&[PackageState::Needed, PackageState::Delegated]);
    let package = &world.packages[number];
    usize::from(package.unmet) == unmet && usize::from(package.stuck) == stuck
}

/// No class fails more often than forgiven, and what goes on has not used that up.
fn within_budget(scope: &Scope, package: &Package) -> bool {
    let failures = failures(package);
    let spent = usize::from(package.state != PackageState::Quarantined);
    FailureClass::ALL.iter().all(|class| {
        let count = failures.iter().filter(|failure| failure.class == *class).count();
        let limit = match class {
            FailureClass::Infrastructure => scope.policy.infrastructure_failures,
            FailureClass::Resources => scope.policy.resources_failures,
            FailureClass::Epoch => scope.policy.epoch_failures,
            FailureClass::Package => scope.policy.package_failures,
        };
        count + spent <= limit || count == 0
    })
}

fn answers_under_way(world: &World, drone: usize) -> usize {
    let under_way =
        |attempt: &&Attempt| usize::from(attempt.drone) == drone && attempt.knows == Knows::InFlight;
    world.packages.iter().map(|package| package.existing().iter().filter(under_way).count()).sum()
}

fn outlived(world: &World) -> bool {
    world.orchestrators.iter().filter_map(|orchestrator| orchestrator.drive).any(|drive| {
        let attempt = &world.packages[usize::from(drive.package)].attempts[usize::from(drive.attempt)];
        attempt.phase == AttemptPhase::Ended
    })
}
