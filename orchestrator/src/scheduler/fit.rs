//! Which drones may build a package, and why not.

use super::{Drone, Job, Ready, Reason, Snapshot};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// How long a failed package is kept for other drones at least, before one that failed it may try again.
const OTHERS_FIRST: TimeDelta = TimeDelta::seconds(60);

/// Why a package is not for a drone, and when that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) until: Option<DateTime<Utc>>,
}

/// What the drones have together.
pub(super) struct Fleet<'a> {
    drones: &'a [Drone],
    most_memory: u64,
    most_disk: u64,
    /// The groups of which a package is being built, or claimed in this plan.
    pub(super) taken: BTreeSet<&'a str>,
}

impl<'a> Fleet<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let drones = &snapshot.drones;
        let work = drones.iter().flat_map(|drone| &drone.work);
        Self {
            drones,
            most_memory: drones.iter().map(|drone| drone.has.memory_bytes).max().unwrap_or_default(),
            most_disk: drones.iter().map(|drone| drone.has.disk_bytes).max().unwrap_or_default(),
            taken: work.filter_map(|work| work.job.exclusive.as_deref()).collect(),
        }
    }

    /// Why nobody may build `ready` now.
    pub(super) fn refuses(&self, ready: &Ready, now: DateTime<Utc>) -> Option<Refusal> {
        if let Some(until) = ready.not_before.filter(|&until| until > now) {
            return Some(Refusal { reason: Reason::Pausing, until: Some(until) });
        }
        let taken = ready.job.exclusive.as_deref().is_some_and(|group| self.taken.contains(group));
        taken.then_some(Refusal { reason: Reason::Exclusive, until: None })
    }

    /// Why `drone` may not build `ready`. `others`: one that has not failed it could.
    pub(super) fn refuses_on(
        &self,
        ready: &Ready,
        drone: &Drone,
        others: bool,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        if let Some(reason) = self.unfit(&ready.job, drone) {
            return Some(Refusal { reason, until: None });
        }
        if !others || !ready.job.failed_on.contains(&drone.drone) {
            return None;
        }
        // Nobody waits longer for another drone than the build takes on this one.
        let patience = seconds(ready.job.estimate_seconds / drone.speed).max(OTHERS_FIRST);
        let until = ready.not_before.unwrap_or(ready.ready_since) + patience;
        (until > now).then_some(Refusal { reason: Reason::FailedHere, until: Some(until) })
    }

    /// Whether a drone could build it that has not failed it, busy or not. One of which nothing is known might.
    pub(super) fn others(&self, ready: &Ready) -> bool {
        let failed_on = &ready.job.failed_on;
        !failed_on.is_empty() && self.could(&ready.job, |drone| !failed_on.contains(&drone.drone))
    }

    /// Whether one of those drones could build it, busy or not.
    pub(super) fn could(&self, job: &Job, of: impl Fn(&Drone) -> bool) -> bool {
        let might = |drone: &Drone| match self.unfit(job, drone) {
            None => true,
            Some(reason) => reason == Reason::OtherEpoch && drone.epochs.is_empty(),
        };
        self.drones.iter().any(|drone| of(drone) && might(drone))
    }

    /// The biggest drones may try what is too big for all: nothing is without a way forward.
    pub(super) fn unfit(&self, job: &Job, drone: &Drone) -> Option<Reason> {
        let (needs, has) = (job.needs, drone.has);
        if job.only_on.as_ref().is_some_and(|drones| !drones.contains(&drone.drone)) {
            Some(Reason::OtherDrones)
        } else if !drone.epochs.contains(&job.epoch) {
            Some(Reason::OtherEpoch)
        } else if needs.memory_bytes > has.memory_bytes && has.memory_bytes < self.most_memory {
            Some(Reason::Memory)
        } else if needs.disk_bytes > has.disk_bytes && has.disk_bytes < self.most_disk {
            Some(Reason::Disk)
        } else {
            None
        }
    }
}

/// A span of time; a century at most.
pub(super) fn seconds(seconds: f64) -> TimeDelta {
    const CENTURY: f64 = 100.0 * 365.0 * 86400.0;
    // Rounded up: whoever looks again at that time finds it over.
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    TimeDelta::microseconds((seconds.clamp(0.0, CENTURY) * 1e6).ceil() as i64)
}
