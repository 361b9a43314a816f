//! The claim protocol as an exhaustive model (`stateright`): packages, attempts, sessions, two orchestrators, three
//! drones that die, lag and repeat. Every transition of a package is judged by production's own
//! [`build_orchestrator::machine::package::step`]; the model is Postgres, the binhost, the network and the people.
//!
//! # What is one step
//! One transaction, under the package's lock (law 1); one message's arrival; one mishap. So the model explores every
//! order of claim, start, complete, fail, hand-back, steal, reclaim, lose, regain, release and cancel, and between
//! any two of their halves everything else: a plan is made, and carried out on whatever is there by then; a receive
//! sequence asks, the binhost stages, the answer is recorded — by either orchestrator, by both, by one that dies at
//! any point.
//!
//! # What it abstracts
//! * **Time.** A drone is *heard* or silent, a build stalls or does not, a pause is over or not; when is open.
//! * **Messages.** A report may arrive at any time after its drone could send it, any number of times, whatever has
//!   become of drone and session: it is not kept as a message. On a live attempt its arrival is a step; that it
//!   changes nothing on any other attempt, or with any other token or session, is a law that is tried out in every
//!   world. A claim's answer that is lost and asked for again is one that arrives later.
//! * **Planning.** A fresh plan is any choice that a planner could make; a stale one stays in its orchestrator.
//! * **Heartbeats.** In time they tell what the drone's process holds now; one late one, with an old list, may arrive
//!   at any time and any number of times.
//! * **Digests** are two for each attempt, since a build need not be reproducible. `BUILD_ID`s are left out.
//!
//! # What the database layer must do for it
//! The machine judges one package's rows; the rest is the layer's, and each rule has a mutation check here.
//! * A claim or steal locks the drone's row, and looks whether the session is open, the drone heard, and whether its
//!   request number has brought an attempt already, live or ended.
//! * Reclaim, steal, `Receive` and `Refuse` address the attempt that they were decided on, never "the live one";
//!   reclaim looks under the lock whether the drone is still silent.
//! * A new session ends the former's attempts in the transaction that opens it.
//! * A heartbeat is heeded only for an open session. It takes back what an older, settled request brought and its list
//!   lacks. Attempts regained from one another are one claim there: whichever is listed speaks for the live one, and
//!   the newest decides whether anything can be regained. What stalled is not regained.
//! * The drone is marked as heard before anything is regained.
//!
//! # Bounds
//! Packages, drones and orchestrators as each test says, and a number of *faults* per history: every combination and
//! order of so many mishaps of all kinds in [`scope::Fault`] is explored; what is not a fault there is free and
//! unlimited. Attempts are not bounded by themselves: each ends by a fault, and the retry rule ends the rest. The
//! policy's numbers are 1 and 2, so that each verdict is within reach. Why that is enough: a law of this protocol is
//! about one package, the drone that held it, the one that holds it, and at most one that was faster, with one
//! transaction overtaken by another; two faults bring any two kinds of trouble together at the full size, three and
//! four do so with fewer packages, which meet only in drones, orchestrators and `unmet`.
//!
//! Worlds with the same future are one ([`canonical`]): drones and orchestrators are interchangeable, rows that
//! nobody can ask for any more are forgotten. That this loses nothing is itself a test: `forms_have_the_same_future`.
#![expect(unreachable_pub, reason = "the modules of one test")]

#[path = "claim_model/action.rs"]
mod action;
#[path = "claim_model/canonical.rs"]
mod canonical;
#[path = "claim_model/database.rs"]
mod database;
#[path = "claim_model/forward.rs"]
mod forward;
#[path = "claim_model/laws.rs"]
mod laws;
#[path = "claim_model/moves.rs"]
mod moves;
#[path = "claim_model/scope.rs"]
mod scope;
#[path = "claim_model/world.rs"]
mod world;

use action::Action;
use canonical::canonical;
use scope::{Fault, Flaw, Scope};
use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model, Property};
use std::collections::HashSet;
use std::time::Instant;
use swarm_protocol::state::FailureClass;
use world::World;

