//! `swarm join-token` and `swarm token`. A token is the whole output, so that it can go straight into a file.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use swarm_protocol::admin::{NewJoinToken, NewToken};
use swarm_protocol::state::Role;

/// What a join token is good for.
#[derive(Args, Debug)]
pub(crate) struct JoinArguments {
    /// Believe the drone's plans and verdicts.
    #[arg(long)]
    trusted: bool,
    /// How long the token is good, in seconds; a week at most.
    #[arg(long, value_name = "N", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    ttl_seconds: u32,
    /// Only a drone of this name may use it.
    #[arg(long, value_parser = super::drone::name)]
    name: Option<String>,
    /// The drone waits for a person: `swarm drone approve NAME`.
    #[arg(long)]
    ask: bool,
    /// The machine that uses it takes the place of the one that has that name now.
    #[arg(long, requires = "name", conflicts_with = "ask")]
    replace: bool,
}

/// What can be done with tokens.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a token and print it: it is shown this once.
    Create {
        /// What it may do: admin (everything) or viewer (read).
        #[arg(long, value_parser = role)]
        role: Role,
        /// Who will use it.
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        label: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "admin" => Ok(Role::Admin),
        "viewer" => Ok(Role::Viewer),
        _ => Err("a token's role is admin or viewer; a drone gets its token by enrolment".to_owned()),
    }
}

/// `swarm join-token`.
pub(crate) async fn join(context: &Context, arguments: &JoinArguments) -> Result<Exit, Failure> {
    let JoinArguments { trusted, ttl_seconds, ref name, ask, replace: replaces } = *arguments;
    let new = NewJoinToken { trusted, ttl_seconds, name: name.clone(), ask, replaces };
    let token = context.ask(context.client.create_join_token(&new)).await?;
    context.output.show(&token, |token| token.token.clone())?;
    Ok(Exit::Ok)
}

/// `swarm token`.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Command::Create { role, label } = command;
    let new = NewToken { role: *role, label: label.clone() };
    let token = context.ask(context.client.create_token(&new)).await?;
    context.output.show(&token, |token| token.token.clone())?;
    Ok(Exit::Ok)
}
