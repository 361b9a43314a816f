//! What came of a simulation.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A simulation's outcome; times in seconds from its begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// When the last build was done.
    pub makespan: f64,
    /// What no schedule can beat, knowing how long each build really takes.
    pub lower_bound: f64,
    /// `makespan` by `lower_bound`; 1 where there is nothing to do.
    pub ratio: f64,
    /// The builds, in the order of their ends.
    pub schedule: Vec<Span>,
    /// The attempts that failed, likewise.
    pub failed: Vec<Span>,
    /// How often an idle drone took what another held.
    pub stolen: usize,
    /// How many nodes were not built: those that failed beyond the retry rule, and those that wait for them.
    pub unbuilt: usize,
}

/// An attempt of a node on a drone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The node's place in the graph.
    pub node: usize,
    /// The drone's place in the fleet.
    pub drone: usize,
    /// When it began.
    pub start: f64,
    /// When it ended.
    pub end: f64,
}

impl Span {
    /// Between two instants of a simulation, which begins where Unix time does.
    pub(super) fn of(node: usize, drone: usize, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let seconds = |at: DateTime<Utc>| (at - DateTime::UNIX_EPOCH).as_seconds_f64();
        Self { node, drone, start: seconds(start), end: seconds(end) }
    }
}

impl Report {
    /// Fills in what the spans add up to.
    pub(super) fn finish(&mut self, lower_bound: f64, nodes: usize) {
        self.makespan = self.schedule.iter().map(|span| span.end).fold(0.0, f64::max);
        self.lower_bound = lower_bound;
        self.ratio = if lower_bound > 0.0 { self.makespan / lower_bound } else { 1.0 };
        self.unbuilt = nodes - self.schedule.len();
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { makespan, lower_bound, ratio, schedule, failed, stolen, unbuilt } = self;
        writeln!(
            f,
            "{} builds in {makespan:.1} s; no schedule beats {lower_bound:.1} s: ratio {ratio:.3}",
            schedule.len()
        )?;
        if !failed.is_empty() {
            writeln!(f, "{} attempts failed; {unbuilt} nodes were never built", failed.len())?;
        }
        if *stolen > 0 {
            writeln!(f, "{stolen} packages were taken over by an idle drone")?;
        }
        let drones = schedule.iter().chain(failed).map(|span| span.drone).max().map_or(0, |last| last + 1);
        for drone in 0..drones {
            let own = || schedule.iter().chain(failed).filter(|span| span.drone == drone);
            let busy: f64 = own().map(|span| span.end - span.start).sum();
            writeln!(f, "drone {drone}: {} attempts, busy {:.1} %", own().count(), 100.0 * busy / makespan)?;
        }
        Ok(())
    }
}
