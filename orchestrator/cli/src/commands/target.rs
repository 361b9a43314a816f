//! `swarm target`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, or_dash, right, table};
use clap::Subcommand;
use swarm_protocol::admin::{NewTarget, Target};
use swarm_protocol::gentoo::TargetName;

/// What can be done with targets.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List the targets.
    List,
    /// Create a target; one that is there already stays as it is.
    Create {
        /// Its name, part of the binhost's URLs: 1 to 64 of [a-z0-9_-].
        name: TargetName,
    },
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Context { client, output } = context;
    match command {
        Command::List => {
            let targets = context.ask(client.targets()).await?;
            output.show(&targets, |targets| listed(targets))?;
        }
        Command::Create { name } => {
            let target =
                context.ask(client.create_target(&NewTarget { name: name.clone(), world: vec![] })).await?;
            output.show(&target, |target| format!("There is a target {}.", target.name))?;
        }
    }
    Ok(Exit::Ok)
}

fn listed(targets: &[Target]) -> String {
    let rows = targets.iter().map(|t| [t.name.to_string(), or_dash(t.current), or_dash(t.open_run)]);
    let columns = [left("target"), right("current generation"), right("open run")];
    table(columns, "There is no target yet; `swarm target create NAME` makes one.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::{GenerationNumber, RunId};

    #[test]
    fn targets_in_a_table() {
        let target = |name: &str, current, open_run| Target {
            name: name.parse().unwrap(),
            world: vec![],
            current: Option::map(current, GenerationNumber),
            open_run: Option::map(open_run, RunId),
        };
        insta::assert_snapshot!(listed(&[
            target("amd64-v3", Some(12), Some(7)),
            target("arm64", None, None)
        ]));
        insta::assert_snapshot!(listed(&[]), @"There is no target yet; `swarm target create NAME` makes one.");
    }
}
