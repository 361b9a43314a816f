//! A toolchain that moves (PORTAGE.md 7): with real Portage from the push to the workstation, step by step with scripted
//! drones, and with packages that cannot be had.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

mod absent;
mod moves;
mod steps;

use swarm_protocol::admin::{NewRun, Run};
use swarm_protocol::id::RunId;
use swarm_protocol::state::RunState;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::wait;

async fn start(swarm: &Swarm) -> RunId {
    swarm.admin.start_run(&target(), &NewRun { epoch: None, plan: None }).await.unwrap().id
}

async fn promoted(swarm: &Swarm, run: RunId) -> Run {
    let over = wait::until(300, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    over
}

/// The newest definition's number, and its toolchain.
async fn newest(swarm: &Swarm) -> (i32, Vec<String>) {
    let newest = swarm.admin.definitions(&target()).await.unwrap().remove(0).definition;
    (newest.number, newest.toolchain.iter().map(|package| package.cpv.to_string()).collect())
}

async fn newest_run(swarm: &Swarm) -> Run {
    swarm.admin.runs(Some(&target()), false).await.unwrap().remove(0)
}
