//! From *prepared* to *promoting*: who judges a generation, what a verdict does, and that nothing of it is lost. What Portage
//! says is for `gate.rs`; here drones say what the test wants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::gate::Gate;
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::plan::{About, Plan};
use swarm_protocol::resolution::{Finding, FindingKind};
use swarm_protocol::state::{FailureClass, GenerationState, PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, plans, wait};

async fn with_drone(settings: Settings) -> (Swarm, Arc<ScriptedDrone>) {
    let swarm = Swarm::start_with(settings).await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "one", &plans::epoch()).await);
    (swarm, drone)
}

/// A run that the drone has resolved and built, and that waits for its verdict.
async fn built(swarm: &Swarm, drone: &ScriptedDrone, plan: Plan) -> RunId {
    let run = swarm.unresolved_run().await;
    build(swarm, drone, run, plan).await
}

async fn build(swarm: &Swarm, drone: &ScriptedDrone, run: RunId, plan: Plan) -> RunId {
    let resolution = drone.resolve(20).await.unwrap();
    assert_eq!(resolution.run, run);
    drone.resolved(&resolution, plan).await.unwrap();
    drone.build_run(&swarm.admin, run).await;
    run
}

fn finding(atom: &str) -> Finding {
    Finding {
        kind: FindingKind::NotInstallable,
        atom: Some(atom.to_owned()),
        wanted_by: vec!["@world".to_owned()],
        workstation: Some("desk".to_owned()),
        detail: format!("the generation has no binary of {atom}"),
    }
}

async fn generation(swarm: &Swarm) -> GenerationState {
    swarm.admin.generations(&target()).await.unwrap()[0].state
}

