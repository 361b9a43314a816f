//! `swarm join-token` and `swarm token`. A new token is the whole output, so that it can go straight into a file.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{left, moment, prose, right, table};
use clap::{Args, Subcommand};
use swarm_protocol::admin::{NewJoinToken, NewToken, TokenEntry};
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
    /// List the tokens of people and scripts that are good.
    List,
    /// Revoke a token: whoever uses it is let in no more.
    ///
    /// A token does not revoke itself, so that there is always an admin's left. Drones' tokens go with their drones.
    #[command(after_help = "Examples:\n  swarm token revoke cron\n  swarm token revoke 7")]
    Revoke {
        /// Its id, or its label where only one has it.
        token: String,
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
    match command {
        Command::Create { role, label } => {
            let new = NewToken { role: *role, label: label.clone() };
            let token = context.ask(context.client.create_token(&new)).await?;
            context.output.show(&token, |token| token.token.clone())?;
        }
        Command::List => {
            let tokens = context.ask(context.client.tokens()).await?;
            context.output.show(&tokens, |tokens| listed(tokens))?;
        }
        Command::Revoke { token } => {
            let tokens = context.ask(context.client.tokens()).await?;
            let token = find(token, &tokens)?;
            context.ask(context.client.revoke_token(token.id)).await?;
            context.output.show(token, |token| {
                format!("Token {} ({}, {}) is good no more.", token.id, token.role, token.label)
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn find<'a>(text: &str, tokens: &'a [TokenEntry]) -> Result<&'a TokenEntry, Failure> {
    let id = text.parse().ok();
    let by_id = tokens.iter().find(|token| Some(token.id) == id);
    let by_label: Vec<_> = tokens.iter().filter(|token| token.label == text).collect();
    match (by_id, &by_label[..]) {
        (Some(token), _) => Ok(token),
        (None, [token]) => Ok(token),
        (None, []) => {
            let labels: Vec<_> = tokens.iter().map(|token| token.label.as_str()).collect();
            Err(names::unknown("token", text, &labels))
        }
        (None, several) => {
            let ids: Vec<_> = several.iter().map(|token| token.id.to_string()).collect();
            Err(Failure::usage(format!(
                "{text} is the label of several tokens; give an id: {}",
                ids.join(", ")
            )))
        }
    }
}

fn listed(tokens: &[TokenEntry]) -> String {
    let columns = [right("token"), left("role"), left("made (UTC)"), prose("label")];
    let rows = tokens.iter().map(|token| {
        let own = if token.own { " (the one that you use)" } else { "" };
        let TokenEntry { id, role, created_at, label, .. } = token;
        [id.to_string(), role.to_string(), moment(*created_at), format!("{label}{own}")]
    });
    table(columns, "There is no token.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::detail;
    use chrono::DateTime;
    use swarm_protocol::id::TokenId;

    fn tokens() -> Vec<TokenEntry> {
        let created_at = DateTime::from_timestamp(1_763_711_000, 0).unwrap();
        let token = |id, role, label: &str| TokenEntry {
            id: TokenId(id),
            role,
            label: label.to_owned(),
            created_at,
            own: id == 1,
        };
        vec![
            token(1, Role::Admin, "me"),
            token(2, Role::Viewer, "cron"),
            token(7, Role::Admin, "2"),
            token(8, Role::Viewer, "cron"),
        ]
    }

    #[test]
    fn tokens_in_a_table() {
        insta::assert_snapshot!(listed(&tokens()));
    }

    #[test]
    fn a_token_is_found_by_what_is_unambiguous() {
        let tokens = tokens();
        assert_eq!(find("me", &tokens).unwrap().id, TokenId(1));
        assert_eq!(find("2", &tokens).unwrap().id, TokenId(2), "an id goes before a label");
        assert_eq!(
            detail(find("cron", &tokens).unwrap_err()),
            "cron is the label of several tokens; give an id: 2, 8"
        );
        assert_eq!(detail(find("crn", &tokens).unwrap_err()), "there is no token crn; did you mean cron?");
    }
}
