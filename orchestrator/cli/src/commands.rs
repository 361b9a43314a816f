//! What the commands do: one file per noun, with its arguments, its calls and the texts for people.

pub(crate) mod attempt;
pub(crate) mod drone;
pub(crate) mod event;
pub(crate) mod generation;
pub(crate) mod package;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod watch;

#[cfg(test)]
mod sample;

use crate::arguments::Command;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs one command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Status => status::show(context).await,
        Command::Target(command) => target::run(context, command).await,
        Command::Run(command) => run::run(context, command).await,
        Command::Packages(arguments) => package::list(context, arguments).await,
        Command::Attempts { package } => attempt::list(context, *package).await,
        Command::Log { attempt } => attempt::log(context, *attempt).await,
        Command::Release { package } => package::release(context, *package).await,
        Command::Drones => drone::list(context).await,
        Command::Drone(command) => drone::order(context, command).await,
        Command::Generations { target } => generation::list(context, target).await,
        Command::JoinToken(arguments) => token::join(context, arguments).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Events(arguments) => event::list(context, arguments).await,
    }
}
