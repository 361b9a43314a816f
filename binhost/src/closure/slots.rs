//! One slot, one version: a workstation installs the newest, and what is bound to the other one breaks.

use super::findings::Findings;
use super::set::Set;
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocol::resolution::FindingKind;

/// How many consumers are named.
const MOST_CONSUMERS: usize = 5;

pub(super) fn check(set: &Set<'_>, dependencies: &[BTreeSet<usize>], findings: &mut Findings) {
    for (cp, members) in set.names() {
        let mut slots: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for member in members {
            slots.entry(set.members[*member].slot.slot()).or_default().push(*member);
        }
        for (slot, rivals) in slots.into_iter().filter(|(_, rivals)| rivals.len() > 1) {
            let lines: Vec<_> = rivals.iter().map(|rival| line(set, dependencies, &rivals, *rival)).collect();
            let detail = format!("a workstation can have one of them:\n{}", lines.join("\n"));
            findings.add(FindingKind::SlotConflict, &format!("{cp}:{slot}"), None, detail);
        }
    }
}

/// A rival with those who will take no other.
fn line(set: &Set<'_>, dependencies: &[BTreeSet<usize>], rivals: &[usize], rival: usize) -> String {
    let insists = |of: &BTreeSet<usize>| {
        of.contains(&rival) && rivals.iter().all(|other| *other == rival || !of.contains(other))
    };
    let consumers = dependencies.iter().enumerate().filter(|(_, of)| insists(of));
    let names: Vec<_> =
        consumers.take(MOST_CONSUMERS).map(|(consumer, _)| set.members[consumer].cpv.to_string()).collect();
    if names.is_empty() {
        return format!("{}, on which nothing insists", set.name(rival));
    }
    format!("{}, on which insists {}", set.name(rival), names.join(", "))
}
