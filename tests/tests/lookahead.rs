//! A drone that holds one package ahead: its files come while another compiles, it begins when that one has ended, and it
//! goes back at once when the drone is to stop or is grounded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::path::PathBuf;
use swarm_protocol::admin::{Attempt, NewRun, NewTarget};
use swarm_protocol::id::{PackageId, RunId};
use swarm_protocol::state::{AttemptPhase, Outcome, RunState};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, cli, wait};

/// Expected to end soon, since only then another one is given ahead; it takes until its gate is opened.
const SLOW: &str = r#"{"packages": [{"cpv": "swarm-test/slow-1", "slot": "0", "repository": "swarm-box",
    "estimate_seconds": 8}], "edges": []}"#;
/// It has a source archive.
const TREE: &str =
    r#"{"packages": [{"cpv": "app-text/tree-2.1.0", "slot": "0", "repository": "swarm-box"}], "edges": []}"#;

/// One that compiles until its gate is opened, and the next.
struct Ahead {
    swarm: Swarm,
    drone: DroneMachine,
    gate: PathBuf,
    slow: (RunId, PackageId),
    tree: (RunId, PackageId),
}

impl Ahead {
    /// Waits until one compiles and the other is held with all that it needs.
    async fn start() -> Self {
        let swarm = machines::reachable_swarm(Settings::default()).await;
        let gate = swarm.path().join("gate");
        fs::create_dir(&gate).unwrap();
        let place = Place { gate: Some(&gate), fields: "lookahead = 1", ..Place::default() };
        let drone = DroneMachine::start_at(&swarm, "ant", place).await;
        let slow = begun(&swarm, &drone, "first", SLOW).await;
        reaches(&swarm, slow.1, AttemptPhase::Building).await;
        let tree = begun(&swarm, &drone, "second", TREE).await;
        reaches(&swarm, tree.1, AttemptPhase::Held).await;
        let ahead = Self { swarm, drone, gate, slow, tree };
        wait::until(60, "its archive to come", async || {
            ahead.log(0).await.contains("tree_2.1.0.orig.tar.gz from upstream").then_some(())
        })
        .await;
        assert_eq!(ahead.attempts(ahead.tree.1).await[0].phase, AttemptPhase::Held);
        ahead
    }

    async fn attempts(&self, package: PackageId) -> Vec<Attempt> {
        self.swarm.admin.attempts(package).await.unwrap()
    }

    /// The log of an attempt at `tree`.
    async fn log(&self, number: usize) -> String {
        let attempt = self.attempts(self.tree.1).await[number].id;
        String::from_utf8_lossy(&self.swarm.admin.log(attempt).await.unwrap()).into_owned()
    }

    fn open(&self) {
        fs::write(self.gate.join("go"), "").unwrap();
    }

    /// Waits until both are promoted.
    async fn ends(&self) {
        for (run, _) in [self.slow, self.tree] {
            let run = self.swarm.run_reaches(run, RunState::Promoted, 120).await;
            assert_eq!((run.counts.succeeded, run.counts.failed), (1, 0));
        }
        checker::check(&self.swarm.admin, &self.swarm.database.pool).await;
    }
}

/// Begins a run of a plan with one package, for a target of its own.
async fn begun(swarm: &Swarm, drone: &DroneMachine, target: &str, plan: &str) -> (RunId, PackageId) {
    let new = NewTarget { name: target.parse().unwrap(), world: vec![], provided: machines::libc() };
    swarm.admin.create_target(&new).await.unwrap();
    let run = NewRun { epoch: Some(drone.epoch()), plan: Some(serde_json::from_str(plan).unwrap()) };
    let run = swarm.admin.start_run(&new.name, &run).await.unwrap().id;
    (run, swarm.admin.packages(run).await.unwrap()[0].id)
}

async fn reaches(swarm: &Swarm, package: PackageId, phase: AttemptPhase) {
    wait::until(120, &format!("an attempt to be {phase}"), async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        (attempts.last()?.phase == phase).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_package_is_here_when_its_turn_comes() {
    let ahead = Ahead::start().await;
    ahead.open();
    ahead.ends().await;
    let (slow, tree) =
        (ahead.attempts(ahead.slow.1).await.remove(0), ahead.attempts(ahead.tree.1).await.remove(0));
    assert!(tree.claimed_at < slow.ended_at.unwrap() && tree.started_at > slow.started_at);
    assert_eq!(ahead.log(0).await.matches("from upstream").count(), 1, "once, before it began");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_begun_goes_back_at_once_when_the_drone_is_to_stop() {
    let mut ahead = Ahead::start().await;
    let _ = ahead.drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    wait::until(30, "the next one to go back", async || {
        (ahead.attempts(ahead.tree.1).await[0].outcome == Some(Outcome::HandedBack)).then_some(())
    })
    .await;
    let slow = ahead.attempts(ahead.slow.1).await.remove(0);
    assert_eq!(slow.phase, AttemptPhase::Building, "what it builds, it finishes");
    ahead.open();
    assert!(ahead.drone.daemon.as_mut().unwrap().ended(120).await.success());
    assert_eq!(ahead.attempts(ahead.slow.1).await[0].outcome, Some(Outcome::Received));
    checker::check(&ahead.swarm.admin, &ahead.swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grounded_drone_keeps_what_it_builds_alone() {
    keeps_what_it_builds_alone("drone ground ant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_drone_keeps_what_it_builds_alone() {
    keeps_what_it_builds_alone("drone drain ant").await;
}

async fn keeps_what_it_builds_alone(order: &str) {
    let ahead = Ahead::start().await;
    cli::ok(&ahead.swarm, order).await;
    wait::until(30, "the files of the next one to go", async || {
        let files = ahead.drone.machine.ok(&["ls", "/var/lib/build-drone/attempts"]);
        (files.split_whitespace().count() == 1).then_some(())
    })
    .await;
    cli::ok(&ahead.swarm, "drone resume ant").await;
    ahead.open();
    ahead.ends().await;
    assert_eq!(ahead.attempts(ahead.slow.1).await.len(), 1);
    assert!(ahead.log(1).await.contains("tree_2.1.0.orig.tar.gz from the cache"), "it was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_begun_is_an_idle_drones_to_take() {
    let ahead = Ahead::start().await;
    let _idle = DroneMachine::start(&ahead.swarm, "bee", &ahead.gate).await;
    wait::until(60, "the idle drone to take the next one", async || {
        (ahead.attempts(ahead.tree.1).await.get(1)?.outcome == Some(Outcome::Received)).then_some(())
    })
    .await;
    let [stolen, built] = ahead.attempts(ahead.tree.1).await.try_into().unwrap();
    assert_eq!((stolen.outcome, built.drone.as_str()), (Some(Outcome::Stolen), "bee"));
    // The archive is the swarm's by now.
    assert!(ahead.log(1).await.contains("tree_2.1.0.orig.tar.gz from the binhost"));
    ahead.open();
    ahead.ends().await;
}
