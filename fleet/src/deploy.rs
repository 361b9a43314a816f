//! Bringing machines to what they shall be, one after the other or several at once.
//!
//! On each: a lock; what differs is sent, and staged beside its place; the staged program says that it runs there and that
//! the staged configuration is right; a drone that has no token joins; a drone that builds is drained; then, in one script
//! there, the service stops, the staged files are renamed into place, the service starts. The machine says that it runs, and
//! of a drone the swarm itself has to see a new session. Whatever does not come up is taken back: the previous files are still
//! there.
//!
//! A machine that cannot be deployed to holds up nobody. A version that had to be taken back is deployed to no further one.

mod machine;
mod stage;
mod switch;

use crate::plan::Plan;
use crate::survey::{Found, Surveyed};
use crate::swarm::Swarm;
use crate::topology::{Node, NodeName, Topology};
use crate::trouble::Trouble;
use futures::stream::{self, StreamExt};
use machine::Machine;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How a deploy goes about it.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Machines at once.
    pub parallel: usize,
    /// One machine goes first, and alone; the others only where it came up.
    pub canary: bool,
    /// How long a drone may take to finish what it builds.
    pub drain: Duration,
    /// How long a daemon may take to come up.
    pub verify: Duration,
    /// Drones are reset: see [`crate::force`].
    pub force: bool,
    /// Who deploys: others who try meanwhile are told.
    pub holder: String,
}

/// How it ended on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing to do.
    Unchanged,
    /// It is done.
    Done {
        /// What was done.
        changes: Vec<String>,
    },
    /// What did not come up was taken back.
    RolledBack(Trouble),
    /// It was not done.
    Failed(Trouble),
    /// It was not tried.
    Skipped {
        /// Why.
        says: String,
    },
}

impl Outcome {
    /// Whether the machine is as it shall be.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Done { .. })
    }
}

/// Something that is being done on a machine.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where.
    pub node: NodeName,
    /// What, as in "waits until it has built dev-lang/rust-1.90".
    pub doing: String,
}

/// A deploy.
pub struct Deploy<'a> {
    topology: &'a Topology,
    swarm: &'a Swarm,
    manner: Manner,
    progress: UnboundedSender<Progress>,
    /// Drones that are draining for us.
    drained: Mutex<BTreeSet<String>>,
    /// Where something was taken back.
    rolled_back: Mutex<Option<NodeName>>,
}

impl<'a> Deploy<'a> {
    /// A deploy that tells `progress` what it does.
    #[must_use]
    pub fn new(
        topology: &'a Topology,
        swarm: &'a Swarm,
        manner: Manner,
        progress: UnboundedSender<Progress>,
    ) -> Self {
        Self { topology, swarm, manner, progress, drained: Mutex::default(), rolled_back: Mutex::default() }
    }

    /// Deploys to all that were surveyed, from light to heavy; the answer is in their order.
    pub async fn run(&self, surveyed: &[Surveyed]) -> BTreeMap<NodeName, Outcome> {
        let mut order: Vec<_> = surveyed.iter().collect();
        order.sort_by_key(|one| one.node.weight);
        let mut outcomes = BTreeMap::new();
        let changed = |one: &&&Surveyed| one.found.as_ref().is_ok_and(|found| self.has_to(&found.plan));
        if self.manner.canary
            && let Some(first) = order.iter().find(changed).copied()
        {
            let outcome = self.one(first).await;
            let good = outcome.is_good();
            outcomes.insert(first.node.name.clone(), outcome);
            order.retain(|one| one.node.name != first.node.name);
            if !good {
                let says = format!("{} went first, and did not come up", first.node.name);
                let skipped =
                    |one: &Surveyed| (one.node.name.clone(), Outcome::Skipped { says: says.clone() });
                outcomes.extend(order.into_iter().map(skipped));
                return outcomes;
            }
        }
        let deploys = stream::iter(order).map(|one| async { (one.node.name.clone(), self.one(one).await) });
        outcomes.extend(deploys.buffer_unordered(self.manner.parallel).collect::<Vec<_>>().await);
        outcomes
    }

    /// Whether something is to be done.
    fn has_to(&self, plan: &Plan) -> bool {
        self.manner.force || !plan.is_empty()
    }

    async fn one(&self, one: &Surveyed) -> Outcome {
        let found = match &one.found {
            Ok(found) => found,
            Err(trouble) => return Outcome::Failed(trouble.clone()),
        };
        if let Some(trouble) = found.refusal() {
            return Outcome::Failed(trouble);
        }
        if !self.has_to(&found.plan) {
            return Outcome::Unchanged;
        }
        if let Some(node) = self.rolled_back.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Outcome::Skipped { says: format!("the same was taken back on {node}") };
        }
        let outcome = Machine::new(self, &one.node, found).bring().await;
        if matches!(outcome, Outcome::RolledBack(_)) {
            *self.rolled_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(one.node.name.clone());
        }
        outcome
    }

    /// Gives work again to the drones that are draining for us: what is left to do when a deploy is broken off.
    pub async fn abandon(&self) {
        let drained = std::mem::take(&mut *self.drained.lock().unwrap_or_else(PoisonError::into_inner));
        for name in drained {
            // Whoever broke it off has been told; the drone's state shows in `swarm drones`.
            let _ = self.swarm.resume(&name).await;
        }
    }

    fn tell(&self, node: &Node, doing: impl Into<String>) {
        // Nobody has to listen.
        let _ = self.progress.send(Progress { node: node.name.clone(), doing: doing.into() });
    }

    fn draining(&self, name: &str, is: bool) {
        let mut drained = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        if is {
            drained.insert(name.to_owned())
        } else {
            drained.remove(name)
        };
    }
}

/// What a deploy would do on a machine: the plan as a diff.
pub async fn dry_run(found: &Found) -> Result<Vec<String>, Trouble> {
    let former = stage::texts(&found.connection, &found.plan).await?;
    Ok(found.plan.diff(&former))
}

/// In a line what was done.
fn changes(plan: &Plan) -> Vec<String> {
    plan.diff(&BTreeMap::new())
}
