//! The attempts at a package, as a table.

use crate::table::{between, left, moment, prose, right, table};
use chrono::{DateTime, Utc};
use swarm_protocol::admin::Attempt;

/// The table, and what the last failure's log says.
pub(super) fn listed(attempts: &[Attempt], now: DateTime<Utc>) -> String {
    let columns = [
        right("attempt"),
        right("no."),
        left("drone"),
        left("state"),
        left("claimed (UTC)"),
        right("built for"),
        prose("reason"),
    ];
    let rows = attempts.iter().map(|attempt| {
        [
            attempt.id.to_string(),
            attempt.number.to_string(),
            attempt.drone.clone(),
            state(attempt),
            moment(attempt.claimed_at),
            between(attempt.started_at, Some(attempt.ended_at.unwrap_or(now))),
            attempt.reason.clone().unwrap_or_default(),
        ]
    });
    let table = table(columns, "No drone has tried this package yet.", rows);
    match attempts.iter().rev().find_map(|attempt| Some((attempt.id, attempt.excerpt.as_ref()?))) {
        Some((id, excerpt)) => {
            format!(
                "{table}\n\nThe telling lines of attempt {id} (all of them: `swarm log {id}`):\n\n{excerpt}"
            )
        }
        None => table,
    }
}

fn state(attempt: &Attempt) -> String {
    match (attempt.outcome, attempt.class) {
        (Some(outcome), Some(class)) => format!("{outcome}: {class}"),
        (Some(outcome), None) => outcome.to_string(),
        (None, _) => attempt.phase.to_string(),
    }
}
