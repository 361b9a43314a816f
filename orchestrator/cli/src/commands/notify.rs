//! `swarm notify`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, prose, table};
use clap::Subcommand;
use swarm_protocol::admin::{NotifyTest, NotifyTested};

/// What can be done with notifications.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Send a test message to the destinations of the orchestrator's configuration, and say whether it arrived.
    ///
    /// Ends with 1 where none arrived, or there is no destination, and with 7 where some did.
    Test {
        /// Only to this one.
        name: Option<String>,
    },
}

/// Runs one.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Command::Test { name } = command;
    let tested = context.ask(context.client.test_notify(&NotifyTest { name: name.clone() })).await?;
    context.output.show(&tested, |tested| listed(tested))?;
    let arrived = tested.iter().filter(|one| one.error.is_none()).count();
    Ok(match arrived {
        0 => Exit::Failed,
        all if all == tested.len() => Exit::Ok,
        _ => Exit::Partial,
    })
}

fn listed(tested: &[NotifyTested]) -> String {
    let rows = tested
        .iter()
        .map(|one| [one.name.clone(), one.error.clone().unwrap_or_else(|| "it took the message".to_owned())]);
    let none = "The orchestrator's configuration names no destination: see [[notify]] in its README.";
    table([left("destination"), prose("what came of it")], none, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_in_a_table() {
        let of = |name: &str, error: Option<&str>| NotifyTested {
            name: name.to_owned(),
            error: error.map(str::to_owned),
        };
        let tested = [of("phone", None), of("chat", Some("the server answered 404 Not Found"))];
        insta::assert_snapshot!(listed(&tested));
    }
}
