//! Generations that people want kept: whatever retention does, it never removes a pinned one.
//!
//! `targets/TARGET/pins.log` is the truth: one line per decision, the last one about a generation counts.
//!
//! ```text
//! 5d0e6ff5d6f0c1b2 {"number":7,"pinned":true}
//! ```

use super::generation::Generation;
use super::{State, Target, no_generation};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::kept::Kept;

/// A line of `pins.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    pub(super) number: GenerationNumber,
    pub(super) pinned: bool,
}

/// What is pinned after these decisions.
pub(super) fn replay(decisions: impl IntoIterator<Item = Pin>) -> BTreeSet<GenerationNumber> {
    let mut pinned = BTreeSet::new();
    decisions.into_iter().for_each(|decision| decision.apply(&mut pinned));
    pinned
}

impl Pin {
    /// Whether `pinned` says the same already.
    pub(super) fn holds(self, pinned: &BTreeSet<GenerationNumber>) -> bool {
        pinned.contains(&self.number) == self.pinned
    }

    pub(super) fn apply(self, pinned: &mut BTreeSet<GenerationNumber>) {
        if self.pinned {
            pinned.insert(self.number);
        } else {
            pinned.remove(&self.number);
        }
    }
}

impl Target {
    /// The generations that are kept, by number.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let state = self.read();
        state.generations.values().map(|generation| kept(&state, generation)).collect()
    }

    /// Pins a generation, or no longer.
    pub(crate) fn pin(&self, number: GenerationNumber, pinned: bool) -> Result<Kept> {
        let mut files = self.files();
        let decision = Pin { number, pinned };
        let generation = self.generation(number).ok_or_else(|| no_generation(number))?;
        if !decision.holds(&self.read().pinned) {
            files.pins.append(&decision)?;
            decision.apply(&mut self.write().pinned);
        }
        Ok(kept(&self.read(), &generation))
    }
}

fn kept(state: &State, generation: &Generation) -> Kept {
    let Generation { number, timestamp, .. } = *generation;
    Kept { number, timestamp, pinned: state.pinned.contains(&number) }
}
