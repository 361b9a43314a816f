//! All machines at once: what is on each, what shall be, and whether it is fit. Nothing is changed.

use crate::desired::{Desired, Programs};
use crate::facts::Facts;
use crate::plan::{Plan, plan};
use crate::preflight::{self, Finding, Severity};
use crate::ssh::{Connection, Ssh};
use crate::swarm::Clock;
use crate::topology::{Node, Topology};
use crate::trouble::Trouble;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

/// Connections made at once: each is a process of ours and some milliseconds of processor time.
const AT_ONCE: usize = 16;

/// What was found of one machine.
pub struct Surveyed {
    /// Which.
    pub node: Node,
    /// What was found, or why nothing was.
    pub found: Result<Found, Trouble>,
}

/// What was found on a machine that answered.
pub struct Found {
    /// The way to it, still open.
    pub connection: Connection,
    /// What is there.
    pub facts: Facts,
    /// What shall be there.
    pub desired: Desired,
    /// What has to be done.
    pub plan: Plan,
    /// What is to be said of it.
    pub findings: Vec<Finding>,
    /// Seconds that its clock is ahead of the swarm's.
    pub skew_seconds: i64,
}

impl Found {
    /// Why nothing may be deployed there.
    #[must_use]
    pub fn refusal(&self) -> Option<Trouble> {
        let refused = self.findings.iter().filter(|finding| finding.severity == Severity::Refused);
        let says: Vec<_> = refused.map(|finding| format!("{}: {}", finding.what, finding.says)).collect();
        (!says.is_empty()).then(|| Trouble::new("preflight", says.join("; ")))
    }
}

/// Looks at machines, many at once; the answer is in their order.
pub async fn survey(ssh: &Ssh, topology: &Topology, nodes: &[Node], clock: Clock) -> Vec<Surveyed> {
    let mut programs = Programs::new(topology.programs.clone());
    let wanted = nodes.iter().map(|node| (node, Desired::of(topology, node, &mut programs)));
    let wanted: Vec<_> = wanted.collect();
    let looks = stream::iter(wanted).map(|(node, desired)| async move {
        let found = match desired {
            Ok(desired) => look(ssh, topology, node, desired, clock).await,
            Err(error) => Err(error.into()),
        };
        Surveyed { node: node.clone(), found }
    });
    let mut surveyed: Vec<_> = looks.buffered(AT_ONCE).collect().await;
    mark_twins(&mut surveyed);
    surveyed
}

async fn look(
    ssh: &Ssh,
    topology: &Topology,
    node: &Node,
    desired: Desired,
    clock: Clock,
) -> Result<Found, Trouble> {
    let connection = ssh.connect(&node.route).await?;
    let asked = Instant::now();
    let facts = Facts::gather(&connection, topology, &desired).await?;
    let skew_seconds = clock.skew(facts.clock, (asked, Instant::now()));
    let plan = plan(&facts, &desired);
    let findings = preflight::findings(&facts, node, &desired, &plan, skew_seconds);
    Ok(Found { connection, facts, desired, plan, findings, skew_seconds })
}

fn mark_twins(surveyed: &mut [Surveyed]) {
    let machines =
        surveyed.iter().filter_map(|one| Some((one.node.name.as_str(), &one.found.as_ref().ok()?.facts)));
    let twins: Vec<_> =
        preflight::twins(machines).into_iter().map(|(name, finding)| (name.to_owned(), finding)).collect();
    for (name, finding) in twins {
        let one = surveyed.iter_mut().find(|one| one.node.name.as_str() == name);
        if let Some(found) = one.and_then(|one| one.found.as_mut().ok()) {
            found.findings.push(finding);
        }
    }
}

/// Ends the connections.
pub async fn close(surveyed: Vec<Surveyed>) {
    let connections = surveyed.into_iter().filter_map(|one| Some(one.found.ok()?.connection));
    stream::iter(connections).for_each_concurrent(AT_ONCE, Connection::close).await;
}
