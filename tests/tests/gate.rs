//! The gate with real Portage, from end to end: what passes, what does not, what is built by itself, and who dies meanwhile.
//! Each single lack is tested closer to Portage (`drone/tests/gate.rs`), each step of the state machine with scripted drones
//! (`gating.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::time::Duration;
use swarm_protocol::admin::{Run, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::id::RunId;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

async fn set_world(swarm: &Swarm, atoms: &str) {
    let world = atoms.split_whitespace().map(|atom| atom.parse().unwrap()).collect();
    let world = World { world, provided: Provided::default() };
    swarm.admin.set_world(&target(), &world).await.unwrap();
}

async fn over(swarm: &Swarm, run: RunId, seconds: u64) -> Run {
    wait::until(seconds, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await
}

async fn promoted(swarm: &Swarm, run: RunId, seconds: u64) -> Run {
    let over = over(swarm, run, seconds).await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    over
}

/// What the run built itself.
async fn built(swarm: &Swarm, run: RunId) -> Vec<String> {
    let packages = swarm.admin.packages(run).await.unwrap();
    let built = packages.into_iter().filter(|package| package.attempts > 0);
    let mut built: Vec<_> = built.map(|package| package.cpv.to_string()).collect();
    built.sort();
    built
}

async fn gates(swarm: &Swarm, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM gates WHERE {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&swarm.database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_judged_and_installed_though_its_judge_dies() {
    let settings = Settings { gate: "smoke = true\n", ..Settings::default() };
    let swarm = machines::reachable_swarm(settings).await;
    let repository = machines::repository(&swarm);
    set_world(&swarm, "swarm-test/uses-libsub swarm-test/trivial").await;
    let place = Place { repository: Some(&repository), ..Place::default() };
    let mut drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let first = swarm.unresolved_run().await;
    wait::until(300, "the gate to be asked", async || {
        (gates(&swarm, "outcome IS NULL").await == 1).then_some(())
    })
    .await;
    drone.daemon.take().unwrap().kill();
    drone.start_daemon();
    promoted(&swarm, first, 300).await;
    assert_eq!(gates(&swarm, "outcome = 'lost'").await, 1);
    assert_eq!(gates(&swarm, "outcome = 'passed'").await, 1);

    // An ebuild's body is edited, without a new revision: Portage would not notice.
    let ebuild = repository.join("swarm-test/trivial/trivial-1.ebuild");
    let text = fs::read_to_string(&ebuild).unwrap();
    fs::write(&ebuild, text + "\npkg_postinst() { :; }\n").unwrap();
    let second = swarm.unresolved_run().await;
    promoted(&swarm, second, 300).await;
    assert_eq!(built(&swarm, second).await, ["swarm-test/trivial-1"]);

    // A package that packs and resolves, and cannot be installed: only the smoke install knows.
    let text = fs::read_to_string(&ebuild).unwrap();
    fs::write(&ebuild, text.replace("pkg_postinst() { :; }", "pkg_preinst() { die 'not here'; }")).unwrap();
    let third = swarm.unresolved_run().await;
    let refused = over(&swarm, third, 300).await;
    assert_eq!(refused.state, RunState::Failed, "{refused:#?}");
    assert_eq!(refused.findings[0].kind, FindingKind::NotInstalled, "{refused:#?}");
    assert_eq!(swarm.admin.targets().await.unwrap()[0].current.unwrap().0, 2, "clients see what worked");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Loses one package on its way into the first generation, whose closure holds without it.
const LOSE: &str = "
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT cpv FROM artifacts WHERE id = NEW.artifact_id) = 'swarm-test/trivial-1'
           AND (SELECT number FROM generations WHERE id = NEW.generation_id) = 1 THEN RETURN NULL; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER lose BEFORE INSERT ON generation_artifacts FOR EACH ROW EXECUTE FUNCTION lose();";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_found_and_comes_by_itself() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    sqlx::raw_sql(LOSE).execute(&swarm.database.pool).await.unwrap();
    set_world(&swarm, "swarm-test/uses-libsub swarm-test/trivial").await;
    let _drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let first = swarm.unresolved_run().await;
    let refused = over(&swarm, first, 300).await;
    assert_eq!(refused.state, RunState::Failed, "{refused:#?}");
    let finding = &refused.findings[0];
    assert_eq!(
        (finding.kind, finding.atom.as_deref()),
        (FindingKind::NotInstallable, Some("swarm-test/trivial-1"))
    );
    assert_eq!(finding.wanted_by, ["@world"]);
    let successor = RunId(first.0 + 1);
    let run = promoted(&swarm, successor, 300).await;
    assert_eq!(
        (run.counts.kept, run.generation.unwrap().0),
        (run.counts.total, 2),
        "all of it was built already"
    );
    let workstation = machines::workstation(&swarm, "swarm-test/trivial\n", None);
    let merged = workstation.ok(&["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "-uDN", "@world"]);
    assert!(merged.contains("swarm-test/trivial-1"), "{merged}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// The index is there before the binhost dies; the packages, which the smoke install wants, are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_binhost_that_dies_while_a_drone_judges_promotes_nothing_and_is_asked_again() {
    let settings = Settings { gate: "smoke = true\nlimit_seconds = 40\n", ..Settings::default() };
    let mut swarm = machines::reachable_swarm(settings).await;
    set_world(&swarm, "swarm-test/trivial").await;
    let _drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let run = swarm.unresolved_run().await;
    wait::until(300, "the gate to be asked", async || {
        (gates(&swarm, "outcome IS NULL").await == 1).then_some(())
    })
    .await;
    swarm.binhost.take().unwrap().kill();
    wait::until(120, "the drone to give up", async || {
        (gates(&swarm, "outcome = 'failed'").await == 1).then_some(())
    })
    .await;
    assert_eq!(gates(&swarm, "reason LIKE '%cannot be brought from the binhost%'").await, 1);
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Validating);
    assert_eq!(swarm.admin.targets().await.unwrap()[0].current, None);

    swarm.start_binhost().await;
    // The run rests for half a minute after a drone that could not ask.
    swarm.shift_clock(Duration::from_secs(31)).await;
    let promoted = promoted(&swarm, run, 120).await;
    assert_eq!(promoted.generation.unwrap().0, 1);
    assert_eq!(gates(&swarm, "outcome = 'passed'").await, 1);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
