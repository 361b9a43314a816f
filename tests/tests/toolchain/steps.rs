//! Step by step, with scripted drones: when a definition is made, what it has, and when it is dropped.

use crate::{newest, newest_run, start};
use std::sync::Arc;
use swarm_protocol::Digest;
use swarm_protocol::admin::Republish;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::definition::{Definition, RepositorySource, Source};
use swarm_protocol::drone::{DefinitionsRequest, Dependency, Fence};
use swarm_protocol::epoch::{Compat, Epoch};
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{Finding, FindingKind, Unresolved};
use swarm_protocol::state::{FailureClass, GenerationState, RunState};
use swarm_tests::definitions::{configuration, push, repository};
use swarm_tests::drone::{Heart, ScriptedDrone};
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

/// A repository that no scripted drone looks at.
fn git() -> RepositorySource {
    repository(Source::Git { uri: "https://example.org/box".to_owned(), commit: "1".repeat(40) })
}

async fn defined(swarm: &Swarm, name: &str) -> Definition {
    let configuration = configuration(swarm.path().join(name), &format!("# {name}"));
    push(swarm, &target(), &configuration, &git(), "test/world").await
}

/// A drone that holds the newest definition, in a base root with its toolchain.
async fn drone(swarm: &Swarm, name: &str) -> (Arc<ScriptedDrone>, Heart) {
    let definition = swarm.admin.definitions(&target()).await.unwrap().remove(0).definition;
    let abi = definition.toolchain.iter().map(|package| package.cpv.to_string()).collect();
    let epoch = Epoch {
        configuration: definition.configuration.content,
        repositories: definition.revisions(),
        compat: Compat { abi, ..plans::epoch().compat },
        ..plans::epoch()
    };
    let drone = ScriptedDrone::join(swarm, name, &plans::epoch()).await.under(definition.id, &epoch);
    let drone = Arc::new(drone);
    let heart = drone.heart();
    (drone, heart)
}

/// A swarm whose first run of its first definition waits for the drone.
async fn begun(name: &str) -> (Swarm, Arc<ScriptedDrone>, Heart) {
    let swarm = Swarm::start().await;
    defined(&swarm, "first").await;
    let (drone, heart) = drone(&swarm, name).await;
    start(&swarm).await;
    (swarm, drone, heart)
}

/// A plan of these packages that moves the toolchain to some of them.
fn moving(packages: &[&str], toolchain: &[&str]) -> Plan {
    let toolchain = toolchain.iter().map(|cpv| cpv.parse().unwrap()).collect();
    Plan { toolchain, ..plans::plan(packages, &[]) }
}

