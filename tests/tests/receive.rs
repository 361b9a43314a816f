//! The receive sequence under fire: `kill -9` of the orchestrator and of the binhost after each of its steps. Whatever
//! dies, the package is received exactly once, and a client of the binhost can have it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::drone::{Claim, Complete, Completion};
use swarm_protocol::id::{AttemptId, RunId};
use swarm_protocol::state::{PackageState, RunState};
use swarm_protocol::ticket::{Scope, Ticket, TicketSigner};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

struct Scene {
    swarm: Swarm,
    drone: ScriptedDrone,
    run: RunId,
    claim: Claim,
    complete: Complete,
}

impl Scene {
    /// Step 1 is done: the artifact is uploaded.
    async fn uploaded() -> Self {
        let swarm = Swarm::start().await;
        let run = swarm.run(plans::epoch(), plans::flat(1)).await;
        let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
        let claim = drone.claim(30).await.unwrap();
        drone.start(&claim).await.unwrap();
        let complete = drone.upload(&claim).await;
        Self { swarm, drone, run, claim, complete }
    }

    /// Step 2 is done too, and nothing more: the binhost was away when the completion came.
    async fn accepting() -> Self {
        let mut scene = Self::uploaded().await;
        scene.swarm.binhost.take().unwrap().kill();
        let answer = scene.drone.complete(&scene.claim, &scene.complete).await.unwrap();
        assert_eq!(answer.result, Completion::Accepting);
        scene
    }

    fn kill_orchestrator(&mut self) {
        self.swarm.orchestrator.take().unwrap().kill();
    }

    fn kill_binhost(&mut self) {
        self.swarm.binhost.take().unwrap().kill();
    }

    /// The end that every scene must have.
    async fn received_once(self) {
        let package = wait::until(30, "the package to be received", async || {
            let package = self.swarm.package(self.run, "test/p0x-1").await;
            (package.state == PackageState::Received).then_some(package)
        })
        .await;
        let answer = self.drone.complete(&self.claim, &self.complete).await.unwrap();
        assert_eq!(answer.result, Completion::Received, "the drone hears it, however often it asks");
        self.swarm.run_reaches(self.run, RunState::Promoted, 30).await;
        let artifact = package.artifact.unwrap();
        let url = format!("{}/binhost/{}/{}", self.swarm.binhost_url(), target(), artifact.path);
        let file = reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
        assert_eq!(swarm_protocol::Digest::of(&file), artifact.published);
        assert_eq!(artifact.built, self.complete.built);
        let events = checker::check(&self.swarm.admin, &self.swarm.database.pool).await;
        assert_eq!(events.iter().filter(|event| event.kind == "package.received").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestrator_dies_after_the_upload() {
    let mut scene = Scene::uploaded().await;
    scene.kill_orchestrator();
    scene.swarm.start_orchestrator().await;
    scene.drone.complete(&scene.claim, &scene.complete).await.unwrap();
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binhost_dies_after_the_upload() {
    let mut scene = Scene::uploaded().await;
    scene.kill_binhost();
    scene.swarm.start_binhost().await;
    scene.drone.complete(&scene.claim, &scene.complete).await.unwrap();
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestrator_dies_in_accepting() {
    let mut scene = Scene::accepting().await;
    scene.kill_orchestrator();
    scene.swarm.start_binhost().await;
    scene.swarm.start_orchestrator().await;
    // Nobody repeats anything: the sweep finds it.
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binhost_dies_in_accepting_and_the_drone_stays_silent() {
    let mut scene = Scene::accepting().await;
    scene.swarm.start_binhost().await;
    scene.received_once().await;
}

/// Step 3 without step 4: the binhost has staged, the orchestrator died before it wrote that down.
async fn stage_alone(scene: &Scene) {
    let secret: [u8; 32] = fs::read(scene.swarm.path().join("ticket.key")).unwrap().try_into().unwrap();
    let now = build_orchestrator::db::now(&scene.swarm.database.pool).await.unwrap().timestamp();
    let ticket = TicketSigner::new(&secret).sign(&Ticket { scope: Scope::Control, expires: now + 60 });
    let attempt: AttemptId = scene.claim.attempt;
    let accepting = build_orchestrator::db::receive::accepting(&scene.swarm.database.pool, attempt);
    let accepting = accepting.await.unwrap().expect("the attempt is in accepting");
    let binhost = BinhostClient::new(&scene.swarm.binhost_url(), ticket);
    binhost.stage(&target(), scene.run, &accepting.stage).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestrator_dies_after_the_stage() {
    let mut scene = Scene::accepting().await;
    scene.kill_orchestrator();
    scene.swarm.start_binhost().await;
    stage_alone(&scene).await;
    scene.swarm.start_orchestrator().await;
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_after_the_stage() {
    let mut scene = Scene::accepting().await;
    scene.kill_orchestrator();
    scene.swarm.start_binhost().await;
    stage_alone(&scene).await;
    scene.kill_binhost();
    scene.swarm.start_binhost().await;
    scene.swarm.start_orchestrator().await;
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_after_the_package_is_received() {
    let mut scene = Scene::uploaded().await;
    scene.drone.complete(&scene.claim, &scene.complete).await.unwrap();
    scene.kill_orchestrator();
    scene.kill_binhost();
    scene.swarm.start_binhost().await;
    scene.swarm.start_orchestrator().await;
    scene.received_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_binhost_refuses_is_a_failed_attempt() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let bytes = swarm_tests::gpkg::package_with(&claim, &[("CHOST", "aarch64-unknown-linux-gnu")]);
    let complete = drone.upload_bytes(&claim, bytes).await;
    let answer = drone.complete(&claim, &complete).await.unwrap();
    assert_eq!(answer.result, Completion::Failed);
    assert!(answer.reason.unwrap().contains("CHOST"));
    let attempts = swarm.admin.attempts(claim.package).await.unwrap();
    assert_eq!(attempts[0].class, Some(swarm_protocol::state::FailureClass::Epoch));
    assert_eq!(swarm.package(run, "test/p0x-1").await.state, PackageState::Needed, "another try");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
