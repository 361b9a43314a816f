//! One machine, from its lock to the swarm's word that it is back.

use super::stage::{check, enrol, push};
use super::switch::{Verb, reason, switch};
use super::{Deploy, Outcome, changes};
use crate::desired::DesiredPart;
use crate::facts::Facts;
use crate::force;
use crate::lock::Lock;
use crate::plan::{PartPlan, Start, forced, plan};
use crate::survey::Found;
use crate::topology::{Node, Role};
use crate::trouble::Trouble;
use chrono::{DateTime, Utc};
use std::time::Duration;
use swarm_protocol::state::DroneState;
use tokio::time::{Instant, sleep};

/// Between two looks at a machine.
const LOOK: Duration = Duration::from_millis(300);

pub(super) struct Machine<'a> {
    deploy: &'a Deploy<'a>,
    node: &'a Node,
    found: &'a Found,
}

/// Why a part is not as it shall be, and whether what was there before is there again.
enum Undone {
    Untouched(Trouble),
    TakenBack(Trouble),
}

impl<'a> Machine<'a> {
    pub(super) const fn new(deploy: &'a Deploy<'a>, node: &'a Node, found: &'a Found) -> Self {
        Self { deploy, node, found }
    }

    pub(super) async fn bring(&self) -> Outcome {
        let taken = Lock::take(&self.found.connection, &self.deploy.manner.holder).await;
        let _lock = match taken {
            Ok(lock) => lock,
            Err(error) => return Outcome::Failed(Trouble::new(error.code(), error.to_string())),
        };
        // Whoever had the lock before may have done some of it.
        let facts = match self.facts().await {
            Ok(facts) => facts,
            Err(trouble) => return Outcome::Failed(trouble),
        };
        let plan = if self.deploy.manner.force { forced } else { plan }(&facts, &self.found.desired);
        for part in &plan.parts {
            match self.part(part).await {
                Ok(()) => {}
                Err(Undone::Untouched(trouble)) => return Outcome::Failed(trouble),
                Err(Undone::TakenBack(trouble)) => return Outcome::RolledBack(trouble),
            }
        }
        if plan.is_empty() { Outcome::Unchanged } else { Outcome::Done { changes: changes(&plan) } }
    }

    async fn facts(&self) -> Result<Facts, Trouble> {
        let Found { connection, desired, .. } = self.found;
        Ok(Facts::gather(connection, self.deploy.topology, desired).await?)
    }

    async fn part(&self, plan: &PartPlan) -> Result<(), Undone> {
        if let Err(trouble) = self.prepare(plan).await {
            // What is left of it is in nobody's way, and the next deploy writes over it.
            let _ = switch(&self.found.connection, plan, Verb::Discard).await;
            return Err(Undone::Untouched(trouble));
        }
        if plan.start.is_none() {
            return switch(&self.found.connection, plan, Verb::Settle).await.map_err(Undone::Untouched);
        }
        let drained = match self.drain(plan).await {
            Ok(drained) => drained,
            Err(trouble) => {
                let _ = switch(&self.found.connection, plan, Verb::Discard).await;
                return Err(Undone::Untouched(trouble));
            }
        };
        let result = self.restart(plan).await;
        if !drained {
            return result;
        }
        // Whatever became of it: a drone that nobody drained but us gets work again.
        let name = self.node.name.as_str();
        let resumed = self.deploy.swarm.resume(name).await;
        self.deploy.draining(name, false);
        result.and(resumed.map_err(Undone::Untouched))
    }

    /// All that does not touch what runs.
    async fn prepare(&self, plan: &PartPlan) -> Result<(), Trouble> {
        let connection = &self.found.connection;
        for write in &plan.writes {
            self.deploy.tell(self.node, format!("sends {}", write.file.path));
            push(connection, &write.file).await?;
        }
        if !plan.writes.is_empty() {
            let version = check(connection, plan).await?;
            self.deploy.tell(self.node, format!("has {version}"));
        }
        if plan.enrol.is_some() {
            self.deploy.tell(self.node, "joins");
            let token = self.deploy.swarm.join_token(self.node.trusted).await?;
            enrol(connection, plan, &token).await?;
        }
        if plan.part.role == Role::Drone
            && let Some(desired) = self.desired(plan)
        {
            // Before it is there: what is taken back shows in `swarm drones` as what it is, another one than wanted.
            self.deploy.swarm.expect(self.node.name.as_str(), &desired.deployed()).await?;
        }
        Ok(())
    }