/// The drone brings the run that waits through the gate.
async fn publish(swarm: &Swarm, drone: &ScriptedDrone, plan: Plan) -> RunId {
    let resolution = drone.resolve(20).await.unwrap();
    drone.resolved(&resolution, plan).await.unwrap();
    drone.build_run(&swarm.admin, resolution.run).await;
    drone.judged(&drone.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(resolution.run, RunState::Promoted, 30).await;
    resolution.run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_has_the_toolchain_of_the_current_generation() {
    let (swarm, ant, _heart) = begun("ant").await;
    let run = publish(&swarm, &ant, plans::plan(&["test/world-1", "test/cc-1"], &[])).await;
    assert_eq!((newest(&swarm).await, newest_run(&swarm).await.id), ((1, vec![]), run), "it has not moved");

    // A run that somebody began meanwhile would be of the older definition: it gives way.
    let moves = start(&swarm).await;
    let resolution = ant.resolve(20).await.unwrap();
    let plan = moving(&["test/world-2", "test/lib-2", "test/cc-2"], &["test/lib-2", "test/cc-2"]);
    ant.resolved(&resolution, plan).await.unwrap();
    let meanwhile = start(&swarm).await;
    ant.build_run(&swarm.admin, moves).await;
    ant.judged(&ant.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(moves, RunState::Promoted, 30).await;
    swarm.run_reaches(meanwhile, RunState::Superseded, 30).await;
    assert_eq!(newest(&swarm).await, (2, vec!["test/lib-2".to_owned(), "test/cc-2".to_owned()]));
    let successor = newest_run(&swarm).await;
    assert_eq!((successor.state, successor.definition), (RunState::Resolving, Some(2)));

    // Drones may read the packages with the ticket of the definition.
    let known =
        DefinitionsRequest { session: ant.session, known: vec![], unbrought: vec![], wait_seconds: 0 };
    let wanted = ant.client.definitions(&known).await.unwrap().definitions.remove(0);
    let binhost = BinhostClient::new(&swarm.binhost_url(), wanted.ticket.0);
    for Dependency { published, size, .. } in &wanted.definition.toolchain {
        let bytes = binhost.bundle(*published).await.unwrap().bytes().await.unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (*published, *size));
    }

    // The successor has it: nothing follows. What is pushed goes on with it.
    assert!(ant.resolve(0).await.is_none(), "it holds the former definition");
    let (bee, _heart) = drone(&swarm, "bee").await;
    let run = publish(&swarm, &bee, plans::plan(&["test/world-2", "test/lib-2", "test/cc-2"], &[])).await;
    assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (2, run));
    defined(&swarm, "second").await;
    assert_eq!(newest(&swarm).await, (3, vec!["test/lib-2".to_owned(), "test/cc-2".to_owned()]));

    // Generation 2 has it, built with the older one; generation 1 is older; each rollback takes the definition along.
    for (of, number, toolchain) in [(2, 3, 2), (1, 4, 0), (3, 5, 2)] {
        let order = Republish { of: Some(GenerationNumber(of)), force: false };
        let promised = swarm.admin.republish(&target(), &order).await.unwrap();
        wait::until(30, "the rollback", async || {
            let generations = swarm.admin.generations(&target()).await.ok()?;
            let state = generations.iter().find(|one| one.number == promised.number)?.state;
            (state == GenerationState::Current).then_some(())
        })
        .await;
        let (newest, cpvs) = newest(&swarm).await;
        assert_eq!((newest, cpvs.len()), (number, toolchain), "generation {of}");
    }
    assert_eq!(newest_run(&swarm).await.id, run, "a rollback begins no run");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Refuses the run that waits, since the base root is ahead of this version in the plan.
async fn ahead(drone: &ScriptedDrone, planned: &str) -> RunId {
    let resolution = drone.resolve(20).await.unwrap();
    let finding = Finding {
        kind: FindingKind::BaseAhead,
        atom: Some(planned.to_owned()),
        wanted_by: vec![],
        workstation: None,
        detail: "the base root has a newer one".to_owned(),
    };
    let unresolved = Unresolved {
        fence: Fence { token: resolution.token, session: drone.session },
        class: FailureClass::Package,
        reason: "the base root is ahead".to_owned(),
        findings: vec![finding],
    };
    drone.client.unresolved(resolution.resolution, &unresolved).await.unwrap();
    resolution.run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toolchain_that_is_newer_than_the_plan_is_dropped_once() {
    let (swarm, ant, _heart) = begun("ant").await;
    publish(&swarm, &ant, moving(&["test/world-1", "test/cc-2"], &["test/cc-2"])).await;
    let (bee, _heart) = drone(&swarm, "bee").await;
    // What was given is as new as the plan; one of the drones has something newer by itself.
    for planned in ["test/cc-2", "test/libc-1"] {
        let refused = ahead(&bee, planned).await;
        assert_eq!(swarm.admin.run(refused).await.unwrap().state, RunState::Failed);
        assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (2, refused));
        start(&swarm).await;
    }
    ahead(&bee, "test/cc-1").await;
    assert_eq!(newest(&swarm).await, (3, vec![]));
    let without = newest_run(&swarm).await;
    assert_eq!((without.state, without.definition), (RunState::Resolving, Some(3)));

    // The drones' own is ahead, too: that is for a person.
    let (cat, _heart) = drone(&swarm, "cat").await;
    assert_eq!(ahead(&cat, "test/cc-1").await, without.id);
    assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (3, without.id));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_has_nothing_to_build_moves_the_toolchain_too() {
    let (swarm, ant, _heart) = begun("ant").await;
    publish(&swarm, &ant, plans::plan(&["test/world-1", "test/cc-2"], &[])).await;
    assert_eq!(newest(&swarm).await, (1, vec![]));

    // The base root is older than the one before: what is published is kept, and cc-2 is ahead of it.
    let run = start(&swarm).await;
    let resolution = ant.resolve(20).await.unwrap();
    ant.resolved(&resolution, moving(&["test/world-1", "test/cc-2"], &["test/cc-2"])).await.unwrap();
    let unchanged = swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(unchanged.reason.as_deref(), Some("nothing changed since generation 1"));
    assert_eq!(newest(&swarm).await, (2, vec!["test/cc-2".to_owned()]));
    assert_eq!(newest_run(&swarm).await.definition, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_distrusted_drone_made_is_in_no_base_root() {
    let (swarm, evil, _heart) = begun("evil").await;
    let plan = moving(&["test/world-1", "test/cc-2"], &["test/cc-2"]);
    publish(&swarm, &evil, plan).await;
    let (good, _heart) = drone(&swarm, "good").await;
    publish(&swarm, &good, plans::plan(&["test/world-1", "test/cc-2"], &[])).await;
    assert_eq!(newest(&swarm).await, (2, vec!["test/cc-2".to_owned()]));

    let next = start(&swarm).await;
    let distrusted = swarm.admin.distrust("evil").await.unwrap();
    let published: Vec<_> = distrusted.published.iter().map(|one| one.cpv.to_string()).collect();
    assert_eq!(published, ["test/cc-2", "test/world-1"], "built with its compiler, by whomever");
    assert_eq!(distrusted.cancelled, [next], "it would build with that, too");
    assert_eq!(newest(&swarm).await, (3, vec![]));
}
