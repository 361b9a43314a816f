//! `swarm`: what people and scripts type to see and steer Build Swarm.
//!
//! Few calls of the orchestrator's API per command, shown as tables for people or, with `--json`, as the API's own
//! JSON.
//!
//! | module | what |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`connection`] | where the orchestrator is, and the token |
//! | [`commands`] | one file per noun: its arguments, its calls, its tables |
//! | [`cron`] | what this machine's cron daemon does about `swarm nightly` |
//! | [`clock`] | the only place that reads the clock |
//! | [`table`] | plain tables and the words in them |
//! | [`names`] | packages by name, and "did you mean" |
//! | [`world`], [`provided`], [`input`] | files that the command line names |
//! | [`workstation`] | a workstation: what a push sends of it, and what lets it install |
//! | [`transfer`] | bundles to and from the binhost |
//! | [`patience`] | calls that a restart of the orchestrator must not end |
//! | [`output`] | standard output, for people or as JSON |
//! | [`failure`], [`exit`] | what went wrong, and the exit code that says so |

mod arguments;
mod clock;
mod commands;
mod connection;
mod cron;
mod exit;
mod failure;
mod input;
mod names;
mod output;
mod patience;
mod provided;
mod table;
#[cfg(test)]
mod testing;
mod transfer;
mod workstation;
mod world;

use arguments::Arguments;
use clap::Parser;
use exit::Exit;
use failure::Failure;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    run(&arguments, output).unwrap_or_else(|failure| output.failure(&failure)).into()
}

fn run(arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    if let Some(done) = commands::without_swarm(output, &arguments.command) {
        return done;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::internal(format!("cannot start the runtime: {error}")))?;
    let context = match connection::open(&arguments.connection, output, |name| std::env::var_os(name)) {
        Err(failure) if matches!(arguments.command, arguments::Command::Doctor) => {
            return runtime.block_on(commands::doctor::examine(Err(failure), output));
        }
        context => context?,
    };
    runtime.block_on(commands::run(&context, &arguments.command))
}
