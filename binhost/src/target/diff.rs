//! What a workstation gets by going from one generation to another, package by package.
//!
//! Packages are compared by category, name and slot: another version in the same slot takes the place of the one that is
//! installed there, one in another slot stands beside it.

use super::{Target, no_generation};
use crate::artifact::Artifact;
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::kept::{Between, Change, ChangeKind, Diff, Instance};

impl Target {
    /// How two generations differ: the current one from the one that was current before it, if nothing else is asked.
    pub(crate) fn diff(&self, between: Between) -> Result<Diff> {
        let state = self.read();
        let current = || Some(state.current.as_ref()?.generation.number);
        let none = || Error::refused(Code::NotFound, "there is no current generation yet");
        let to = between.to.or_else(current).ok_or_else(none)?;
        let former = || {
            let before = state.promoted.iter().rev().skip_while(|promotion| promotion.number != to).skip(1);
            before.map(|promotion| promotion.number).find(|number| state.generations.contains_key(number))
        };
        let from = between.from.or_else(former);
        let kept = |number| state.generations.get(&number).cloned().ok_or_else(|| no_generation(number));
        let (old, new) = (from.map(kept).transpose()?, kept(to)?);
        drop(state);
        let old = old.as_ref().map_or(&[][..], |old| old.artifacts());
        Ok(Diff { from, to, changes: changes(old, new.artifacts()) })
    }
}

/// Category and name, and the slot without its sub-slot.
type Place<'a> = (String, &'a str);

/// The changes, ordered by category, name and slot. Pure.
fn changes(from: &[Arc<Artifact>], to: &[Arc<Artifact>]) -> Vec<Change> {
    let mut places: BTreeMap<Place<'_>, [Vec<&Artifact>; 2]> = BTreeMap::new();
    for (side, artifacts) in [from, to].into_iter().enumerate() {
        for artifact in artifacts {
            places.entry((artifact.cpv.cp(), slot(artifact))).or_default()[side].push(artifact);
        }
    }
    places.into_iter().flat_map(|(place, [from, to])| changes_at(&place, from, to)).collect()
}

fn slot(artifact: &Artifact) -> &str {
    let slot = artifact.metadata.get("SLOT").map_or("0", String::as_str);
    slot.split('/').next().unwrap_or(slot)
}

/// Versions that both sides have are the same or rebuilt; of the others, the highest follows the highest, and so on.
fn changes_at((package, slot): &Place<'_>, from: Vec<&Artifact>, to: Vec<&Artifact>) -> Vec<Change> {
    let change = |kind, from: Option<&Artifact>, to: Option<&Artifact>| Change {
        kind,
        package: package.clone(),
        slot: (*slot).to_owned(),
        from: from.map(instance),
        to: to.map(instance),
    };
    let (kept, gone): (Vec<_>, Vec<_>) =
        from.into_iter().partition(|old| to.iter().any(|new| new.cpv == old.cpv));
    let (stays, comes): (Vec<_>, Vec<_>) =
        to.into_iter().partition(|new| kept.iter().any(|old| old.cpv == new.cpv));
    let rebuilt = stays.iter().filter_map(|new| {
        let old = kept.iter().find(|old| old.cpv == new.cpv)?;
        (old.published != new.published).then(|| change(ChangeKind::Rebuilt, Some(old), Some(new)))
    });
    let (mut gone, mut comes) = (highest_first(gone).into_iter(), highest_first(comes).into_iter());
    let others = std::iter::from_fn(|| match (gone.next(), comes.next()) {
        (None, None) => None,
        (old @ Some(_), new @ Some(_)) => Some(change(ChangeKind::Updated, old, new)),
        (None, new) => Some(change(ChangeKind::Added, None, new)),
        (old, None) => Some(change(ChangeKind::Removed, old, None)),
    });
    others.chain(rebuilt).collect()
}

fn highest_first(mut artifacts: Vec<&Artifact>) -> Vec<&Artifact> {
    let by_version = |one: &&Artifact, other: &&Artifact| -> Ordering {
        other.cpv.compare_version(&one.cpv).then(other.build_id.cmp(&one.build_id))
    };
    artifacts.sort_by(by_version);
    artifacts
}

fn instance(artifact: &Artifact) -> Instance {
    Instance { cpv: artifact.cpv.clone(), build_id: artifact.build_id, published: artifact.published }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(cpv: &str, slot: &str, build_id: i32) -> Arc<Artifact> {
        let sample = Artifact::sample(cpv, build_id, format!("{cpv} {build_id}").as_bytes());
        let metadata = BTreeMap::from([("SLOT".to_owned(), slot.to_owned())]);
        Arc::new(Artifact { metadata, ..Artifact::clone(&sample) })
    }

    #[test]
    fn every_kind_of_change() {
        let same = artifact("app-misc/same-1", "0/9", 1);
        let from = [
            artifact("dev-lang/python-3.12.4", "3.12", 1),
            artifact("dev-lang/python-3.11.9", "3.11", 1),
            artifact("sys-libs/zlib-1.3.1", "0/1", 1),
            artifact("dev-libs/icu-9", "0/9", 1),
            Arc::clone(&same),
        ];
        let to = [
            same,
            artifact("dev-libs/icu-10", "0/10", 1),
            artifact("dev-lang/python-3.12.4", "3.12", 2),
            artifact("dev-lang/python-3.13.1", "3.13", 1),
            artifact("sys-libs/zlib-1.3.1-r1", "0/1", 1),
        ];
        let said = |changes: Vec<Change>| -> Vec<String> {
            let name = |instance: Option<Instance>| {
                instance.map_or("-".to_owned(), |one| format!("{}-{}", one.cpv, one.build_id))
            };
            let line = |change: Change| {
                format!("{} {}: {} {}", change.kind, change.slot, name(change.from), name(change.to))
            };
            changes.into_iter().map(line).collect()
        };
        assert_eq!(
            said(changes(&from, &to)),
            [
                "removed 3.11: dev-lang/python-3.11.9-1 -",
                "rebuilt 3.12: dev-lang/python-3.12.4-1 dev-lang/python-3.12.4-2",
                "added 3.13: - dev-lang/python-3.13.1-1",
                "updated 0: dev-libs/icu-9-1 dev-libs/icu-10-1",
                "updated 0: sys-libs/zlib-1.3.1-1 sys-libs/zlib-1.3.1-r1-1",
            ]
        );
        assert_eq!(changes(&to, &to), []);
        assert_eq!(said(changes(&[], &from[..1])), ["added 3.12: - dev-lang/python-3.12.4-1"]);
    }

    #[test]
    fn several_versions_in_one_slot_are_paired_from_the_highest_down() {
        let of = |versions: &[&str]| -> Vec<_> {
            versions.iter().map(|version| artifact(&format!("a/b-{version}"), "0", 1)).collect()
        };
        let kinds: Vec<_> = changes(&of(&["9", "10", "11"]), &of(&["10", "12"]))
            .into_iter()
            .map(|change| (change.kind, change.from.map(|old| old.cpv.version().to_owned())))
            .collect();
        let old = |version: &str| Some(version.to_owned());
        assert_eq!(kinds, [(ChangeKind::Updated, old("11")), (ChangeKind::Removed, old("9"))]);
    }
}
