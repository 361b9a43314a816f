//! `swarm run watch`: asks each second, shows what changed, ends when the run is over or needs a person.
//!
//! A restart of the orchestrator does not end it: what the server will have recovered from in a while is waited for.

use super::run::verdict;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Output, printable, raw};
use crate::table::count;
use std::time::Duration;
use swarm_protocol::admin::{Counts, Run};
use swarm_protocol::id::RunId;

const POLL: Duration = Duration::from_secs(1);
/// Failed polls in a row after which it gives up: two minutes at least.
const PATIENCE: u32 = 120;
/// A status line that wraps cannot be written over.
const TERMINAL: usize = 79;

/// Follows a run; `first` is what is known of it already.
pub(crate) async fn watch(context: &Context, id: RunId, first: Option<Run>) -> Result<Exit, Failure> {
    let mut screen = Screen::new(context.output);
    let mut run = match first {
        Some(run) => run,
        None => context.ask(context.client.run(id)).await?,
    };
    loop {
        screen.show(&run)?;
        if let Some(exit) = Exit::of_run(run.state) {
            screen.close(&run)?;
            return Ok(exit);
        }
        tokio::time::sleep(POLL).await;
        run = patiently(context, id).await.inspect_err(|_| screen.leave())?;
    }
}

async fn patiently(context: &Context, id: RunId) -> Result<Run, Failure> {
    let mut failures = 0;
    loop {
        let failure = match context.ask(context.client.run(id)).await {
            Ok(run) => return Ok(run),
            Err(failure) => failure,
        };
        failures += 1;
        if !failure.is_transient() || failures >= PATIENCE {
            return Err(failure);
        }
        if failures == 1 && !context.output.is_terminal() {
            output::say("the orchestrator does not answer; trying on");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What is shown already.
struct Screen {
    output: Output,
    terminal: bool,
    shown: String,
}

impl Screen {
    fn new(output: Output) -> Self {
        Self { output, terminal: output.is_terminal(), shown: String::new() }
    }

    fn show(&mut self, run: &Run) -> Result<(), Failure> {
        let line = if self.output.is_json() {
            output::json_line(run)?
        } else if self.terminal {
            status_line(run)
        } else {
            printable(&progress(run))
        };
        if line == self.shown {
            return Ok(());
        }
        // A carriage return and "erase to the end of the line" (ECMA-48).
        let text = if self.terminal { format!("\r\x1b[K{line}") } else { format!("{line}\n") };
        self.shown = line;
        raw(text.as_bytes())
    }

    fn close(&self, run: &Run) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(());
        }
        let erase = if self.terminal { "\r\x1b[K" } else { "" };
        raw(format!("{erase}{}\n", printable(&verdict(run))).as_bytes())
    }

    /// Leaves the status line to what is said next.
    fn leave(&self) {
        if self.terminal {
            // The failure that made us leave is told in any case.
            let _ = raw(b"\n");
        }
    }
}

/// Where a run stands, without what is zero.
fn progress(run: &Run) -> String {
    format!("run {} of {}: {}, {}", run.id, run.target, run.state, numbers(&run.counts))
}

fn numbers(counts: &Counts) -> String {
    let Counts { total, needed, ready, delegated, received, blocked, quarantined, failed, .. } = *counts;
    let mut parts = vec![format!("{received} of {total} received")];
    let mut part = |number: i64, text: String| {
        if number > 0 {
            parts.push(text);
        }
    };
    part(delegated, format!("{delegated} delegated"));
    // What a person should look into goes first: a terminal's line is cut at its end.
    part(quarantined, format!("{quarantined} quarantined"));
    part(blocked, format!("{blocked} blocked"));
    part(needed, format!("{needed} needed ({ready} ready)"));
    part(failed, format!("{} failed", count(failed, "attempt")));
    parts.join(", ")
}

/// One line of a terminal, with a bar.
fn status_line(run: &Run) -> String {
    const BAR: i64 = 16;
    let done = if run.counts.total > 0 { run.counts.received * BAR / run.counts.total } else { 0 };
    let bar: String = (0..BAR).map(|cell| if cell < done { '#' } else { '.' }).collect();
    let line = format!("{} [{bar}] {}", run.state, numbers(&run.counts));
    line.chars().take(TERMINAL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn a_line_per_change() {
        let lines = [sample::building(), sample::frozen(), sample::promoted()].map(|run| progress(&run));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_status_line_never_wraps() {
        let mut empty = sample::building();
        empty.counts = Counts::default();
        let mut full = sample::building();
        full.counts = Counts { failed: 1234, blocked: 1234, ..full.counts };
        let lines = [sample::building(), empty, full, sample::promoted()].map(|run| status_line(&run));
        assert!(lines.iter().all(|line| line.chars().count() <= TERMINAL));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
