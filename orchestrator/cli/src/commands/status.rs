//! `swarm status`: what an owner wants at a glance.

use super::drone::{doing, drifts};
use super::run::{attempts, packages, resolving};
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{age, count, indented};
use chrono::{DateTime, Utc};
use clap::Args;
use swarm_protocol::admin::{Drone, Obstacle, RunStatus, Status, TargetStatus};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::state::DroneState;

/// Which part of the swarm.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only this target.
    target: Option<TargetName>,
}

/// Shows it.
pub(crate) async fn show(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let call = context.client.status(arguments.target.as_ref());
    let status = match &arguments.target {
        Some(target) => names::of_target(context, target, call).await?,
        None => context.ask(call).await?,
    };
    context.output.show(&status, summary)?;
    Ok(Exit::Ok)
}

fn summary(status: &Status) -> String {
    let mut blocks = Vec::new();
    if !status.degraded.is_empty() {
        blocks.push(format!("DEGRADED{}", indented(&status.degraded, 2)));
    }
    if status.targets.is_empty() {
        blocks.push("There is no target yet; `swarm target push NAME` makes one.".to_owned());
    }
    for target in &status.targets {
        let runs = status.runs.iter().filter(|status| status.run.target == target.name);
        let runs: Vec<_> = runs.map(|run| format!("\n{}", of_run(run, status.now))).collect();
        let runs =
            if runs.is_empty() { format!("\n  no open run{}", first_steps(target)) } else { runs.concat() };
        blocks.push(format!("{}{runs}", of_target(target, status.now)));
    }
    blocks.push(of_drones(&status.drones, status.now));
    blocks.join("\n\n")
}

fn of_target(target: &TargetStatus, now: DateTime<Utc>) -> String {
    let current = match (target.current, target.promoted_at) {
        (Some(number), Some(at)) => format!("generation {number} is current since {}", age(now, at)),
        _ => "no generation yet".to_owned(),
    };
    format!("{}: {current}; world set of {}", target.name, target.world)
}

/// What to do for a target that has nothing yet.
fn first_steps(target: &TargetStatus) -> String {
    let name = &target.name;
    match target {
        TargetStatus { current: Some(_), .. } => String::new(),
        TargetStatus { world: 0, .. } => {
            format!("; `swarm target push {name}` on a workstation says what it has")
        }
        _ => format!("; `swarm run start {name}` begins one"),
    }
}

fn of_run(status: &RunStatus, now: DateTime<Utc>) -> String {
    let RunStatus { run, quarantined } = status;
    let mut lines = vec![format!("  run {}: {}, began {} ago", run.id, run.state, age(now, run.created_at))];
    lines.extend(run.reason.as_ref().map(|reason| format!("    why       {reason}")));
    if let Some(resolving) = resolving(run) {
        lines.push(format!("    resolver  {resolving}"));
    } else {
        lines.push(format!("    packages  {}", packages(&run.counts)));
        lines.push(format!("    attempts  {}", attempts(&run.counts)));
    }
    lines.extend(quarantined.iter().map(obstacle));
    lines.join("\n")
}

fn obstacle(obstacle: &Obstacle) -> String {
    let Obstacle { package, cpv, reason, blocks } = obstacle;
    let behind = if *blocks > 0 { format!(", {blocks} blocked behind it") } else { String::new() };
    format!(
        "    quarantined {cpv} ({package}){behind}: {}",
        reason.as_deref().unwrap_or("no reason is known")
    )
}

fn of_drones(drones: &[Drone], now: DateTime<Utc>) -> String {
    if drones.is_empty() {
        return "There is no drone yet; `swarm join-token` lets one in.".to_owned();
    }
    let by_state = DroneState::ALL.iter().filter_map(|&state| {
        let number = drones.iter().filter(|drone| drone.state == state).count();
        (number > 0).then(|| format!("{number} {state}"))
    });
    let total = count(i64::try_from(drones.len()).unwrap_or(i64::MAX), "drone");
    let head = format!("{total}: {}", by_state.collect::<Vec<_>>().join(", "));
    let width = drones.iter().map(|drone| drone.name.len()).max().unwrap_or_default();
    let lines = drones.iter().map(|drone| {
        let state = drone.state.to_string();
        let drift = drifts(drone).map(|drift| format!("\n    ATTENTION: {drift}")).unwrap_or_default();
        format!("\n  {:width$}  {state:8}  {}{drift}", drone.name, doing(drone, now))
    });
    format!("{head}{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn at_a_glance() {
        insta::assert_snapshot!(summary(&sample::status()));
    }

    #[test]
    fn a_swarm_that_is_new() {
        let new =
            Status { targets: vec![], runs: vec![], drones: vec![], degraded: vec![], ..sample::status() };
        insta::assert_snapshot!(summary(&new));
    }
}
