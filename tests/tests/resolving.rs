//! Runs that drones resolve, and runs that succeed others: what is kept, what goes over, what stays untouched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::admin::World;
use swarm_protocol::binhost::Provided;
use swarm_protocol::drone::{Claim, Completion};
use swarm_protocol::id::{BuildId, RunId};
use swarm_protocol::plan::{About, Plan};
use swarm_protocol::state::{FailureClass, PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

async fn with_drone(name: &str) -> (Swarm, Arc<ScriptedDrone>) {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, name, &plans::epoch()).await);
    (swarm, drone)
}

fn world(atoms: &[&str]) -> World {
    World { world: atoms.iter().map(|atom| atom.parse().unwrap()).collect(), provided: Provided::default() }
}

/// `plan` with the packages of these `BUILD_ID`s kept, as Portage would.
fn keeping(mut plan: Plan, kept: &[(&str, i32)]) -> Plan {
    for package in &mut plan.packages {
        let found = kept.iter().find(|(cpv, _)| package.cpv.to_string() == *cpv);
        package.keep = found.map(|&(_, build_id)| BuildId(build_id));
    }
    plan
}

/// Builds whatever is to be built, and lets what is to be judged pass, until the run is promoted.
async fn promoted(swarm: &Swarm, drone: &ScriptedDrone, run: RunId) -> i64 {
    drone.build_run(&swarm.admin, run).await;
    while swarm.admin.run(run).await.unwrap().state == RunState::Validating {
        if let Some(gate) = drone.gate(1).await {
            drone.judged(&gate, vec![], &[]).await.unwrap();
        }
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await.generation.unwrap().0
}

async fn public_index(swarm: &Swarm) -> String {
    let url = format!("{}/binhost/{}/Packages", swarm.binhost_url(), target());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_drone_resolves_the_world_and_the_next_run_keeps_what_there_is() {
    let (swarm, drone) = with_drone("one").await;
    let _heart = drone.heart();
    swarm.admin.set_world(&target(), &world(&["test/program", "test/extra"])).await.unwrap();
    let first = swarm.unresolved_run().await;
    assert_eq!(swarm.admin.run(first).await.unwrap().epoch, None);
    let resolution = drone.resolve(20).await.unwrap();
    assert_eq!(resolution.run, first);
    assert_eq!(resolution.world, world(&["test/extra", "test/program"]).world, "ordered, as a set is");
    assert!(!drone.staged(&target(), first, &resolution.ticket, "Packages").await.contains("CPV:"));
    let plan = plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)]);
    drone.resolved(&resolution, plan.clone()).await.unwrap();
    drone.resolved(&resolution, plan).await.expect("a repeated report is accepted");
    assert_eq!(swarm.admin.run(first).await.unwrap().epoch, Some(plans::epoch().digest()));
    assert_eq!(promoted(&swarm, &drone, first).await, 1);

    // The second run is offered both, keeps the library, and builds two programs on it.
    let second = swarm.unresolved_run().await;
    let resolution = drone.resolve(20).await.unwrap();
    let offered = drone.staged(&target(), second, &resolution.ticket, "Packages").await;
    assert_eq!(offered.matches("CPV:").count(), 2, "{offered}");
    let mut plan = plans::plan(&["test/program-2", "test/library-1", "test/extra-1"], &[(0, 1), (2, 1)]);
    for package in &mut plan.packages {
        package.estimate_seconds = None;
    }
    drone.resolved(&resolution, keeping(plan, &[("test/library-1", 1)])).await.unwrap();
    let counts = swarm.admin.run(second).await.unwrap().counts;
    assert_eq!((counts.total, counts.needed, counts.received, counts.kept), (3, 2, 1, 1));
    // Its first version took no time, and of the other nobody knows but that its category takes none.
    assert!(swarm.package(second, "test/program-2").await.rank < 1.0);
    assert!(swarm.package(second, "test/extra-1").await.rank < 1.0);
    let claim = drone.claim(30).await.unwrap();
    assert_eq!(claim.closure[0].cpv.to_string(), "test/library-1");
    let path = &claim.closure[0].path;
    assert!(!drone.staged(&target(), second, &claim.ticket, path).await.is_empty(), "it can be fetched");
    drone.build(&claim).await;
    assert_eq!(promoted(&swarm, &drone, second).await, 2);
    let index = public_index(&swarm).await;
    for cpv in ["test/program-2", "test/library-1", "test/extra-1"] {
        assert!(index.contains(&format!("CPV: {cpv}\n")), "{cpv} in {index}");
    }
    assert!(!index.contains("test/program-1"), "a generation is its plan");

    // The third changes nothing, and publishes nothing.
    let third = swarm.unresolved_run().await;
    let resolution = drone.resolve(20).await.unwrap();
    let plan = plans::plan(&["test/program-2", "test/library-1", "test/extra-1"], &[(0, 1), (2, 1)]);
    // Portage rejects one of the binaries, for a reason that another build would not remove.
    let kept = [("test/library-1", 1), ("test/extra-1", 1)];
    drone.resolved(&resolution, keeping(plan, &kept)).await.unwrap();
    let run = swarm.run_reaches(third, RunState::Promoted, 30).await;
    assert_eq!(run.findings.len(), 1);
    assert_eq!(run.findings[0].atom.as_deref(), Some("test/program-2"));
    assert_eq!(run.reason.as_deref(), Some("nothing changed since generation 2"));
    assert_eq!(swarm.admin.generations(&target()).await.unwrap().len(), 2);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

