//! `swarm attempt`, and the attempts at a package as a table.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{between, fields, left, moment, prose, right, size, table};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use swarm_protocol::admin::{Attempt, AttemptDetail};
use swarm_protocol::drone::Usage;
use swarm_protocol::id::AttemptId;

/// What to do with attempts.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show one: where it stands, why it failed, and what it used on its drone.
    Show {
        /// Its id, as `swarm package` shows it.
        attempt: AttemptId,
    },
}

/// `swarm attempt`.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Command::Show { attempt } = command;
    let detail = context.ask(context.client.attempt(*attempt)).await?;
    context.output.show(&detail, shown)?;
    Ok(Exit::Ok)
}

fn shown(detail: &AttemptDetail) -> String {
    let AttemptDetail { attempt, .. } = detail;
    let mut rows = vec![
        ("attempt", format!("{}, number {} at its package", attempt.id, attempt.number)),
        ("package", format!("{} ({})", detail.cpv, detail.package)),
        ("run", detail.run.to_string()),
        ("drone", attempt.drone.clone()),
        ("state", state(attempt)),
        ("claimed (UTC)", moment(attempt.claimed_at)),
    ];
    if attempt.ended_at.is_some() {
        rows.push(("built for", between(attempt.started_at, attempt.ended_at)));
    }
    rows.extend(attempt.reason.clone().map(|reason| ("reason", reason)));
    rows.extend(attempt.usage.iter().flat_map(used));
    let fields = fields(&rows);
    match &attempt.excerpt {
        Some(excerpt) if !excerpt.is_empty() => {
            format!("{fields}\n\nThe telling lines (all of them: `swarm log {}`):\n\n{excerpt}", attempt.id)
        }
        _ => fields,
    }
}

fn used(usage: &Usage) -> Vec<(&'static str, String)> {
    let bytes = |value| size(i64::try_from(value).unwrap_or(i64::MAX));
    let Usage { user_seconds, system_seconds, fetch_seconds, install_seconds, build_seconds, .. } = usage;
    let how = if usage.sampled { "looked at now and then" } else { "counted by the kernel" };
    let phases: Vec<_> = (usage.phases.named().iter().filter(|(_, seconds)| *seconds > 0.0))
        .map(|(phase, seconds)| format!("{phase} {seconds:.1} s"))
        .collect();
    let mut rows = vec![
        ("processor", format!("{user_seconds:.1} s user, {system_seconds:.1} s system; {how}")),
        ("memory", format!("{} at most", bytes(usage.peak_memory_bytes))),
        ("disk", format!("{} read, {} written", bytes(usage.read_bytes), bytes(usage.written_bytes))),
        (
            "steps",
            format!("fetch {fetch_seconds:.1} s, install {install_seconds:.1} s, build {build_seconds:.1} s"),
        ),
    ];
    if !phases.is_empty() {
        rows.push(("phases", phases.join(", ")));
    }
    rows
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::id::RunId;

    #[test]
    fn an_attempt_in_full() {
        let detail = |attempt| AttemptDetail {
            attempt,
            run: RunId(7),
            package: sample::packages()[3].id,
            cpv: sample::packages()[3].cpv.clone(),
        };
        let [failed, building] = sample::attempts().try_into().unwrap();
        insta::assert_snapshot!(shown(&detail(failed)));
        insta::assert_snapshot!(shown(&detail(building)));
    }
}
