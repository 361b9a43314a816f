//! `swarm events`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, moment, prose, table};
use crate::{output, patience};
use clap::Args;
use std::time::Duration;
use swarm_protocol::admin::{Event, Events};

/// Between two looks for what is new.
const POLL: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  swarm events --all\n  swarm events --since now --follow --json")]
pub(crate) struct Arguments {
    /// Those after this cursor, which an earlier answer gave; 0 is the beginning, now the end.
    #[arg(long, value_name = "CURSOR", default_value = "0")]
    since: String,
    /// All of them, not only the first page.
    #[arg(long, conflicts_with = "follow")]
    all: bool,
    /// Then show each event as it comes, a line each, until it is interrupted.
    #[arg(long, short)]
    follow: bool,
}

/// Shows them.
pub(crate) async fn list(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.follow {
        return follow(context, &arguments.since).await;
    }
    let mut answer = context.ask(context.client.events(&arguments.since)).await?;
    while arguments.all && answer.more {
        let page = context.ask(context.client.events(&answer.cursor)).await?;
        answer.events.extend(page.events);
        (answer.cursor, answer.more) = (page.cursor, page.more);
    }
    context.output.show(&answer, listed)?;
    Ok(Exit::Ok)
}

async fn follow(context: &Context, since: &str) -> Result<Exit, Failure> {
    let mut cursor = since.to_owned();
    loop {
        let page = patience::ask(context, async || context.client.events(&cursor).await).await?;
        for event in &page.events {
            let line = if context.output.is_json() {
                output::json_line(event)?
            } else {
                output::printable(&line(event))
            };
            output::raw(format!("{line}\n").as_bytes())?;
        }
        cursor = page.cursor;
        if !page.more {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn listed(answer: &Events) -> String {
    let columns = [left("at (UTC)"), left("event"), prose("of"), prose("details")];
    let rows = answer
        .events
        .iter()
        .map(|event| [moment(event.at), event.kind.clone(), subjects(event), details(event)]);
    let table = table(columns, "Nothing happened since.", rows);
    let more = if answer.more { "There are more" } else { "What follows" };
    format!("{table}\n\n{more}: `swarm events --since {}`", answer.cursor)
}

pub(super) fn line(event: &Event) -> String {
    let parts = [moment(event.at), event.kind.clone(), subjects(event), details(event)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn subjects(event: &Event) -> String {
    let run = event.run.map(|run| match &event.target {
        Some(target) => format!("run {run} of {target}"),
        None => format!("run {run}"),
    });
    let package = event.package.map(|id| match &event.cpv {
        Some(cpv) => cpv.to_string(),
        None => format!("package {id}"),
    });
    let attempt = event.attempt.map(|id| format!("attempt {id}"));
    let drone = event.drone.map(|id| match &event.drone_name {
        Some(name) => name.clone(),
        None => format!("drone {id}"),
    });
    [package, attempt, drone, run].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn details(event: &Event) -> String {
    let Some(object) = event.data.as_object() else { return event.data.to_string() };
    let part = |(name, value): (&String, &serde_json::Value)| match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {value}"),
    };
    object.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn events_in_a_table() {
        insta::assert_snapshot!("events", listed(&sample::events()));
        insta::assert_snapshot!(
            "no_events",
            listed(&Events { events: vec![], cursor: "812:4".to_owned(), more: true })
        );
        insta::assert_snapshot!(
            "events_as_lines",
            sample::events().events.iter().map(line).collect::<Vec<_>>().join("\n")
        );
    }
}