async fn failing(drone: &ScriptedDrone, claim: &Claim) {
    drone.start(claim).await.unwrap();
    drone.fail(claim, FailureClass::Package).await;
}

async fn claim_of(drone: &ScriptedDrone, cpv: &str) -> Claim {
    let claim = drone.claim(30).await.unwrap();
    assert_eq!(claim.cpv.to_string(), cpv);
    claim
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_takes_over_artifacts_builds_in_progress_and_quarantines() {
    let (mut swarm, drone) = with_drone("one").await;
    let other = Arc::new(ScriptedDrone::join(&swarm, "two", &plans::epoch()).await);
    let _hearts = (drone.heart(), other.heart());
    // slow builds on library, bad fails on both drones, behind waits for bad.
    let names = ["test/library-1", "test/slow-1", "test/bad-1", "test/behind-1"];
    let mut plan = plans::plan(&names, &[(1, 0), (2, 0), (3, 2)]);
    plan.packages[2].estimate_seconds = Some(500.0);
    let first = swarm.run(plans::epoch(), plan.clone()).await;
    drone.build(&claim_of(&drone, names[0]).await).await;
    failing(&drone, &claim_of(&drone, names[2]).await).await;
    failing(&other, &claim_of(&other, names[2]).await).await;
    swarm.package_reaches(first, names[2], PackageState::Quarantined).await;
    let slow = claim_of(&drone, names[1]).await;
    drone.start(&slow).await.unwrap();

    let mut wider = plan.clone();
    wider.packages.extend(plans::flat(1).packages);
    let second = swarm.run(plans::epoch(), wider).await;
    assert_eq!(swarm.admin.run(first).await.unwrap().state, RunState::Superseded);
    let states =
        [PackageState::Received, PackageState::Delegated, PackageState::Quarantined, PackageState::Blocked];
    for (cpv, state) in names.into_iter().zip(states) {
        assert_eq!(swarm.package(second, cpv).await.state, state, "{cpv}");
    }
    let counts = swarm.admin.run(second).await.unwrap().counts;
    assert_eq!((counts.total, counts.kept, counts.ready), (5, 1, 1));
    // The build goes on under its old claim, through a restart, and is received in the new run.
    swarm.orchestrator.take().unwrap().kill();
    swarm.start_orchestrator().await;
    let complete = drone.upload(&slow).await;
    let completed = drone.complete(&slow, &complete).await.unwrap();
    assert_eq!(completed.result, Completion::Received, "{:?}", completed.reason);
    drone.forget(&slow);
    assert_eq!(swarm.package(second, names[1]).await.attempts, 1, "it was built once");
    // A person releases the quarantined one, and what was blocked behind it follows in the new run.
    let bad = swarm.package(second, names[2]).await;
    assert_eq!(bad.attempts, 2);
    swarm.admin.release(bad.id).await.unwrap();
    assert_eq!(promoted(&swarm, &drone, second).await, 1);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_being_accepted_goes_over_too() {
    let (mut swarm, drone) = with_drone("one").await;
    let _heart = drone.heart();
    let first =
        swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)])).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let complete = drone.upload(&claim).await;
    swarm.binhost.take().unwrap().kill();
    let completed = drone.complete(&claim, &complete).await.unwrap();
    assert_eq!(completed.result, Completion::Accepting);
    // The binhost was asked to stage it for the first run, and may have done so.
    let second =
        swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)])).await;
    assert_eq!(swarm.package(second, "test/library-1").await.state, PackageState::Delegated);
    swarm.start_binhost().await;
    swarm.package_reaches(second, "test/library-1", PackageState::Received).await;
    drone.forget(&claim);
    let program = drone.claim(30).await.unwrap();
    let library = drone.staged(&target(), second, &program.ticket, &program.closure[0].path).await;
    assert!(!library.is_empty(), "the new run's view has it");
    drone.build(&program).await;
    assert_eq!(promoted(&swarm, &drone, second).await, 1);
    assert_eq!(swarm.admin.run(first).await.unwrap().state, RunState::Superseded);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_with_another_library_is_built_anew() {
    let (swarm, drone) = with_drone("one").await;
    let first =
        swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)])).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    let old = drone.claim(30).await.unwrap();
    drone.start(&old).await.unwrap();
    let second =
        swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-2"], &[(0, 1)])).await;
    let late = drone.upload(&old).await;
    let refused = drone.complete(&old, &late).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::StaleReport));
    drone.forget(&old);
    assert_eq!(swarm.package(second, "test/program-1").await.unmet, 1);
    assert_eq!(promoted(&swarm, &drone, second).await, 1);
    assert_eq!(swarm.package(first, "test/library-1").await.state, PackageState::Received);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_leaves_its_artifacts_to_the_next() {
    let (swarm, drone) = with_drone("one").await;
    let first = swarm.run(plans::epoch(), plans::flat(2)).await;
    let built = drone.claim(30).await.unwrap();
    drone.build(&built).await;
    swarm.admin.cancel_run(first).await.unwrap();
    let second = swarm.run(plans::epoch(), plans::flat(2)).await;
    let counts = swarm.admin.run(second).await.unwrap().counts;
    assert_eq!((counts.needed, counts.kept), (1, 1));
    promoted(&swarm, &drone, second).await;
    assert_eq!(swarm.package(second, &built.cpv.to_string()).await.artifact.unwrap().drone, "one");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolve_that_portage_refuses_leaves_the_queue_alone() {
    let (swarm, drone) = with_drone("one").await;
    let first = swarm.run(plans::epoch(), plans::flat(2)).await;
    let claim = drone.claim(30).await.unwrap();
    let second = swarm.unresolved_run().await;
    let resolution = drone.resolve(20).await.unwrap();
    drone.unresolved(&resolution, FailureClass::Package).await.unwrap();
    drone.unresolved(&resolution, FailureClass::Package).await.expect("a repeated report is accepted");
    let failed = swarm.admin.run(second).await.unwrap();
    assert_eq!(failed.state, RunState::Failed);
    assert_eq!(failed.findings[0].atom.as_deref(), Some("test/masked"));
    drone.build(&claim).await;
    assert_eq!(promoted(&swarm, &drone, first).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_the_drones_that_lose_it_but_not_for_ever() {
    let (swarm, drone) = with_drone("one").await;
    let run = swarm.unresolved_run().await;
    let lost = drone.resolve(20).await.unwrap();
    assert_eq!(
        drone.resolve(0).await.map(|again| again.resolution),
        Some(lost.resolution),
        "an answer got lost"
    );
    let restarted = ScriptedDrone::open(&swarm, "one", drone.token.clone(), &plans::epoch()).await;
    let again = restarted.resolve(20).await.expect("the maintenance loop gives the run free");
    assert_ne!(again.resolution, lost.resolution);
    let stale = drone.resolved(&lost, plans::flat(1)).await.unwrap_err();
    assert_eq!(stale.code(), Some(Code::StaleReport));
    restarted.unresolved(&again, FailureClass::Infrastructure).await.unwrap();
    assert!(restarted.resolve(1).await.is_none(), "the run rests");
    for _ in 0..3 {
        swarm.shift_clock(Duration::from_secs(31)).await;
        let next = restarted.resolve(20).await.unwrap();
        restarted.unresolved(&next, FailureClass::Infrastructure).await.unwrap();
    }
    let failed = swarm.run_reaches(run, RunState::Failed, 30).await;
    assert!(failed.reason.unwrap().starts_with("5 drones could not resolve it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_against_a_former_generation_is_made_again() {
    let (swarm, drone) = with_drone("one").await;
    let first = swarm.run(plans::epoch(), plans::flat(1)).await;
    let claim = drone.claim(30).await.unwrap();
    let second = swarm.unresolved_run().await;
    let early = drone.resolve(20).await.unwrap();
    drone.build(&claim).await;
    swarm.run_reaches(first, RunState::Promoted, 30).await;
    drone.resolved(&early, plans::flat(1)).await.unwrap();
    assert_eq!(swarm.admin.run(second).await.unwrap().state, RunState::Resolving);
    let again = drone.resolve(20).await.unwrap();
    assert_eq!(again.run, second);
    drone.resolved(&again, keeping(plans::flat(1), &[("test/p0x-1", 1)])).await.unwrap();
    swarm.run_reaches(second, RunState::Promoted, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_drone_resolves_nothing() {
    let (swarm, drone) = with_drone("one").await;
    swarm.unresolved_run().await;
    sqlx::query("UPDATE drones SET trusted = false").execute(&swarm.database.pool).await.unwrap();
    let refused = drone.client.resolve(&drone.resolve_request(0)).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binhost_that_is_away_delays_a_resolve_and_harms_nothing() {
    let (mut swarm, drone) = with_drone("one").await;
    let run = swarm.unresolved_run().await;
    swarm.binhost.take().unwrap().kill();
    let refused = drone.client.resolve(&drone.resolve_request(5)).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unavailable));
    swarm.start_binhost().await;
    swarm.shift_clock(Duration::from_secs(31)).await;
    let resolution = wait::until(30, "the run to be offered again", async || drone.resolve(1).await).await;
    drone.resolved(&resolution, plans::flat(1)).await.unwrap();
    promoted(&swarm, &drone, run).await;
}

async fn degraded(swarm: &Swarm) -> Vec<String> {
    swarm.admin.status(None).await.unwrap().degraded
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_takes_is_an_alarm() {
    let swarm = Swarm::start().await;
    let run = swarm.unresolved_run().await;
    assert!(degraded(&swarm).await.is_empty(), "it has only begun");
    swarm.shift_clock(Duration::from_secs(61)).await;
    assert_eq!(degraded(&swarm).await, ["run 1 of box is not being resolved: no trusted drone is online"]);
    let drone = Arc::new(ScriptedDrone::join(&swarm, "one", &plans::epoch()).await);
    let _heart = drone.heart();
    let resolution = drone.resolve(20).await.unwrap();
    assert!(degraded(&swarm).await.is_empty());
    drone.resolved(&resolution, plans::flat(1)).await.unwrap();
    // Nobody asks for work: this drone may have left the run's epoch.
    swarm.shift_clock(Duration::from_secs(301)).await;
    let said = degraded(&swarm).await;
    assert!(
        said.iter().any(|sentence| sentence.contains("has ready packages that nobody builds")),
        "{said:?}"
    );
    promoted(&swarm, &drone, run).await;
    assert!(degraded(&swarm).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_was_never_built_is_expected_to_take_what_others_of_its_size_took() {
    let (swarm, drone) = with_drone("one").await;
    let sized = |cpvs: &[&str], mib: u64| {
        let mut plan = plans::plan(cpvs, &[]);
        for package in &mut plan.packages {
            package.estimate_seconds = None;
            package.about = Some(About { fetch_bytes: Some(mib << 20), ..About::default() });
        }
        plan
    };
    let known = ["test/a-1", "test/b-1", "test/c-1", "test/d-1", "test/e-1"];
    let first = swarm.run(plans::epoch(), sized(&known, 10)).await;
    drone.build_run(&swarm.admin, first).await;
    swarm.run_reaches(first, RunState::Promoted, 30).await;
    sqlx::query("UPDATE builds SET seconds = 60").execute(&swarm.database.pool).await.unwrap();
    let second = swarm.run(plans::epoch(), sized(&["other/new-1"], 15)).await;
    let rank = swarm.package(second, "other/new-1").await.rank;
    assert!((rank - 60.0).abs() < 0.1, "{rank}");
}