/// The model of one configuration.
struct Claims(Scope);

const LAWS_HOLD: &str = "the laws hold";

impl Model for Claims {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![canonical(&self.0, self.0.genesis())]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        action::list(&self.0, world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        moves::next(&self.0, world, action).map(|after| canonical(&self.0, after))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // One property: stateright looks each of them up by name in every world.
        let mut properties =
            vec![Property::always(LAWS_HOLD, |model: &Self, world| laws::hold(&model.0, world))];
        properties.extend(laws::sights(&self.0));
        properties
    }
}

fn checker(scope: Scope) -> CheckerBuilder<Claims> {
    Claims(scope).checker().threads(2)
}

/// Explores the whole model and prints its size.
fn explore(name: &str, scope: &Scope) {
    let started = Instant::now();
    let checker = checker(scope.clone()).spawn_bfs().join();
    println!(
        "{name}: {} worlds, {} steps, at most {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f32()
    );
    if let Some(path) = checker.discovery(LAWS_HOLD) {
        println!("broken: {:?}", laws::broken(scope, path.last_state()));
    }
    checker.assert_properties();
}

#[test]
fn two_orchestrators_three_drones_three_packages() {
    explore("2 x 3 x 3, any two faults", &Scope { sights: false, ..Scope::new(3, 3, 2) });
}

#[test]
fn drones_that_claim_one_package_ahead() {
    explore("2 x 3 x 3, lookahead, any fault", &Scope { capacity: 2, ..Scope::new(3, 3, 1) });
    let apart = Scope { capacity: 2, waits: &[], sights: false, ..Scope::new(2, 2, 2) };
    explore("2 x 2 x 2, lookahead, none waits, any two faults", &apart);
}

#[test]
fn a_chain_of_waits() {
    explore("2 x 2 x 3, a chain, any two faults", &Scope { waits: &[(1, 0), (2, 1)], ..Scope::new(3, 2, 2) });
}

#[test]
fn more_goes_wrong_with_fewer_packages() {
    explore("2 x 3 x 2, any three faults", &Scope::new(2, 3, 3));
    let every = Scope { classes: FailureClass::ALL, ..Scope::new(1, 3, 3) };
    explore("2 x 3 x 1, any three faults, every class", &every);
    let kinds = Fault::ALL.iter().copied().filter(|fault| *fault != Fault::Release).collect();
    explore("2 x 2 x 1, any four faults without a person", &Scope { kinds, ..Scope::new(1, 2, 4) });
}

/// Explores a model with a mistake in it until a law is broken, which must be this one.
fn caught(flaw: Flaw, scope: Scope, law: &str) {
    let scope = scope.with(flaw);
    let checker = checker(scope.clone()).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    assert!(checker.discovery(LAWS_HOLD).is_some(), "{flaw:?} breaks no law");
    let path = checker.assert_any_discovery(LAWS_HOLD);
    let broken = laws::broken(&scope, path.last_state());
    println!("{flaw:?}: after {} steps, {broken:?}", path.into_actions().len());
    assert!(broken.contains(&law), "{flaw:?} breaks {broken:?}");
}

#[test]
fn mistakes_of_the_machine_are_caught() {
    let pair = |faults| Scope::new(2, 2, faults);
    caught(Flaw::FenceIgnored, pair(1), "a report with an old attempt, token or session changes nothing");
    caught(Flaw::AcceptingTaken, pair(1), "what is being accepted is never taken");
    caught(Flaw::BuildingStolen, pair(1), "active work is never stolen");
    caught(Flaw::UnmetIgnored, pair(0), "Postgres has nothing to refuse");
    caught(Flaw::PauseIgnored, pair(1), "what is not ready is never claimed");
    caught(Flaw::FailuresForgotten, pair(2), "failures stay within the policy's budget");
}

