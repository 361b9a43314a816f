//! How stealing went: who rests after he was too late, and from whom it succeeds.

use crate::scheduler::{Loot, Stealing, Strategy};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use swarm_protocol::id::DroneId;

/// How long a thief rests that was too late once; twice as long after each further time.
const REST: TimeDelta = TimeDelta::milliseconds(250);
/// How often the rest is doubled at most: half a minute.
const DOUBLINGS: u32 = 7;

/// What is remembered of thefts. It is lost with the process, and only times choices.
#[derive(Debug, Default)]
pub(super) struct Thefts {
    /// By thief: how often it was too late in a row, and when.
    late: BTreeMap<DroneId, (u32, DateTime<Utc>)>,
    /// By victim: how often it succeeded, and how often not.
    record: BTreeMap<DroneId, (u32, u32)>,
}

impl Thefts {
    /// `thief` tried to take `loot`.
    pub(super) fn tried(&mut self, thief: DroneId, loot: Loot, succeeded: bool, now: DateTime<Utc>) {
        let (won, failed) = self.record.entry(loot.victim).or_default();
        if succeeded {
            *won = won.saturating_add(1);
            self.late.remove(&thief);
        } else {
            *failed = failed.saturating_add(1);
            let (times, at) = self.late.entry(thief).or_insert((0, now));
            (*times, *at) = (times.saturating_add(1), now);
        }
    }

    /// What the scheduler goes by.
    pub(super) fn stealing(&self, strategy: Strategy, seed: u64) -> Stealing {
        let until = |(times, at): &(u32, DateTime<Utc>)| *at + REST * 2_i32.pow((times - 1).min(DOUBLINGS));
        let resting = self.late.iter().map(|(thief, late)| (*thief, until(late))).collect();
        Stealing { strategy, seed, resting, record: self.record.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::{AttemptId, PackageId};

    #[test]
    fn who_is_too_late_rests_longer_each_time() {
        let mut thefts = Thefts::default();
        let loot = Loot { victim: DroneId(2), attempt: AttemptId(1), package: PackageId(1) };
        let now = DateTime::UNIX_EPOCH;
        let rest = |thefts: &Thefts| thefts.stealing(Strategy::Adaptive, 0).resting.get(&DroneId(1)).copied();
        for expected in [250, 500, 1000] {
            thefts.tried(DroneId(1), loot, false, now);
            assert_eq!(rest(&thefts), Some(now + TimeDelta::milliseconds(expected)));
        }
        (0..20).for_each(|_| thefts.tried(DroneId(1), loot, false, now));
        assert_eq!(rest(&thefts), Some(now + TimeDelta::seconds(32)));
        thefts.tried(DroneId(1), loot, true, now);
        assert_eq!(rest(&thefts), None);
        assert_eq!(thefts.stealing(Strategy::Adaptive, 0).record, [(DroneId(2), (1, 23))].into());
    }
}
