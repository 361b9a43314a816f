//! `swarm run watch`: follows the run's events, shows what changed, ends when the run is over or needs a person.
//!
//! The run is asked for when an event says that something happened to it; a restart of the orchestrator is waited for.

use super::bars::Bars;
use super::run::verdict;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Output, printable, raw};
use crate::patience;
use crate::table::count;
use std::time::Duration;
use swarm_protocol::admin::{Counts, Run};
use swarm_protocol::id::RunId;

/// Between two looks for events.
const POLL: Duration = Duration::from_secs(1);
/// After how many looks without an event the run is asked for all the same.
const NET: u32 = 30;

/// Follows a run.
pub(super) async fn watch(context: &Context, id: RunId) -> Result<Exit, Failure> {
    let Context { client, output, .. } = context;
    let mut screen = Screen::new(*output);
    // The cursor first: what happens after it is seen in any case. Who is not there now is not waited for.
    let mut cursor = context.ask(client.events_of(id, "now")).await?.cursor;
    loop {
        let run = patience::ask(context, async || client.run(id).await).await?;
        if let Screen::Bars(bars) = &screen
            && !run.state.is_over()
        {
            let status = patience::ask(context, async || client.status(Some(&run.target)).await).await?;
            bars.show(&run, &status);
        }
        screen.show(&run)?;
        if let Some(exit) = Exit::of_run(run.state) {
            screen.close(&run)?;
            return Ok(exit);
        }
        cursor = news(context, id, cursor).await?;
    }
}

/// Waits until something happened to the run; gives the cursor behind it.
async fn news(context: &Context, id: RunId, mut cursor: String) -> Result<String, Failure> {
    for _ in 0..NET {
        tokio::time::sleep(POLL).await;
        let page = patience::ask(context, async || context.client.events_of(id, &cursor).await).await?;
        cursor = page.cursor;
        if !page.events.is_empty() {
            break;
        }
    }
    Ok(cursor)
}

/// Where changes are shown.
enum Screen {
    /// A line for each, for scripts or people.
    Lines { output: Output, shown: String },
    /// A terminal.
    Bars(Bars),
}

impl Screen {
    fn new(output: Output) -> Self {
        if output.is_terminal() {
            Self::Bars(Bars::new())
        } else {
            Self::Lines { output, shown: String::new() }
        }
    }

    fn show(&mut self, run: &Run) -> Result<(), Failure> {
        let Self::Lines { output, shown } = self else { return Ok(()) };
        let line = if output.is_json() { output::json_line(run)? } else { printable(&progress(run)) };
        if line == *shown {
            return Ok(());
        }
        shown.clone_from(&line);
        raw(format!("{line}\n").as_bytes())
    }

    fn close(&self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Lines { output, .. } if output.is_json() => return Ok(()),
            Self::Lines { .. } => {}
            Self::Bars(bars) => bars.clear(),
        }
        raw(format!("{}\n", printable(&verdict(run))).as_bytes())
    }
}

/// Where a run stands, without what is zero.
fn progress(run: &Run) -> String {
    let state = match &run.resolver {
        Some(resolver) => format!("{} by {}", run.state, resolver.drone),
        None => run.state.to_string(),
    };
    format!("run {} of {}: {state}{}", run.id, run.target, numbers(&run.counts))
}

fn numbers(counts: &Counts) -> String {
    let Counts { total, needed, ready, delegated, received, blocked, quarantined, failed, .. } = *counts;
    if total == 0 {
        return String::new();
    }
    let mut text = format!(", {received} of {total} received");
    let mut part = |number: i64, part: String| {
        if number > 0 {
            text.push_str(", ");
            text.push_str(&part);
        }
    };
    part(delegated, format!("{delegated} delegated"));
    part(quarantined, format!("{quarantined} quarantined"));
    part(blocked, format!("{blocked} blocked"));
    part(needed, format!("{needed} needed ({ready} ready)"));
    part(failed, format!("{} failed", count(failed, "attempt")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn a_line_per_change() {
        let runs = [sample::resolving(), sample::building(), sample::frozen(), sample::promoted()];
        insta::assert_snapshot!(runs.map(|run| progress(&run)).join("\n"));
    }
}
