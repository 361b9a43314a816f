//! `swarm quarantine`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{left, prose, right, table};
use clap::{Args, Subcommand};
use serde::Serialize;
use swarm_protocol::admin::{Obstacle, RunStatus};
use swarm_protocol::id::{PackageId, RunId};

/// What can be done with quarantined packages.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List them, with why, and what is blocked behind each.
    List {
        /// Only those of this run; of all open ones where absent.
        #[arg(long)]
        run: Option<RunId>,
    },
    /// Let them be tried again; their former failures are forgiven.
    #[command(
        after_help = "Examples:\n  swarm quarantine release app-misc/jq 24\n  swarm quarantine release --all --run 7"
    )]
    Release(Release),
}

/// What is released.
#[derive(Args, Debug)]
pub(crate) struct Release {
    /// Ids, or names: category/name-version, category/name, or the name alone.
    #[arg(value_name = "PACKAGE", required_unless_present = "all", conflicts_with = "all")]
    packages: Vec<String>,
    /// All that are quarantined.
    #[arg(long)]
    all: bool,
    /// Only those of this run; of all open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
}

/// A quarantined package with its run.
#[derive(Serialize)]
struct Quarantined {
    run: RunId,
    #[serde(flatten)]
    obstacle: Obstacle,
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::List { run } => {
            let quarantined = quarantined(context, *run).await?;
            context.output.show(&quarantined, |quarantined| listed(quarantined))?;
        }
        Command::Release(what) => {
            let ids: Vec<PackageId> = if what.all {
                quarantined(context, what.run).await?.iter().map(|one| one.obstacle.package).collect()
            } else {
                names::packages(context, &what.packages, what.run).await?
            };
            let mut released = Vec::new();
            for id in ids {
                released.push(context.ask(context.client.release(id)).await?);
            }
            context.output.show(&released, |released| {
                let line = |cpv| format!("{cpv} may be tried again; its former failures are forgiven.");
                let lines: Vec<_> = released.iter().map(|package| line(&package.cpv)).collect();
                if lines.is_empty() { "Nothing is quarantined.".to_owned() } else { lines.join("\n") }
            })?;
        }
    }
    Ok(Exit::Ok)
}

async fn quarantined(context: &Context, run: Option<RunId>) -> Result<Vec<Quarantined>, Failure> {
    if let Some(run) = run {
        // A run that is not there is an error; what one that is over has left in quarantine, `swarm packages` shows.
        context.ask(context.client.run(run)).await?;
    }
    let runs = context.ask(context.client.status(None)).await?.runs;
    let of = |status: RunStatus| {
        let run = status.run.id;
        status.quarantined.into_iter().map(move |obstacle| Quarantined { run, obstacle })
    };
    Ok(runs.into_iter().filter(|status| run.is_none_or(|run| status.run.id == run)).flat_map(of).collect())
}

fn listed(quarantined: &[Quarantined]) -> String {
    let columns = [right("id"), left("package"), right("run"), right("blocks"), prose("why")];
    let rows = quarantined.iter().map(|Quarantined { run, obstacle }| {
        [
            obstacle.package.to_string(),
            obstacle.cpv.to_string(),
            run.to_string(),
            obstacle.blocks.to_string(),
            obstacle.reason.clone().unwrap_or_default(),
        ]
    });
    let table = table(columns, "Nothing is quarantined.", rows);
    let Some(first) = quarantined.first() else { return table };
    let id = first.obstacle.package;
    format!(
        "{table}\n\n`swarm package {id}` says more of it, with the telling lines; \
         `swarm quarantine release {id}` lets it be tried again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn quarantined_packages_in_a_table() {
        let quarantined: Vec<_> =
            sample::obstacles().into_iter().map(|obstacle| Quarantined { run: RunId(7), obstacle }).collect();
        insta::assert_snapshot!(listed(&quarantined));
        insta::assert_snapshot!(listed(&[]), @"Nothing is quarantined.");
    }
}
