//! What targets were given lately, so that none of them starves another: work, forgotten by half every hour.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use swarm_protocol::id::TargetId;

/// After this many seconds work counts half.
const HALF_LIFE_SECONDS: f64 = 3600.0;
/// What is less than this is nothing.
const NOTHING_SECONDS: f64 = 1.0;

/// Seconds of work on a drone of speed 1, by target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    used: BTreeMap<TargetId, f64>,
    at: Option<DateTime<Utc>>,
}

impl Shares {
    /// Until `now`, drones of these speeds worked for these targets.
    pub fn advance(&mut self, now: DateTime<Utc>, working: impl IntoIterator<Item = (TargetId, f64)>) {
        let elapsed = self.at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0));
        self.at = Some(now);
        let kept = (-elapsed / HALF_LIFE_SECONDS).exp2();
        self.used.values_mut().for_each(|used| *used *= kept);
        self.used.retain(|_, used| *used > NOTHING_SECONDS);
        for (target, speed) in working {
            *self.used.entry(target).or_default() += speed * elapsed;
        }
    }

    /// What each was given.
    #[must_use]
    pub const fn used(&self) -> &BTreeMap<TargetId, f64> {
        &self.used
    }
}