#[test]
fn mistakes_of_the_database_layer_are_caught() {
    let pair = |faults| Scope::new(2, 2, faults);
    let apart = |faults| Scope { waits: &[], ..Scope::new(2, 2, faults) };
    let counts = "unmet counts the waits that are not received, stuck those out of reach";
    let robbed = "a healthy drone never loses work";
    let session = "what a drone holds belongs to its open session";
    caught(Flaw::RepeatCounted, Scope { waits: &[(2, 0), (2, 1)], ..Scope::new(3, 2, 0) }, counts);
    caught(Flaw::SpreadForgotten, pair(2), counts);
    caught(Flaw::ReclaimWithoutRecheck, pair(2), robbed);
    caught(Flaw::ReclaimTakesAny, pair(2), robbed);
    caught(Flaw::KinUnlisted, pair(1), robbed);
    caught(Flaw::UnsettledLost, pair(0), robbed);
    caught(Flaw::RegainedSettled, Scope::new(1, 1, 2), robbed);
    caught(Flaw::StalledRegained, pair(1), "what stalls is not given back to its drone");
    let regained = "what a drone has given up is not given back to it by an old heartbeat";
    caught(Flaw::OlderRegained, Scope::new(1, 1, 3), regained);
    caught(Flaw::RequestUnchecked, apart(1), "a claim request brings one attempt");
    caught(Flaw::SessionUnchecked, pair(2), session);
    caught(Flaw::SessionInherits, pair(1), session);
    caught(Flaw::ListIgnored, pair(1), "there is a way forward");
}

#[test]
fn mistakes_of_the_receive_sequence_are_caught() {
    let pair = |faults| Scope::new(2, 2, faults);
    let served = "what the binhost serves of a received package is what was received";
    caught(Flaw::LowerStaged, pair(1), served);
    caught(Flaw::ReceiveTakesLive, pair(1), served);
    caught(Flaw::NoSweep, pair(0), "there is a way forward");
}

/// A world and its form can do the same, up to steps that change nothing but what is forgotten (a weak bisimulation);
/// and the laws hold in the worlds themselves.
fn same_future(scope: &Scope) {
    let worlds = reachable(scope);
    let mut forms = HashSet::new();
    for world in &worlds {
        let form = canonical(scope, *world);
        assert!(laws::hold(scope, world), "{:?} in {world:?}", laws::broken(scope, world));
        assert_eq!(futures(scope, world), futures(scope, &form), "{world:?} and its form {form:?}");
        forms.insert(form);
    }
    println!("{} worlds in {} forms", worlds.len(), forms.len());
    assert_eq!(forms.len(), checker(scope.clone()).spawn_bfs().join().unique_state_count());
}

#[test]
fn forms_have_the_same_future() {
    let plain = Scope { sights: false, ..Scope::new(1, 2, 2) };
    same_future(&plain);
    same_future(&Scope { packages: 2, waits: &[(1, 0)], faults: 1, ..plain });
}

/// All worlds, nothing forgotten.
fn reachable(scope: &Scope) -> HashSet<World> {
    let mut seen = HashSet::from([scope.genesis()]);
    let mut fresh = vec![scope.genesis()];
    while let Some(world) = fresh.pop() {
        fresh.extend(successors(scope, &world).into_iter().filter(|after| seen.insert(*after)));
    }
    seen
}

fn successors(scope: &Scope, world: &World) -> Vec<World> {
    let mut actions = Vec::new();
    action::list(scope, world, &mut actions);
    actions.into_iter().filter_map(|action| moves::next(scope, world, action)).collect()
}

/// The forms of the next worlds that differ from this one's.
fn futures(scope: &Scope, world: &World) -> HashSet<World> {
    let form = canonical(scope, *world);
    let mut same = HashSet::from([*world]);
    let mut fresh = vec![*world];
    let mut futures = HashSet::new();
    while let Some(world) = fresh.pop() {
        for after in successors(scope, &world) {
            let next = canonical(scope, after);
            if next != form {
                futures.insert(next);
            } else if same.insert(after) {
                fresh.push(after);
            }
        }
    }
    futures
}
