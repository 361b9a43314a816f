//! Findings as they come: equal ones of several packages are one, and there is an end to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::resolution::{Finding, FindingKind};

/// As many as the orchestrator keeps of a resolution; the first ones say what is wrong.
const MOST: usize = 100;
/// How many packages are named that ask for one thing.
const MOST_ASKERS: usize = 10;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<(Finding, usize)>,
    /// Where a finding of an atom with this detail stands.
    places: HashMap<(String, String), usize>,
}

impl Findings {
    /// Adds a finding, or another one who asks.
    pub(super) fn add(&mut self, kind: FindingKind, atom: &str, asker: Option<&Cpv>, detail: String) {
        let place = match self.places.entry((atom.to_owned(), detail)) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let detail = place.key().1.clone();
                place.insert(self.found.len());
                let atom = Some(atom.to_owned());
                let finding = Finding { kind, atom, wanted_by: vec![], workstation: None, detail };
                self.found.push((finding, 0));
                self.found.len() - 1
            }
        };
        if let (Some(asker), Some((finding, askers))) = (asker, self.found.get_mut(place)) {
            *askers += 1;
            if *askers <= MOST_ASKERS {
                finding.wanted_by.push(asker.to_string());
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Finding> {
        let more = self.found.len().saturating_sub(MOST);
        let kept = self.found.into_iter().take(if more > 0 { MOST - 1 } else { MOST });
        let mut findings: Vec<_> = kept
            .map(|(mut finding, askers)| {
                if askers > MOST_ASKERS {
                    finding.wanted_by.push(format!("{} more", askers - MOST_ASKERS));
                }
                finding
            })
            .collect();
        if more > 0 {
            let detail = format!("{} more findings are not listed", more + 1);
            findings.push(Finding {
                kind: FindingKind::Other,
                atom: None,
                wanted_by: vec![],
                workstation: None,
                detail,
            });
        }
        findings
    }
}
