//! `swarm fleet deploy`.

use super::{Which, confirm, exit, ssh};
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::say;
use crate::table::{left, moment, prose, table};
use crate::workstation;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use swarm_fleet::deploy::{Deploy, Manner, Outcome, Progress, dry_run};
use swarm_fleet::survey::{self, Surveyed};
use swarm_fleet::swarm::Swarm;
use swarm_fleet::topology::Topology;
use swarm_fleet::trouble::Trouble;
use tokio::sync::mpsc;

pub(super) const EXAMPLES: &str = "Examples:
  swarm fleet deploy --dry-run             # what would be done, as a diff
  swarm fleet deploy --canary --parallel 4 # the lightest machine first and alone, then four at once
  swarm fleet deploy izar naos             # these only";

/// What is deployed, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The directory of the programs, instead of the topology's.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Machines at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// The lightest machine goes first, and alone; the others only where it came up.
    #[arg(long)]
    canary: bool,
    /// Say what would be done, as a diff, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reset: Reset,
    /// How long a drone may take to finish what it builds, in seconds; where that is over, nothing is changed there.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    drain_seconds: u32,
    /// How long a daemon may take to come up before it is taken back, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    verify_seconds: u32,
}

/// A last resort.
#[derive(clap::Args, Debug)]
struct Reset {
    /// Reset drones: what they build is killed, what they keep is thrown away, and they start anew. Shows what would be
    /// destroyed, and asks. The queue is not touched: what was being built is built again.
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Reset without asking.
    #[arg(long, requires = "force")]
    yes: bool,
}

/// What came of it on one machine.
#[derive(Serialize)]
struct Deployed {
    node: String,
    #[serde(flatten)]
    outcome: Shown,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Outcome(Outcome),
    Planned { result: &'static str, changes: Vec<String> },
}

pub(super) async fn deploy(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let (mut topology, nodes) = arguments.which.load()?;
    if let Some(programs) = &arguments.programs {
        topology.programs.clone_from(programs);
    }
    let swarm = Swarm::new(context.client.clone());
    let (clock, drones) = swarm.look().await.map_err(super::unavailable)?;
    let ssh = ssh(&topology)?;
    let surveyed = survey::survey(&ssh, &topology, &nodes, clock).await;
    if arguments.reset.force && !arguments.reset.yes {
        confirm::confirm(&surveyed, &drones).await?;
    }
    let deployed = if arguments.dry_run {
        planned(&surveyed).await
    } else {
        done(context, arguments, &topology, &swarm, &surveyed).await?
    };
    survey::close(surveyed).await;
    context.output.show(&deployed, |deployed| shown(deployed))?;
    let bad = deployed.iter().filter(|one| !one.is_good()).count();
    Ok(exit(deployed.len(), bad))
}

async fn planned(surveyed: &[Surveyed]) -> Vec<Deployed> {
    let mut planned = Vec::new();
    for one in surveyed {
        let outcome = match one.found.as_ref().map(|found| (found, found.refusal())) {
            Err(trouble) => Shown::Outcome(Outcome::Failed(trouble.clone())),
            Ok((_, Some(trouble))) => Shown::Outcome(Outcome::Failed(trouble)),
            Ok((found, None)) if found.plan.is_empty() => Shown::Outcome(Outcome::Unchanged),
            Ok((found, None)) => match dry_run(found).await {
                Ok(changes) => Shown::Planned { result: "planned", changes },
                Err(trouble) => Shown::Outcome(Outcome::Failed(trouble)),
            },
        };
        planned.push(Deployed { node: one.node.name.to_string(), outcome });
    }
    planned
}

async fn done(
    context: &Context,
    arguments: &Arguments,
    topology: &Topology,
    swarm: &Swarm,
    surveyed: &[Surveyed],
) -> Result<Vec<Deployed>, Failure> {
    let (progress, mut told) = mpsc::unbounded_channel::<Progress>();
    let tell = tokio::spawn(async move {
        while let Some(Progress { node, doing }) = told.recv().await {
            say(&format!("{node}: {doing}"));
        }
    });
    let manner = Manner {
        parallel: arguments.parallel.into(),
        canary: arguments.canary,
        drain: Duration::from_secs(arguments.drain_seconds.into()),
        verify: Duration::from_secs(arguments.verify_seconds.into()),
        force: arguments.reset.force,
        holder: holder(context).await?,
    };
    let deploy = Deploy::new(topology, swarm, manner, progress);
    let outcomes = tokio::select! {
        outcomes = deploy.run(surveyed) => outcomes,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            deploy.abandon().await;
            return Err(Failure::internal(
                "broken off; machines at work finish their step by themselves, and the next deploy goes on from there",
            ));
        }
    };
    drop(deploy);
    // All that was told before the end is shown before the table.
    let _ = tell.await;
    let nodes = surveyed.iter().map(|one| &one.node.name);
    let outcome = |name| outcomes.get(name).cloned().unwrap_or_else(missing);
    Ok(nodes
        .map(|name| Deployed { node: name.to_string(), outcome: Shown::Outcome(outcome(name)) })
        .collect())
}

