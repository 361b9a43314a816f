//! What is said: a title, a few lines, and the events themselves.

use crate::db::destinations::Batch;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use swarm_protocol::admin::Event;
use swarm_protocol::id::EventId;

/// How many events one message tells; of the others, how many there are.
pub(super) const SHOWN: i64 = 20;
/// The longest line, in characters.
const LINE: usize = 300;
/// The longest title.
const TITLE: usize = 120;

/// One message: the JSON document that webhooks and commands get.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Message {
    /// The same as often as this message is sent, and another one for each other message of a destination.
    pub(super) id: String,
    /// A line.
    pub(super) title: String,
    /// A line for each event, and one on what is left out.
    pub(super) text: String,
    /// An alarm is among them that was raised.
    pub(super) urgent: bool,
    /// The first events, in their order.
    pub(super) events: Vec<Event>,
    /// How many there are beside them.
    pub(super) more: i64,
    /// How many could not be delivered before, and were given up.
    pub(super) dropped: i64,
}

impl Message {
    /// What `destination` is told of a batch.
    #[must_use]
    pub(super) fn new(destination: &str, until: u64, batch: Batch, dropped: i64) -> Self {
        let more = batch.count - i64::try_from(batch.events.len()).unwrap_or(batch.count);
        let dropped = dropped + batch.old;
        let mut lines: Vec<_> = batch.events.iter().map(sentence).collect();
        let others = match batch.count {
            ..=1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let first = lines.first().map_or("", String::as_str);
        let title = format!("Build Swarm: {}{others}", shortened(first, TITLE));
        if more > 0 {
            lines.push(format!("and {more} more: `swarm events` lists them"));
        }
        if dropped > 0 {
            lines.push(format!("{dropped} older ones could not be delivered in time"));
        }
        Self {
            id: format!("{destination}-{until}"),
            title,
            text: lines.join("\n"),
            urgent: batch.events.iter().any(|event| event.kind == "alarm.raised"),
            events: batch.events,
            more,
            dropped,
        }
    }

    /// A message that says that messages arrive.
    #[must_use]
    pub(super) fn test(destination: &str, now: DateTime<Utc>) -> Self {
        let text = format!("This is a test: messages to {destination} arrive.");
        let event = Event {
            id: EventId(0),
            at: now,
            kind: "notify.test".to_owned(),
            run: None,
            target: None,
            package: None,
            cpv: None,
            attempt: None,
            drone: None,
            drone_name: None,
            data: json!({ "text": text }),
        };
        let batch = Batch { events: vec![event], count: 1, old: 0 };
        Self {
            id: format!("{destination}-test-{}", now.timestamp_millis()),
            ..Self::new(destination, 0, batch, 0)
        }
    }
}

/// An event in one line, such as `app-misc/jq-1.7 in run 7 of box: quarantined: gcc said no`.
fn sentence(event: &Event) -> String {
    let said = |name: &str| event.data.get(name).and_then(|value| value.as_str());
    let line = match (event.kind.as_str(), said("text")) {
        ("alarm.ended", Some(text)) => format!("over: {text}"),
        (_, Some(text)) => text.to_owned(),
        (kind, None) => {
            let (room, verb) = kind.split_once('.').unwrap_or((kind, ""));
            let why = ["reason", "detail", "outcome", "result"].into_iter().find_map(said);
            let parts = [Some(subject(event, room)), Some(verb.replace('_', " ")), why.map(str::to_owned)];
            parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
    };
    shortened(&line, LINE)
}

fn subject(event: &Event, room: &str) -> String {
    let run = event.run.map(|run| match &event.target {
        Some(target) => format!("run {run} of {target}"),
        None => format!("run {run}"),
    });
    let package = event.cpv.as_ref().map(ToString::to_string);
    let drone = event.drone_name.as_ref().map(|name| format!("drone {name}"));
    // Of a package's event, the drone is that of its last attempt.
    let which = match (package, drone, run) {
        (Some(package), _, Some(run)) => format!("{package} in {run}"),
        (Some(which), ..) | (None, Some(which), _) | (None, None, Some(which)) => which,
        (None, None, None) => return room.to_owned(),
    };
    if ["run", "package", "drone"].contains(&room) { which } else { format!("{room} of {which}") }
}

/// One line of what printers and headers can carry: reasons come from builds and machines.
fn shortened(text: &str, most: usize) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let short: String = plain.take(most).collect();
    if text.chars().count() > most { format!("{short}…") } else { short }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::Value;

    pub(crate) fn event(kind: &str, data: Value) -> Event {
        let now = "2026-11-22T03:00:00Z".parse().unwrap();
        Event { kind: kind.to_owned(), data, ..Message::test("x", now).events.remove(0) }
    }

    fn of(mut event: Event, run: Option<i64>, cpv: Option<&str>, drone: Option<&str>) -> Event {
        event.run = run.map(swarm_protocol::id::RunId);
        event.target = run.map(|_| "box".parse().unwrap());
        event.cpv = cpv.map(|cpv| cpv.parse().unwrap());
        event.drone_name = drone.map(str::to_owned);
        event
    }

    #[test]
    fn events_are_lines() {
        let events = vec![
            of(event("run.promoted", json!({})), Some(7), None, None),
            of(
                event("package.quarantined", json!({ "class": "package", "reason": "gcc said\nno" })),
                Some(7),
                Some("app-misc/jq-1.7"),
                Some("ant"),
            ),
            of(event("drone.grounded", json!({})), None, None, Some("ant")),
            of(
                event("repair.ended", json!({ "outcome": "revived", "detail": null })),
                None,
                None,
                Some("ant"),
            ),
            event("nightly.ended", json!({ "result": "failed", "reason": "no network" })),
            event("alarm.raised", json!({ "alarm": "disk", "text": "the disk of drone ant is nearly full" })),
            event("alarm.ended", json!({ "alarm": "disk", "text": "the disk of drone ant is nearly full" })),
        ];
        let message = Message::new("phone", 812, Batch { events, count: 44, old: 2 }, 3);
        insta::assert_snapshot!(format!("{}\n{}\n\n{}", message.id, message.title, message.text));
        assert!(message.urgent);
        assert_eq!((message.more, message.dropped), (37, 5));
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = "é\u{1b}[31m".repeat(200);
        let batch = Batch { events: vec![event("alarm.raised", json!({ "text": long }))], count: 1, old: 0 };
        let message = Message::new("x", 1, batch, 0);
        assert!(!message.text.contains('\u{1b}') && message.text.chars().count() == LINE + 1);
        assert!(message.title.chars().count() < TITLE + 20 && message.title.ends_with('…'));
    }
}
