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
        let mut rows: Vec<_> = one
            .findings
            .iter()
            .map(|finding| row(&finding.severity.to_string(), finding.what, &finding.says))
            .collect();
        rows.extend(one.trouble.as_ref().map(|trouble| row("FAILED", trouble.code, &trouble.says)));
        if !one.builds.is_empty() {
            rows.push(row("note", "work", &format!("it builds {}", one.builds.join(", "))));
        }
        if rows.is_empty() {
            rows.push(row("ok", "", ""));
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
