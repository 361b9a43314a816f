//! The bars of `swarm run watch` on a terminal: one for the run, one line for each drone that works for it.
//!
//! What is asked of the orchestrator comes with the run's events; in between, the bars count the time by themselves.

use super::run::resolving;
use crate::output::printable;
use crate::table::span;
use chrono::{DateTime, Utc};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use swarm_protocol::admin::{Counts, Run, Status, Work};
use swarm_protocol::id::AttemptId;
use swarm_protocol::state::{AttemptPhase, RunState};

/// How often the times on the screen move.
const TICK: Duration = Duration::from_secs(1);

/// What is on the terminal.
pub(super) struct Bars {
    screen: MultiProgress,
    run: ProgressBar,
    drones: RefCell<BTreeMap<AttemptId, ProgressBar>>,
}

impl Bars {
    /// An empty screen.
    pub(super) fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let run = screen.add(ProgressBar::new(0).with_style(template("{prefix} [{bar:30}] {msg}")));
        run.enable_steady_tick(TICK);
        Self { screen, run, drones: RefCell::default() }
    }

    /// Shows the run, and the drones' work for it.
    pub(super) fn show(&self, run: &Run, status: &Status) {
        let counts = &run.counts;
        self.run.set_prefix(format!("{} {}", run.target, run.state));
        self.run.set_length(counts.total.unsigned_abs());
        self.run.set_position(counts.received.unsigned_abs());
        self.run.set_message(standing(run, status.now));
        let work = status.drones.iter().flat_map(|drone| drone.work.iter().map(move |work| (drone, work)));
        let work: BTreeMap<_, _> = work
            .filter(|(_, work)| work.run == run.id)
            .map(|(drone, work)| (work.attempt, (drone, work)))
            .collect();
        let mut bars = self.drones.borrow_mut();
        bars.retain(|attempt, bar| {
            let stays = work.contains_key(attempt);
            if !stays {
                self.screen.remove(bar);
            }
            stays
        });
        for (attempt, (drone, work)) in work {
            let bar = bars.entry(attempt).or_insert_with(|| self.begin(work, status.now));
            bar.set_prefix(printable(&drone.name));
            bar.set_message(task(work));
        }
    }

    fn begin(&self, work: &Work, now: DateTime<Utc>) -> ProgressBar {
        let since = work.started_at.unwrap_or(work.claimed_at);
        let elapsed = (now - since).to_std().unwrap_or_default();
        let bar = self.screen.add(ProgressBar::no_length().with_elapsed(elapsed));
        bar.set_style(template("  {prefix:16} {elapsed:>5} {msg}"));
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Leaves the terminal to what is said next.
    pub(super) fn clear(&self) {
        // A terminal that is gone shows nothing either way.
        let _ = self.screen.clear();
    }
}

/// A template of ours; a wrong one falls back to indicatif's own.
fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn task(work: &Work) -> String {
    match work.phase {
        AttemptPhase::Building => format!("of about {}  {}", estimate(work), work.cpv),
        AttemptPhase::Accepting => format!("handing in  {}", work.cpv),
        _ => format!("held  {}", work.cpv),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, shown to people")]
fn estimate(work: &Work) -> String {
    span(work.estimate_seconds.max(0.0) as u64)
}

fn standing(run: &Run, now: DateTime<Utc>) -> String {
    if let Some(resolving) = resolving(run) {
        return format!("resolver: {}", printable(&resolving));
    }
    let Counts { total, received, delegated, quarantined, blocked, .. } = run.counts;
    let mut parts = vec![format!("{received}/{total}, {delegated} delegated")];
    if quarantined > 0 {
        parts.push(style(format!("{quarantined} quarantined")).red().to_string());
    }
    if blocked > 0 {
        parts.push(style(format!("{blocked} blocked")).yellow().to_string());
    }
    if run.state == RunState::Building {
        parts.extend(pace(run, now));
    }
    parts.join(", ")
}

/// How fast packages are received since the run began, and how long the rest takes at that rate. What was kept from
/// earlier runs cost no time.
pub(super) fn pace(run: &Run, now: DateTime<Utc>) -> Option<String> {
    let Counts { received, kept, needed, delegated, .. } = run.counts;
    let (built, left) = (received - kept, needed + delegated);
    let seconds = (now - run.created_at).num_seconds();
    if built <= 0 || seconds <= 0 {
        return None;
    }
    let (hourly, rest) = (built * 3600 / seconds, left * seconds / built);
    Some(format!("{hourly} an hour, {} to go", span(u64::try_from(rest).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn the_pace_leaves_out_what_was_kept() {
        let status = sample::status();
        // 1248 built in two hours, 1220 to go.
        assert_eq!(pace(&sample::building(), status.now).unwrap(), "624 an hour, 1h 57m to go");
        assert_eq!(pace(&sample::resolving(), status.now), None);
    }

    #[test]
    fn messages_beside_the_bars() {
        let status = sample::status();
        let mut held = sample::work(32, 23, "sys-apps/less-643");
        held.phase = AttemptPhase::Held;
        console::set_colors_enabled(false);
        let runs = [sample::resolving(), sample::building(), sample::frozen()];
        let mut lines = runs.map(|run| standing(&run, status.now)).to_vec();
        lines.extend([task(&status.drones[0].work[0]), task(&held)]);
        insta::assert_snapshot!(lines.join("\n"));
    }
}
