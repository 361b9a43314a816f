//! `swarm events`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, moment, prose, table};
use clap::Args;
use swarm_protocol::admin::{Event, Events};

/// Which events.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Those after this cursor, which an earlier answer gave; 0 is the beginning.
    #[arg(long, value_name = "CURSOR", default_value = "0")]
    since: String,
    /// All of them, not only the first page.
    #[arg(long)]
    all: bool,
}

/// Shows them.
pub(crate) async fn list(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut answer = context.ask(context.client.events(&arguments.since)).await?;
    let mut full = answer.events.len();
    while arguments.all && full > 0 {
        let page = context.ask(context.client.events(&answer.cursor)).await?;
        // A page shorter than another was not full: it is the last, however fast new events come.
        full = if page.events.len() < full { 0 } else { page.events.len() };
        answer.events.extend(page.events);
        answer.cursor = page.cursor;
    }
    context.output.show(&answer, listed)?;
    Ok(Exit::Ok)
}

fn listed(answer: &Events) -> String {
    let columns = [left("at (UTC)"), left("event"), prose("of"), prose("details")];
    let rows = answer
        .events
        .iter()
        .map(|event| [moment(event.at), event.kind.clone(), subjects(event), details(event)]);
    let table = table(columns, "Nothing happened since.", rows);
    format!("{table}\n\nWhat follows: `swarm events --since {}`", answer.cursor)
}

fn subjects(event: &Event) -> String {
    let subject = |noun: &str, id: Option<i64>| id.map(|id| format!("{noun} {id}"));
    let subjects = [
        subject("run", event.run.map(|id| id.0)),
        subject("package", event.package.map(|id| id.0)),
        subject("attempt", event.attempt.map(|id| id.0)),
        subject("drone", event.drone.map(|id| id.0)),
    ];
    subjects.into_iter().flatten().collect::<Vec<_>>().join(", ")
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
        insta::assert_snapshot!("no_events", listed(&Events { events: vec![], cursor: "812:4".to_owned() }));
    }
}
