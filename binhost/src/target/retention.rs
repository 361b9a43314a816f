//! Which generations stay, and how the others go.
//!
//! A published generation stays while it is among the newest `generations` *or* younger than `days`: it goes when it is
//! beyond both. So a target that is promoted ten times a day keeps a month of them, and one that is promoted twice a
//! year keeps years: clients that hold the index of a generation need its files until they have asked again, and nobody
//! knows how long that takes. The current generation stays, as does every later one, which is on its way, and every
//! pinned one. One that never was published and lies behind the current one never will be: it stays for a day.
//!
//! Removing is one rename to `.old-N` under the target's lock; from there on it does not exist, and a crash leaves only
//! what the next start removes. Its files' bytes stay for a day more: unlinking makes them young (see [`crate::blobs`]),
//! so a download in progress ends well.

use super::Target;
use super::generation::directory;
use super::promote::Promotion;
use crate::config::Retention;
use crate::durable;
use crate::error::{Doing, Result};
use std::collections::BTreeSet;
use std::fs;
use swarm_protocol::Digest;
use swarm_protocol::id::GenerationNumber;

const DAY: i64 = 86_400;

/// What retention looks at in a generation.
#[derive(Clone, Copy, Debug)]
struct Standing {
    number: GenerationNumber,
    timestamp: i64,
    published: bool,
}

/// Whether a generation stays that has `newer` published ones above it.
fn is_kept(
    standing: Standing,
    newer: usize,
    current: GenerationNumber,
    pins: &BTreeSet<GenerationNumber>,
    retention: Retention,
    now: i64,
) -> bool {
    let days = if standing.published { i64::from(retention.days) } else { 1 };
    standing.number >= current
        || pins.contains(&standing.number)
        || now - standing.timestamp < days * DAY
        || standing.published && newer < retention.generations
}

/// Those of the generations, which come in ascending order, that go.
fn superfluous(
    standings: &[Standing],
    current: GenerationNumber,
    pins: &BTreeSet<GenerationNumber>,
    retention: Retention,
    now: i64,
) -> Vec<GenerationNumber> {
    let mut newer = 0;
    let mut gone = Vec::new();
    for standing in standings.iter().rev() {
        if !is_kept(*standing, newer, current, pins, retention, now) {
            gone.push(standing.number);
        }
        newer += usize::from(standing.published);
    }
    gone
}

impl Target {
    /// The generations that retention would remove now.
    pub(crate) fn superfluous(&self, retention: Retention, now: i64) -> Vec<GenerationNumber> {
        let state = self.read();
        // Before the first promotion, everything is on its way.
        let Some(current) = state.current.as_ref().map(|published| published.generation.number) else {
            return Vec::new();
        };
        let standing = |number: &GenerationNumber, timestamp| Standing {
            number: *number,
            timestamp,
            published: state.promoted.contains(&Promotion { number: *number }),
        };
        let standings: Vec<_> =
            state.generations.iter().map(|(number, g)| standing(number, g.timestamp)).collect();
        superfluous(&standings, current, &state.pinned, retention, now)
    }

    /// Removes what goes; gives the numbers.
    pub(crate) fn retire(&self, retention: Retention, now: i64) -> Result<Vec<GenerationNumber>> {
        // Judged under the lock: a promotion or a pin comes before, or after.
        let files = self.files();
        let gone = self.superfluous(retention, now);
        let mut old = Vec::new();
        for number in &gone {
            let aside = self.directory.join("generations").join(format!(".old-{number}"));
            durable::rename(&directory(&self.directory, *number), &aside)?;
            self.write().generations.remove(number);
            old.push(aside);
        }
        drop(files);
        for aside in old {
            fs::remove_dir_all(&aside).doing("remove", &aside)?;
        }
        Ok(gone)
    }

    /// Every artifact whose bytes must stay: in a run's view, or in a generation. That it has a path in the catalog is
    /// no reason.
    pub(crate) fn add_roots(&self, roots: &mut std::collections::HashSet<Digest>) {
        let state = self.read();
        for run in state.runs.values() {
            roots.extend(run.artifacts().map(|artifact| artifact.published));
        }
        for generation in state.generations.values() {
            roots.extend(generation.artifacts().iter().map(|artifact| artifact.published));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention { generations: 2, days: 30, distfile_bytes: 0, distfile_days: 0 };

    /// Numbers from 1; each is `(age in days, published)`.
    fn gone(generations: &[(i64, bool)], current: i64, pins: &[i64]) -> Vec<i64> {
        let standing = |(index, &(days, published)): (usize, &(i64, bool))| Standing {
            number: GenerationNumber(i64::try_from(index).unwrap() + 1),
            timestamp: -days * DAY,
            published,
        };
        let standings: Vec<_> = generations.iter().enumerate().map(standing).collect();
        let pins = pins.iter().copied().map(GenerationNumber).collect();
        let gone = superfluous(&standings, GenerationNumber(current), &pins, RETENTION, 0);
        gone.into_iter().map(|number| number.0).collect()
    }

    #[test]
    fn a_generation_goes_when_it_is_beyond_number_and_age() {
        let old = [(90, true), (60, true), (50, true), (40, true)];
        assert_eq!(gone(&old, 4, &[]), [2, 1]);
        assert_eq!(gone(&[(90, true), (29, true), (5, true), (1, true)], 4, &[]), [1]);
        assert_eq!(gone(&[(90, true), (80, true)], 2, &[]), [0; 0]);
    }

    #[test]
    fn the_current_one_pins_and_what_is_on_its_way_stay() {
        let old = [(90, true), (60, true), (50, true), (40, true), (39, false)];
        assert_eq!(gone(&old, 4, &[1]), [2]);
        assert_eq!(gone(&old, 1, &[]), [0; 0]);
    }

    #[test]
    fn what_was_never_published_takes_no_place_and_goes_after_a_day() {
        assert_eq!(gone(&[(90, true), (60, false), (50, true), (0, false), (40, true)], 5, &[]), [2, 1]);
    }
}