fn missing() -> Outcome {
    Outcome::Failed(Trouble::new("internal", "nothing is known of it"))
}

/// Who deploys, for those who try meanwhile.
async fn holder(context: &Context) -> Result<String, Failure> {
    let now = context.ask(context.client.status(None)).await?.now;
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host =
        workstation::host_name().map_or_else(|_| "a host without a name".to_owned(), |name| name.to_string());
    Ok(format!("{user} on {host} since {} UTC", moment(now)))
}

impl Deployed {
    fn is_good(&self) -> bool {
        match &self.outcome {
            Shown::Outcome(outcome) => outcome.is_good(),
            Shown::Planned { .. } => true,
        }
    }
}

fn shown(deployed: &[Deployed]) -> String {
    let rows = deployed.iter().map(|one| {
        let (result, says) = match &one.outcome {
            Shown::Planned { changes, .. } => ("planned", changes.join("\n")),
            Shown::Outcome(outcome) => match outcome {
                Outcome::Unchanged => ("unchanged", String::new()),
                Outcome::Done { changes } => ("done", changes.join("\n")),
                Outcome::RolledBack(trouble) => ("TAKEN BACK", trouble.to_string()),
                Outcome::Failed(trouble) => ("FAILED", trouble.to_string()),
                Outcome::Skipped { says } => ("skipped", says.clone()),
            },
        };
        [one.node.clone(), result.to_owned(), says]
    });
    table([left("node"), left("result"), prose("what")], "The topology has no node.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_deploy() {
        let change =
            || vec!["~ /usr/bin/build-drone 911169ddaaf1 -> b72cf6d79181, 17327672 bytes".to_owned()];
        let trouble = |says: &str| Trouble::new("not_up", says);
        let outcomes = [
            Shown::Outcome(Outcome::Unchanged),
            Shown::Outcome(Outcome::Done { changes: change() }),
            Shown::Outcome(Outcome::RolledBack(trouble(
                "it did not come up within 60 s; what ran before runs again",
            ))),
            Shown::Outcome(Outcome::Failed(trouble(
                "another deploy is at work there: root on queen, process 7 there",
            ))),
            Shown::Outcome(Outcome::Skipped { says: "the same was taken back on naos".to_owned() }),
            Shown::Planned { result: "planned", changes: change() },
        ];
        let named = outcomes.into_iter().enumerate();
        let deployed: Vec<_> =
            named.map(|(n, outcome)| Deployed { node: format!("node{n}"), outcome }).collect();
        assert_eq!(deployed.iter().filter(|one| one.is_good()).count(), 3);
        insta::assert_snapshot!(shown(&deployed));
        insta::assert_snapshot!(serde_json::to_string_pretty(&deployed[2..4]).unwrap());
    }
}
