//! `swarm attempts` and `swarm log`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::table::{between, left, moment, prose, right, table};
use serde::Serialize;
use swarm_protocol::admin::Attempt;
use swarm_protocol::id::{AttemptId, PackageId};

/// `swarm attempts`.
pub(crate) async fn list(context: &Context, package: PackageId) -> Result<Exit, Failure> {
    let attempts = context.ask(context.client.attempts(package)).await?;
    context.output.show(&attempts, |attempts| listed(attempts))?;
    Ok(Exit::Ok)
}

/// A log as a JSON document: the API itself answers with plain text.
#[derive(Serialize)]
struct Log<'a> {
    attempt: AttemptId,
    log: &'a str,
}

/// `swarm log`.
pub(crate) async fn log(context: &Context, attempt: AttemptId) -> Result<Exit, Failure> {
    let log = context.ask(context.client.log(attempt)).await?;
    if context.output.is_json() {
        let log = Log { attempt, log: &String::from_utf8_lossy(&log) };
        context.output.show(&log, |_| String::new())?;
    } else if log.is_empty() {
        output::say(&format!("attempt {attempt} has no log (yet)"));
    } else {
        output::raw(&log)?;
    }
    Ok(Exit::Ok)
}

fn listed(attempts: &[Attempt]) -> String {
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
            between(attempt.started_at, attempt.ended_at),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn attempts_in_a_table() {
        insta::assert_snapshot!(listed(&sample::attempts()));
        insta::assert_snapshot!(listed(&[]), @"No drone has tried this package yet.");
    }
}
