//! Repair (law 13) on real machines: OpenRC and sshd in boxes, drones that hang or die, machines that are taken for others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::time::Instant;
use swarm_protocol::admin::RepairOutcome;
use swarm_protocol::repair::Step;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::machines::DroneMachine;
use swarm_tests::repairs::Ward;
use swarm_tests::{cli, plans, wait};

/// The drone's process hears nothing any more.
fn hang(drone: &DroneMachine) {
    let _ = drone.machine.ok(&["pkill", "-STOP", "-x", "build-drone"]);
}

/// The state of the drone's process.
fn process(drone: &DroneMachine) -> String {
    let pid = drone.machine.ok(&["pgrep", "-o", "-x", "build-drone"]);
    drone.machine.ok(&["ps", "-o", "stat=", "-p", pid.trim()])
}

async fn alarm(ward: &Ward, words: &str) -> String {
    wait::until(30, words, async || {
        let status = ward.swarm.admin.status(None).await.ok()?;
        status.degraded.into_iter().find(|sentence| sentence.contains(words))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_is_revived_by_a_restart_and_at_last_by_a_reboot() {
    let mut ward = Ward::start("restarts_before_reboot = 1").await;
    let ant = ward.node("ant", "repair = \"reboot\"").await;
    let session = ward.drone("ant").await.session_since.unwrap();

    let hung = Instant::now();
    hang(&ant);
    let (repair, outcome) = ward.ended("ant", 1, 90).await;
    println!("hung to heard again: {:.1} s", hung.elapsed().as_secs_f32());
    assert_eq!(
        (repair.step, outcome, repair.detail.as_deref()),
        (Step::Restart, RepairOutcome::Revived, Some("done"))
    );
    assert!(ward.drone("ant").await.session_since.unwrap() > session);
    let kinds: Vec<_> = ward.events().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["repair.begun", "repair.answered", "repair.ended"]);

    // The supervisor is gone with the drone: nobody starts it again.
    let died = Instant::now();
    let _ = ant.machine.ok(&["pkill", "-KILL", "-x", "supervise-daemo"]);
    let _ = ant.machine.ok(&["pkill", "-KILL", "-x", "build-drone"]);
    let (repair, outcome) = ward.ended("ant", 2, 90).await;
    println!("died to heard again: {:.1} s", died.elapsed().as_secs_f32());
    assert_eq!((repair.step, outcome), (Step::Restart, RepairOutcome::Revived), "{repair:?}");

    // What ails it now goes away with a reboot only: /run is fresh then.
    let script = "echo '[ ! -e /run/ill ] || config=/nowhere' >>/etc/conf.d/build-drone; touch /run/ill";
    let _ = ant.machine.ok(&["sh", "-c", script]);
    let boot = ant.machine.boot_id();
    hang(&ant);
    let (repair, outcome) = ward.ended("ant", 3, 90).await;
    assert_eq!((repair.step, outcome), (Step::Restart, RepairOutcome::Failed), "{repair:?}");
    assert!(repair.detail.as_deref().unwrap().contains("/nowhere"), "{repair:?}");
    // Nobody but a person reboots it.
    let said = alarm(&ward, "drone ant is silent").await;
    assert!(said.contains("`swarm fleet confirm ant` reboots it"), "{said}");
    assert_eq!(ant.machine.boot_id(), boot);
    let said = cli::ok(&ward.swarm, "fleet confirm ant").await;
    assert!(said.starts_with("The machine of ant is rebooted now"), "{said}");
    let (repair, outcome) = ward.ended("ant", 4, 90).await;
    assert_eq!((repair.step, outcome), (Step::Reboot, RepairOutcome::Revived), "{repair:?}");
    assert!(repair.confirmed_at.is_some());
    assert_ne!(ant.machine.boot_id(), boot);
    assert!(ant.machine.ok(&["rc-service", "build-drone", "status"]).contains("started"));
    let said = cli::ok(&ward.swarm, "fleet repairs ant").await;
    assert!(said.contains("reboot") && said.contains("revived") && said.contains("failed"), "{said}");
    // There is nothing to confirm any more.
    let error = ward.swarm.admin.confirm_repair("ant").await.unwrap_err();
    assert!(error.to_string().contains("no reboot of ant waits"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_at_the_address_is_left_alone() {
    let mut ward = Ward::start("").await;
    let ant = ward.node("ant", "repair = \"reboot\"\nreboot_confirmed_by = \"policy\"").await;
    let bee = ward.node("bee", "").await;
    // ant's address leads to bee now, as behind a router that forwards a port to another machine.
    let elsewhere = ant.machine.ip();
    ward.mistake("bee", elsewhere);
    ward.mistake("ant", bee.machine.ip());
    let before = (bee.machine.boot_id(), ward.drone("bee").await.session_since);
    hang(&ant);
    let (repair, outcome) = ward.ended("ant", 1, 60).await;
    assert_eq!((repair.step, outcome), (Step::Restart, RepairOutcome::Refused));
    assert!(repair.detail.unwrap().contains("not the machine that was to restart"));
    let said = alarm(&ward, "its node refused").await;
    assert!(said.starts_with("drone ant is silent and not repaired"), "{said}");
    assert_eq!((bee.machine.boot_id(), ward.drone("bee").await.session_since), before);
    assert_eq!(ward.repairs("ant").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_cut_off_is_left_alone() {
    let mut ward = Ward::start("").await;
    let policy = "repair = \"restart\"\nsite = \"cellar\"";
    let ant = ward.node("ant", policy).await;
    let bee = ward.node("bee", policy).await;
    // Somewhere else all is well.
    let other = std::sync::Arc::new(ScriptedDrone::join(&ward.swarm, "other", &plans::epoch()).await);
    let _heart = other.heart();
    ant.machine.cut();
    bee.machine.cut();
    for drone in ["ant", "bee"] {
        let said = format!("drone {drone} is silent and not repaired: its whole site is silent");
        alarm(&ward, &said).await;
    }
    ant.machine.join();
    bee.machine.join();
    wait::until(30, "the site to be heard again", async || {
        let status = ward.swarm.admin.status(None).await.ok()?;
        status.degraded.is_empty().then_some(())
    })
    .await;
    assert!(ward.swarm.admin.repairs(None).await.unwrap().is_empty());
    let kinds: Vec<_> = ward.events().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["repair.suspended"; 2]);
}

/// `kill -9` between the intent and its answer: nobody knows whether the step was taken, so it is not taken again for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_orchestrator_repeats_nothing() {
    let mut ward = Ward::start("").await;
    let ant = ward.node("ant", "repair = \"restart\"").await;
    let other = std::sync::Arc::new(ScriptedDrone::join(&ward.swarm, "other", &plans::epoch()).await);
    let _heart = other.heart();
    // ssh waits for a machine that does not answer.
    hang(&ant);
    ant.machine.cut();
    wait::until(30, "the intent to be written down", async || {
        (!ward.repairs("ant").await.is_empty()).then_some(())
    })
    .await;
    ward.swarm.orchestrator.take().unwrap().kill();
    ant.machine.join();
    ward.swarm.start_orchestrator().await;
    let (repair, outcome) = ward.ended("ant", 1, 90).await;
    assert_eq!((repair.step, outcome, repair.detail), (Step::Restart, RepairOutcome::Unknown, None));
    assert!(process(&ant).starts_with('T'), "it was restarted for an intent that was lost");
    let (_, outcome) = ward.ended("ant", 2, 90).await;
    assert_eq!((outcome, ward.repairs("ant").await.len()), (RepairOutcome::Revived, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_do() {
    let mut ward = Ward::start("dry_run = true\nrestarts_before_reboot = 1").await;
    let ant = ward.node("ant", "repair = \"reboot\"\nreboot_confirmed_by = \"policy\"").await;
    let boot = ant.machine.boot_id();
    hang(&ant);
    let (repair, outcome) = ward.ended("ant", 1, 90).await;
    assert_eq!((repair.step, outcome, repair.dry_run), (Step::Restart, RepairOutcome::Failed, true));
    assert_eq!(repair.detail.as_deref(), Some("dry run: nothing was done"));
    wait::until(30, "the reboot that would follow", async || {
        let repair = ward.repairs("ant").await.pop()?;
        (repair.step == Step::Reboot && repair.dry_run).then_some(())
    })
    .await;
    assert!(process(&ant).starts_with('T'));
    assert_eq!(ant.machine.boot_id(), boot);
}
