//! `swarm fleet check` and `swarm fleet status`.

use super::{Which, exit, ssh};
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, prose, table};
use serde::Serialize;
use swarm_fleet::preflight::{Finding, Severity};
use swarm_fleet::status::{self, Status};
use swarm_fleet::survey::{self, Surveyed};
use swarm_fleet::swarm::Swarm;
use swarm_fleet::trouble::Trouble;
use swarm_protocol::admin::Drone;

/// What was found of a machine.
#[derive(Serialize)]
struct Checked {
    node: String,
    is_fit: bool,
    /// What it is, in a line.
    machine: Option<String>,
    findings: Vec<Finding>,
    /// What it builds right now.
    builds: Vec<String>,
    trouble: Option<Trouble>,
}

pub(super) async fn check(context: &Context, which: &Which) -> Result<Exit, Failure> {
    let (surveyed, drones) = surveyed(context, which).await?;
    let checked: Vec<_> = surveyed.iter().map(|one| Checked::of(one, &drones)).collect();
    survey::close(surveyed).await;
    context.output.show(&checked, |checked| fitness(checked))?;
    Ok(exit(checked.len(), checked.iter().filter(|one| !one.is_fit).count()))
}

pub(super) async fn status(context: &Context, which: &Which) -> Result<Exit, Failure> {
    let (surveyed, drones) = surveyed(context, which).await?;
    let statuses: Vec<_> = surveyed.iter().map(|one| status::status(one, &drones)).collect();
    survey::close(surveyed).await;
    context.output.show(&statuses, |statuses| drift(statuses))?;
    Ok(exit(statuses.len(), statuses.iter().filter(|one| !one.is_good).count()))
}

async fn surveyed(context: &Context, which: &Which) -> Result<(Vec<Surveyed>, Vec<Drone>), Failure> {
    let (topology, nodes) = which.load()?;
    let (clock, drones) = Swarm::new(context.client.clone()).look().await.map_err(super::unavailable)?;
    Ok((survey::survey(&ssh(&topology)?, &topology, &nodes, clock).await, drones))
}

impl Checked {
    fn of(one: &Surveyed, drones: &[Drone]) -> Self {
        let node = one.node.name.to_string();
        let drone = drones.iter().find(|drone| drone.name == node);
        let findings = one.found.as_ref().map(|found| found.findings.clone()).unwrap_or_default();
        Self {
            is_fit: one.found.is_ok() && findings.iter().all(|finding| finding.severity != Severity::Refused),
            findings,
            machine: one.found.as_ref().ok().map(|found| found.facts.summary()),
            builds: drone.iter().flat_map(|drone| &drone.work).map(|work| work.cpv.to_string()).collect(),
            trouble: one.found.as_ref().err().cloned(),
            node,
        }
    }
}

fn fitness(checked: &[Checked]) -> String {
    let rows = checked.iter().flat_map(|one| {
        let row = |severity: &str, what: &str, says: &str| {
            [one.node.clone(), severity.to_owned(), what.to_owned(), says.to_owned()]
        };
        let mut rows = Vec::new();
        rows.extend(one.machine.as_ref().map(|machine| row("note", "machine", machine)));
        let findings = one.findings.iter();
        rows.extend(findings.map(|finding| row(&finding.severity.to_string(), finding.what, &finding.says)));
        rows.extend(one.trouble.as_ref().map(|trouble| row("FAILED", trouble.code, &trouble.says)));
        if !one.builds.is_empty() {
            rows.push(row("note", "work", &format!("it builds {}", one.builds.join(", "))));
        }
        rows
    });
    table([left("node"), left("fit"), left("what"), prose("found")], "The topology has no node.", rows)
}

fn drift(statuses: &[Status]) -> String {
    let rows = statuses.iter().map(|one| {
        let state = match (&one.trouble, one.is_good) {
            (Some(_), _) => "unknown",
            (None, true) => "good",
            (None, false) => "differs",
        };
        let drone = one.drone.map_or_else(|| "-".to_owned(), |state| state.to_string());
        let says = one.trouble.iter().map(ToString::to_string).chain(one.drift.iter().cloned());
        [one.node.clone(), state.to_owned(), drone, says.collect::<Vec<_>>().join("\n")]
    });
    table([left("node"), left("state"), left("drone"), prose("drift")], "The topology has no node.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::state::DroneState;

    #[test]
    fn machines_with_what_was_found() {
        let checked = |node: &str| Checked {
            node: node.to_owned(),
            is_fit: true,
            machine: Some(
                "Linux 6.12.1 x86_64, 8 cores, 31 GiB, Portage 3.0.83, openrc, cgroup v2".to_owned(),
            ),
            findings: vec![],
            builds: vec![],
            trouble: None,
        };
        let says = "its processors cannot run -march=x86-64-v4: no avx512f".to_owned();
        let finding = Finding { what: "processor", severity: Severity::Refused, says };
        let trouble =
            Trouble::new("unreachable", "cannot be reached: connect to host queen port 22: No route to host");
        insta::assert_snapshot!(fitness(&[
            Checked { builds: vec!["dev-lang/rust-1.90.0".to_owned()], ..checked("izar") },
            Checked { findings: vec![finding], is_fit: false, ..checked("naos") },
            Checked { machine: None, is_fit: false, trouble: Some(trouble), ..checked("queen") },
        ]));
    }

    #[test]
    fn machines_that_differ() {
        let good = Status {
            node: "izar".to_owned(),
            is_good: true,
            drone: Some(DroneState::Online),
            drift: vec![],
            trouble: None,
        };
        let lines = [
            "~ /etc/build-swarm/drone.toml 911169ddaaf1 -> b72cf6d79181, 4 bytes",
            "~ build-drone: start: it does not run",
        ];
        let drift_of = Status {
            node: "naos".to_owned(),
            is_good: false,
            drift: lines.map(str::to_owned).into(),
            ..good.clone()
        };
        let trouble =
            Some(Trouble::new("denied", "it takes none of our keys, and nobody is asked for a password"));
        let unknown =
            Status { node: "queen".to_owned(), is_good: false, drone: None, trouble, ..good.clone() };
        insta::assert_snapshot!(drift(&[good, drift_of, unknown]));
    }
}