async fn index(swarm: &Swarm, gate: &Gate, number: i64) -> Result<String, Option<Code>> {
    let binhost = BinhostClient::new(&swarm.binhost_url(), gate.ticket.0.clone());
    let answer = binhost.generation(&target(), GenerationNumber(number), "Packages").await;
    Ok(answer.map_err(|error| error.code())?.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drone_resolved_is_judged_and_what_a_person_posted_is_not() {
    let (swarm, drone) = with_drone(Settings::default()).await;
    let _heart = drone.heart();
    let posted = swarm.run(plans::epoch(), plans::flat(1)).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    swarm.run_reaches(posted, RunState::Promoted, 30).await;

    let desk =
        "INSERT INTO workstations (target_id, name, world, provided) VALUES (1, 'desk', '{test/p0x}', '{}')";
    sqlx::query(desk).execute(&swarm.database.pool).await.unwrap();
    let run = built(&swarm, &drone, plans::flat(2)).await;
    let gate = drone.gate(20).await.unwrap();
    assert_eq!((gate.run, gate.number, gate.seats.len()), (run, GenerationNumber(2), 2));
    let desk = &gate.seats[1];
    assert_eq!(
        (desk.name.as_ref().map(ToString::to_string).as_deref(), &*desk.world),
        (Some("desk"), &["test/p0x".parse().unwrap()][..])
    );
    assert_eq!((gate.seats[0].name.as_ref(), gate.smoke), (None, false));
    let text = index(&swarm, &gate, 2).await.unwrap();
    assert!(text.contains(&format!("TIMESTAMP: {}\n", gate.timestamp)), "{text}");
    assert_eq!(index(&swarm, &gate, 1).await, Err(Some(Code::Forbidden)), "the ticket is for one generation");
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Validating);
    assert_eq!(generation(&swarm).await, GenerationState::Prepared);
    assert_eq!(drone.gate(0).await.map(|again| again.gate), Some(gate.gate), "an answer got lost");
    drone.judged(&gate, vec![], &[]).await.unwrap();
    drone.judged(&gate, vec![], &[]).await.expect("a repeated report is accepted");
    let contrary = drone.judged(&gate, vec![finding("test/x")], &[]).await.unwrap_err();
    assert_eq!(contrary.code(), Some(Code::StaleReport));
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_fails_the_run_and_what_is_missing_is_built_once() {
    let (swarm, drone) = with_drone(Settings::default()).await;
    let _heart = drone.heart();
    let run = built(&swarm, &drone, plans::flat(1)).await;
    let gate = drone.gate(20).await.unwrap();
    drone.judged(&gate, vec![finding("test/lost-1")], &["test/lost-1"]).await.unwrap();
    let failed = swarm.admin.run(run).await.unwrap();
    assert_eq!((failed.state, failed.findings.len()), (RunState::Failed, 1));
    assert_eq!(failed.findings[0].workstation.as_deref(), Some("desk"));
    assert_eq!(generation(&swarm).await, GenerationState::Refused);

    // The successor is told what is missing; it keeps what is there.
    let successor = swarm.admin.targets().await.unwrap()[0].open_run.unwrap();
    assert_ne!(successor, run);
    let resolution = drone.resolve(20).await.unwrap();
    assert_eq!(resolution.run, successor);
    assert_eq!(resolution.wants, ["test/lost-1".parse().unwrap()]);
    let mut plan = plans::flat(1);
    plan.packages.extend(plans::plan(&["test/lost-1"], &[]).packages);
    drone.resolved(&resolution, plan).await.unwrap();
    let counts = swarm.admin.run(successor).await.unwrap().counts;
    assert_eq!((counts.kept, counts.needed), (1, 1));
    drone.build(&drone.claim(30).await.unwrap()).await;
    let gate = drone.gate(20).await.unwrap();
    drone.judged(&gate, vec![finding("test/lost-1")], &["test/lost-1"]).await.unwrap();
    assert_eq!(swarm.admin.run(successor).await.unwrap().state, RunState::Failed);
    let open = swarm.admin.targets().await.unwrap()[0].open_run;
    assert_eq!(open, None, "it is not repeated for ever");
    assert!(swarm.admin.generations(&target()).await.unwrap().iter().all(|one| one.promoted_at.is_none()));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_is_lost_at_the_gate_is_replaced_but_not_for_ever() {
    let (swarm, drone) = with_drone(Settings::default()).await;
    let run = built(&swarm, &drone, plans::flat(1)).await;
    let lost = drone.gate(20).await.unwrap();
    let restarted = ScriptedDrone::open(&swarm, "one", drone.token.clone(), &plans::epoch()).await;
    let again = restarted.gate(20).await.expect("the maintenance loop gives the generation free");
    assert_ne!(again.gate, lost.gate);
    let stale = drone.judged(&lost, vec![], &[]).await.unwrap_err();
    assert_eq!(stale.code(), Some(Code::StaleReport), "of two verdicts only the live one counts");
    restarted.unjudged(&again).await.unwrap();
    assert!(restarted.gate(1).await.is_none(), "the run rests");
    for _ in 0..3 {
        swarm.shift_clock(Duration::from_secs(31)).await;
        let next = restarted.gate(20).await.unwrap();
        restarted.unjudged(&next).await.unwrap();
    }
    let failed = swarm.run_reaches(run, RunState::Failed, 30).await;
    assert!(failed.reason.unwrap().starts_with("5 drones could not judge"));
    assert_eq!(generation(&swarm).await, GenerationState::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn drones_of_another_epoch_and_untrusted_ones_judge_nothing() {
    let settings = Settings { gate: "patience_seconds = 3\n", ..Settings::default() };
    let (swarm, drone) = with_drone(settings).await;
    let mut elsewhere = plans::epoch();
    elsewhere.configuration = swarm_protocol::Digest::of(b"another");
    let other = ScriptedDrone::join(&swarm, "two", &elsewhere).await;
    let run = built(&swarm, &drone, plans::flat(1)).await;
    assert!(other.gate(1).await.is_none());
    sqlx::query("UPDATE drones SET trusted = false").execute(&swarm.database.pool).await.unwrap();
    let request = swarm_protocol::gate::GateRequest {
        session: drone.session,
        epochs: vec![plans::epoch().digest()],
        wait_seconds: 0,
    };
    assert_eq!(drone.client.gate(&request).await.unwrap_err().code(), Some(Code::Forbidden));
    // Nobody comes: the run does not hold up its successors for ever.
    let failed = swarm.run_reaches(run, RunState::Failed, 30).await;
    assert!(failed.reason.unwrap().starts_with("no trusted drone"));
}

/// The orchestrator dies at each step of validating → promoted, and the next one goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn every_step_to_promoted_survives_the_orchestrators_death() {
    let (mut swarm, drone) = with_drone(Settings::default()).await;
    let restart = async |swarm: &mut Swarm| {
        swarm.orchestrator.take().unwrap().kill();
        swarm.start_orchestrator().await;
    };
    // While the binhost is asked to prepare.
    let run = swarm.unresolved_run().await;
    let resolution = drone.resolve(20).await.unwrap();
    drone.resolved(&resolution, plans::flat(1)).await.unwrap();
    let claim = drone.claim(30).await.unwrap();
    drone.build(&claim).await;
    swarm.binhost.take().unwrap().kill();
    swarm.run_reaches(run, RunState::Validating, 30).await;
    restart(&mut swarm).await;
    assert_eq!(generation(&swarm).await, GenerationState::Preparing);
    swarm.start_binhost().await;
    // Prepared, and nobody judges yet.
    wait::until(30, "the generation to be prepared", async || {
        (generation(&swarm).await == GenerationState::Prepared).then_some(())
    })
    .await;
    restart(&mut swarm).await;
    // While it is judged: the gate lives on, for whoever leads.
    let gate = drone.gate(20).await.unwrap();
    restart(&mut swarm).await;
    // Judged, and the switch is still to come.
    swarm.binhost.take().unwrap().kill();
    drone.judged(&gate, vec![], &[]).await.unwrap();
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Promoting);
    restart(&mut swarm).await;
    drone.judged(&gate, vec![], &[]).await.expect("a repeated report is accepted");
    swarm.start_binhost().await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(generation(&swarm).await, GenerationState::Current);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_package_holds_the_run_or_gives_way_to_its_older_version() {
    for (policy, gives_way) in [("", false), ("quarantined = \"older\"\n", true)] {
        let settings = Settings {
            gate: policy,
            retries: "first_pause_seconds = 0\npackage_failures = 1\n",
            ..Settings::default()
        };
        let (swarm, drone) = with_drone(settings).await;
        let _heart = drone.heart();
        let first = built(&swarm, &drone, plans::plan(&["test/fine-1", "test/bad-1"], &[])).await;
        let gate = drone.gate(20).await.unwrap();
        drone.judged(&gate, vec![], &[]).await.unwrap();
        swarm.run_reaches(first, RunState::Promoted, 30).await;

        let second = swarm.unresolved_run().await;
        let resolution = drone.resolve(20).await.unwrap();
        let mut wanted = plans::plan(&["test/fine-1", "test/bad-2"], &[]);
        wanted.packages[0].keep = Some(swarm_protocol::id::BuildId(1));
        wanted.packages[1].key = Some(swarm_protocol::Digest::of(b"its inputs"));
        let wanted_by = vec!["@world".to_owned()];
        wanted.packages[1].about = Some(About { wanted_by, ..About::default() });
        drone.resolved(&resolution, wanted.clone()).await.unwrap();
        let claim = drone.claim(30).await.unwrap();
        drone.start(&claim).await.unwrap();
        drone.fail(&claim, FailureClass::Package).await;
        swarm.package_reaches(second, "test/bad-2", PackageState::Quarantined).await;
        swarm.run_reaches(second, RunState::Frozen, 30).await;
        let next = drone.resolve(if gives_way { 20 } else { 2 }).await;
        assert_eq!(next.is_some(), gives_way);
        let Some(next) = next else { continue };
        assert_eq!(next.mask, ["test/bad-2".parse().unwrap()]);
        let mut plan = plans::plan(&["test/fine-1", "test/bad-1", "test/new-1"], &[]);
        plan.packages[0].keep = Some(swarm_protocol::id::BuildId(1));
        plan.packages[1].keep = Some(swarm_protocol::id::BuildId(1));
        drone.resolved(&next, plan).await.unwrap();
        assert_eq!(swarm.admin.run(second).await.unwrap().state, RunState::Superseded);
        drone.build(&drone.claim(30).await.unwrap()).await;
        let gate = drone.gate(20).await.unwrap();
        assert_eq!(gate.mask, next.mask, "the gate judges what the resolver planned");
        drone.judged(&gate, vec![], &[]).await.unwrap();
        swarm.run_reaches(next.run, RunState::Promoted, 30).await;
        let promoted = swarm.admin.run(next.run).await.unwrap();
        assert_eq!((promoted.without, promoted.mends), (next.mask.clone(), Some(second)));
        remembered(&swarm, &drone, second, &wanted).await;
        checker::check(&swarm.admin, &swarm.database.pool).await;
    }
}

/// The next ordinary runs: what is quarantined is not tried again, until its inputs change or a person releases it.
async fn remembered(swarm: &Swarm, drone: &ScriptedDrone, quarantined: RunId, wanted: &Plan) {
    let begin = async |plan: Plan| {
        let run = swarm.unresolved_run().await;
        let resolution = drone.resolve(20).await.unwrap();
        assert_eq!((resolution.run, &resolution.mask[..]), (run, &[][..]));
        drone.resolved(&resolution, plan).await.unwrap();
        run
    };
    let give_way = async || {
        let next = drone.resolve(20).await.unwrap();
        assert_eq!(next.mask, ["test/bad-2".parse().unwrap()]);
        let mut plan = plans::plan(&["test/fine-1", "test/bad-1", "test/new-1"], &[]);
        for package in &mut plan.packages {
            package.keep = Some(swarm_protocol::id::BuildId(1));
        }
        drone.resolved(&next, plan).await.unwrap();
        let unchanged = swarm.run_reaches(next.run, RunState::Promoted, 30).await;
        assert!(unchanged.reason.unwrap().starts_with("nothing changed"));
    };
    let id = swarm.package(quarantined, "test/bad-2").await.id;
    let third = begin(wanted.clone()).await;
    let package = swarm.package(third, "test/bad-2").await;
    assert_eq!((package.id, package.state, package.attempts), (id, PackageState::Quarantined, 1));
    assert_eq!(package.about, wanted.packages[1].about);
    give_way().await;

    // Its ebuild was changed.
    let mut changed = wanted.clone();
    changed.packages[1].key = Some(swarm_protocol::Digest::of(b"other inputs"));
    let fourth = begin(changed).await;
    assert_eq!(swarm.package(fourth, "test/bad-2").await.state, PackageState::Needed);
    swarm.admin.cancel_run(fourth).await.unwrap();

    // A person released it, in the run where it stands.
    swarm.admin.release(id).await.unwrap();
    let fifth = begin(wanted.clone()).await;
    let claim = drone.claim(30).await.unwrap();
    assert_eq!((claim.run, claim.cpv.to_string().as_str()), (fifth, "test/bad-2"));
    drone.build(&claim).await;
    drone.judged(&drone.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(fifth, RunState::Promoted, 30).await;
}
