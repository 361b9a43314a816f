//! Events: what happened, newest first.

use super::error::PageError;
use super::extract::Query;
use super::live::ANYTHING;
use super::page::{self, About, Room, table};
use super::visitor::Visitor;
use super::words::moment;
use crate::api::Shared;
use crate::db::events;
use axum::extract::State;
use axum::response::Html;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use swarm_protocol::admin::Event;
use swarm_protocol::id::{EventId, RunId};

/// Events on a page.
const PAGE: i64 = 100;

/// `?before=EVENT&run=RUN`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    before: Option<EventId>,
    run: Option<RunId>,
}

/// The page.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Query(Which { before, run }): Query<Which>,
) -> Result<Html<String>, PageError> {
    let events = events::newest(&app.db, before, run, PAGE).await?;
    let rows = html! { @for event in &events { (of_event(event)) } };
    let of_run = run.map(|run| format!("&run={run}")).unwrap_or_default();
    let content = html! {
        h1 { "Events" @if let Some(run) = run { " of run " (run) } }
        div #events data-live {
            (table("Newest first, times in UTC", &["When", "What", "Package", "Drone", "Run", "Details"], &rows))
            @if let Some(last) = events.last() && i64::try_from(events.len()) == Ok(PAGE) {
                nav aria-label="Pages of events" { a rel="next" href={ "/events?before=" (last.id) (of_run) } { "older →" } }
            }
        }
    };
    // A page of the past does not change.
    let topics: &[String] = if before.is_none() { &[ANYTHING.to_owned()] } else { &[] };
    Ok(page::full(&visitor, &About { title: "Events", room: Room::Events, topics }, &content))
}

fn of_event(event: &Event) -> Markup {
    html! {
        tr {
            td { (moment(event.at)) }
            th scope="row" { (event.kind) }
            td {
                @match (event.package, &event.cpv) {
                    (Some(id), Some(cpv)) => a href={ "/packages/" (id) } { (cpv) },
                    (Some(id), None) => (id),
                    _ => {}
                }
            }
            td { @if let Some(name) = &event.drone_name { a href={ "/drones/" (name) } { (name) } } }
            td { @if let Some(run) = event.run { a href={ "/runs/" (run) } { (run) } } }
            td { (details(&event.data)) }
        }
    }
}

/// `name: value` of each.
fn details(data: &Value) -> String {
    let Value::Object(fields) = data else { return String::new() };
    let fields = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    });
    fields.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_read_by_people() {
        let data = serde_json::json!({ "reason": "it <failed>", "number": 7 });
        assert_eq!(details(&data), "number: 7, reason: it <failed>");
        assert_eq!(details(&Value::Null), "");
    }
}
