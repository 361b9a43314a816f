//! `swarm status`: what an owner wants at a glance.

use super::run::{attempts, packages};
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::moment;
use serde::Serialize;
use swarm_protocol::admin::{Drone, Run};
use swarm_protocol::state::DroneState;

/// The open runs and all drones, each as the API has it.
#[derive(Serialize)]
struct Status {
    runs: Vec<Run>,
    drones: Vec<Drone>,
}

/// Shows it.
pub(crate) async fn show(context: &Context) -> Result<Exit, Failure> {
    let Context { client, output } = context;
    // The list of runs ends with the newest hundred; a target knows its open run however old it is.
    let targets = context.ask(client.targets()).await?;
    let mut runs = Vec::new();
    for open in targets.iter().filter_map(|target| target.open_run) {
        runs.push(context.ask(client.run(open)).await?);
    }
    runs.retain(|run| !run.state.is_over());
    let drones = context.ask(client.drones()).await?;
    output.show(&Status { runs, drones }, summary)?;
    Ok(Exit::Ok)
}

fn summary(status: &Status) -> String {
    let mut blocks: Vec<String> = status.runs.iter().map(block).collect();
    if blocks.is_empty() {
        blocks.push("There is no open run.".to_owned());
    }
    let online = status.drones.iter().filter(|drone| drone.state == DroneState::Online).count();
    blocks.push(match status.drones.len() {
        0 => "There is no drone yet; `swarm join-token` lets one in.".to_owned(),
        all => format!("drones: {online} of {all} online"),
    });
    blocks.join("\n\n")
}

fn block(run: &Run) -> String {
    let reason = run.reason.as_ref().map(|reason| format!("\n  why       {reason}")).unwrap_or_default();
    format!(
        "run {} of {}: {}, began {} UTC{reason}\n  packages  {}\n  attempts  {}",
        run.id,
        run.target,
        run.state,
        moment(run.created_at),
        packages(&run.counts),
        attempts(&run.counts)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn at_a_glance() {
        let mut fresh = sample::building();
        fresh.counts = swarm_protocol::admin::Counts::default();
        let runs = vec![sample::building(), sample::frozen(), fresh];
        insta::assert_snapshot!(summary(&Status { runs, drones: sample::drones() }));
    }

    #[test]
    fn a_swarm_that_is_new() {
        insta::assert_snapshot!(summary(&Status { runs: vec![], drones: vec![] }));
    }
}
