//! What the commands do: one file per noun, with its arguments, its calls and the texts for people.

pub(crate) mod attempt;
mod bars;
pub(crate) mod doctor;
pub(crate) mod drone;
pub(crate) mod event;
pub(crate) mod fleet;
pub(crate) mod generated;
pub(crate) mod generation;
pub(crate) mod log;
pub(crate) mod nightly;
pub(crate) mod notify;
pub(crate) mod package;
pub(crate) mod quarantine;
pub(crate) mod repair;
pub(crate) mod run;
pub(crate) mod screen;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod update;
mod watch;
pub(crate) mod why;

#[cfg(test)]
pub(crate) mod sample;

use crate::arguments::Command;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// What needs no orchestrator, and so no token; `None` for what does.
pub(crate) fn without_swarm(output: Output, command: &Command) -> Option<Result<Exit, Failure>> {
    match command {
        Command::Fleet(command) => fleet::without_swarm(output, command),
        Command::Completions(what) => Some(generated::completions(what)),
        Command::Man(what) => Some(generated::man(what)),
        _ => None,
    }
}

/// Runs one command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Status(arguments) => status::show(context, arguments).await,
        Command::Doctor => doctor::examine(Ok(context), context.output).await,
        Command::Target(command) => target::run(context, command).await,
        Command::Run(command) => run::run(context, command).await,
        Command::Packages(which) => package::list(context, which).await,
        Command::Package(which) => package::show(context, which).await,
        Command::Why(asked) => why::show(context, asked).await,
        Command::Retry(which) => package::retry(context, which).await,
        Command::Priority(which) => package::prioritise(context, which).await,
        Command::Quarantine(command) => quarantine::run(context, command).await,
        Command::Attempt(command) => attempt::run(context, command).await,
        Command::Log(arguments) => log::log(context, arguments).await,
        Command::Drones => drone::list(context).await,
        Command::Drone(command) => drone::order(context, command).await,
        Command::Fleet(command) => fleet::run(context, command).await,
        Command::Generations(command) => generation::run(context, command).await,
        Command::Nightly(what) => nightly::update(context, what).await,
        Command::Nightlies(which) => nightly::list(context, which).await,
        Command::Setup(command) => setup::run(context, command).await,
        Command::Update(what) => update::run(context, what).await,
        Command::Watch => screen::watch(context).await,
        Command::Notify(command) => notify::run(context, command).await,
        Command::JoinToken(arguments) => token::join(context, arguments).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Events(arguments) => event::list(context, arguments).await,
        Command::Completions(what) => generated::completions(what),
        Command::Man(what) => generated::man(what),
    }
}