    /// Waits until nothing is built there. `true` where the drone is draining for us.
    async fn drain(&self, plan: &PartPlan) -> Result<bool, Trouble> {
        let (swarm, name) = (self.deploy.swarm, self.node.name.as_str());
        if plan.part.role != Role::Drone || plan.start == Some(Start::Reset) {
            return Ok(false);
        }
        let Some(drone) = swarm.drone(name).await?.filter(|drone| drone.session_since.is_some()) else {
            return Ok(false);
        };
        // Where a person has done so before, it stays so afterwards.
        let ours = drone.state != DroneState::Draining;
        if ours {
            // Before it is ordered: who breaks the deploy off in between finds it in the list.
            self.deploy.draining(name, true);
            swarm.drain(name).await?;
        }
        self.deploy.tell(self.node, "drains");
        match swarm.idle(name, self.deploy.manner.drain).await {
            Ok(()) => Ok(ours),
            Err(trouble) => {
                if ours {
                    // The next look at the drones shows it, if this is refused.
                    let _ = swarm.resume(name).await;
                    self.deploy.draining(name, false);
                }
                Err(trouble)
            }
        }
    }

    async fn restart(&self, plan: &PartPlan) -> Result<(), Undone> {
        let connection = &self.found.connection;
        let since = match plan.part.role {
            Role::Drone => Some(self.deploy.swarm.now().await.map_err(Undone::Untouched)?),
            // The orchestrator may be the very one that does not run.
            _ => None,
        };
        if plan.start == Some(Start::Reset) {
            self.deploy.tell(self.node, "is reset");
            force::reset(connection, self.state_dir(plan)).await.map_err(Undone::Untouched)?;
        }
        self.deploy.tell(self.node, format!("restarts {}", plan.part.name));
        let switched = switch(connection, plan, Verb::Switch).await;
        let came_up = match switched {
            Ok(()) => self.comes_up(plan, since).await,
            Err(trouble) => Err(trouble),
        };
        match came_up {
            Ok(()) => switch(connection, plan, Verb::Settle).await.map_err(Undone::Untouched),
            Err(trouble) => Err(self.take_back(plan, trouble).await),
        }
    }

    /// The machine says that the daemon runs; of a drone, the swarm says that it has begun a session.
    async fn comes_up(&self, plan: &PartPlan, since: Option<DateTime<Utc>>) -> Result<(), Trouble> {
        let verify = self.deploy.manner.verify;
        let late = || Trouble::new("not_up", format!("it did not come up within {} s", verify.as_secs()));
        if let Some(since) = since
            && !self.deploy.swarm.joined(self.node.name.as_str(), since, verify).await
        {
            return Err(late());
        }
        let end = Instant::now() + verify;
        while !is_up(&self.facts().await?, plan, &self.found.desired.parts) {
            if Instant::now() > end {
                return Err(late());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn desired(&self, plan: &PartPlan) -> Option<&DesiredPart> {
        self.found.desired.parts.iter().find(|part| part.part == plan.part)
    }

    fn state_dir(&self, plan: &PartPlan) -> &str {
        self.desired(plan).map_or(plan.part.state_dir, |part| &part.settings.state_dir)
    }

    async fn take_back(&self, plan: &PartPlan, trouble: Trouble) -> Undone {
        let connection = &self.found.connection;
        self.deploy.tell(self.node, format!("takes it back: {trouble}"));
        let why = reason(connection, plan).await;
        let says = why.map_or_else(|| trouble.says.clone(), |why| format!("{}: {why}", trouble.says));
        let is_new =
            plan.writes.iter().any(|write| write.file.path == plan.part.program && write.former.is_none());
        let before = match switch(connection, plan, Verb::Rollback).await {
            Err(error) if error.is_of_the_way() => {
                let says =
                    format!("{error}; what runs there now, the next deploy sees, and goes on from there");
                return Undone::Untouched(Trouble::new(error.code, says));
            }
            _ if is_new => "it was the first one there, and is gone".to_owned(),
            Ok(()) => "what ran before runs again".to_owned(),
            Err(error) => format!("and what ran before does not start: {error}"),
        };
        Undone::TakenBack(Trouble::new(trouble.code, format!("{says}; {before}")))
    }
}

fn is_up(facts: &Facts, plan: &PartPlan, desired: &[DesiredPart]) -> bool {
    let name = plan.part.name;
    let runs = facts.processes.iter().any(|process| process.name == name && process.is_installed);
    let settings = desired.iter().find(|part| part.part == plan.part).map(|part| &part.settings);
    let port = settings.and_then(|settings| settings.port);
    runs && facts.service(name).started && port.is_none_or(|port| facts.listens.contains(&port))
}
