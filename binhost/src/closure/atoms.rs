//! What the dependencies of the set's packages match in it.

use super::findings::Findings;
use super::set::Set;
use super::walk::walk;
use std::collections::{BTreeSet, HashMap};
use swarm_protocol::gentoo::{Atom, Blocker, WorldAtom};
use swarm_protocol::resolution::FindingKind;

/// The dependencies that hold where a binary is installed.
const KEYS: [&str; 3] = ["RDEPEND", "PDEPEND", "IDEPEND"];

/// The atoms of a set. Thousands of packages share a few hundred texts, so each is judged once.
pub(super) struct Atoms<'s, 'a> {
    set: &'s Set<'a>,
    known: HashMap<&'a str, Judged>,
}

enum Judged {
    Unread(String),
    Read { atom: Box<Atom>, matching: Vec<usize>, is_provided: bool },
}

impl<'s, 'a> Atoms<'s, 'a> {
    pub(super) fn new(set: &'s Set<'a>) -> Self {
        Self { set, known: HashMap::new() }
    }

    /// Checks a package's dependencies; gives the packages of the set that they match.
    pub(super) fn check(&mut self, member: usize, findings: &mut Findings) -> BTreeSet<usize> {
        let mut dependencies = BTreeSet::new();
        for key in KEYS {
            let mut failed = Vec::new();
            let value = self.set.members[member].value(key);
            walk(value, |text| self.holds(text, member, &mut dependencies), |text| failed.push(text));
            for text in failed {
                let (kind, detail) = self.explain(text, member);
                findings.add(kind, text, Some(self.set.members[member].cpv), detail);
            }
        }
        dependencies
    }

    /// The packages that atoms of `@system` match.
    pub(super) fn matched_by(&mut self, atoms: &[WorldAtom]) -> Vec<usize> {
        let atoms = atoms.iter().filter_map(|atom| atom.as_str().parse().ok());
        atoms.flat_map(|atom: Atom| self.set.matching(&atom)).collect()
    }

    fn judged(&mut self, text: &'a str) -> &Judged {
        let set = self.set;
        self.known.entry(text).or_insert_with(|| match text.parse::<Atom>() {
            Err(error) => Judged::Unread(error.to_string()),
            Ok(atom) => Judged::Read {
                matching: set.matching(&atom),
                is_provided: set.is_provided(&atom),
                atom: Box::new(atom),
            },
        })
    }

    fn holds(&mut self, text: &'a str, member: usize, dependencies: &mut BTreeSet<usize>) -> bool {
        match self.judged(text) {
            Judged::Unread(_) => false,
            Judged::Read { atom, matching, .. } if atom.blocker().is_some() => {
                matching.iter().all(|blocked| *blocked == member)
            }
            Judged::Read { matching, is_provided, .. } => {
                dependencies.extend(matching);
                *is_provided || !matching.is_empty()
            }
        }
    }

    /// Why what does not hold does not: an atom, or a group.
    fn explain(&mut self, text: &'a str, member: usize) -> (FindingKind, String) {
        if text.starts_with("||") {
            let atoms = text.split(' ').filter(|word| !matches!(*word, "||" | "(" | ")"));
            let whys: Vec<_> =
                atoms.filter_map(|atom| self.fault(atom, member)).map(|(_, why)| why).collect();
            let whys: BTreeSet<_> = whys.into_iter().collect();
            let lines: Vec<_> = whys.into_iter().collect();
            return (FindingKind::Unsatisfied, format!("no branch holds:\n{}", lines.join("\n")));
        }
        self.fault(text, member).unwrap_or_else(|| (FindingKind::Other, "it does not hold".to_owned()))
    }

    fn fault(&mut self, text: &'a str, member: usize) -> Option<(FindingKind, String)> {
        let set = self.set;
        match self.judged(text) {
            Judged::Unread(error) => Some((FindingKind::Unsatisfied, error.clone())),
            Judged::Read { atom, matching, .. } if atom.blocker().is_some() => {
                let blocked = matching.iter().filter(|blocked| **blocked != member);
                let blocked: Vec<_> = blocked.map(|blocked| set.name(*blocked)).collect();
                let how = match atom.blocker() {
                    Some(Blocker::Strong) => "must be gone before it is installed",
                    _ => "cannot stay when it is installed",
                };
                (!blocked.is_empty()).then(|| {
                    (FindingKind::Blocker, format!("{} {how}, but is in the set", blocked.join(", ")))
                })
            }
            Judged::Read { matching, is_provided, .. } if *is_provided || !matching.is_empty() => None,
            Judged::Read { atom, .. } => Some(missing(set, atom)),
        }
    }
}

/// What is there in the place of what an atom asks for.
fn missing(set: &Set<'_>, atom: &Atom) -> (FindingKind, String) {
    let there = set.named(atom.cp());
    if there.is_empty() {
        return (FindingKind::Unsatisfied, format!("the set has no {}", atom.cp()));
    }
    let names: Vec<_> = there.iter().map(|member| set.name(*member)).collect();
    let other_sub_slot = there.iter().map(|member| &set.members[*member]).any(|member| {
        atom.matches_version(member.cpv)
            && atom.matches_main_slot(&member.slot)
            && !atom.matches_slot(&member.slot)
    });
    let kind = if other_sub_slot { FindingKind::SubSlot } else { FindingKind::Unsatisfied };
    let flags =
        if atom.as_str().ends_with(']') && !other_sub_slot { uses(set, there) } else { String::new() };
    (kind, format!("the set has {}{flags}", names.join(", ")))
}

fn uses(set: &Set<'_>, members: &[usize]) -> String {
    let one =
        |member: &usize| format!("\n{} has USE=\"{}\"", set.name(*member), set.members[*member].value("USE"));
    members.iter().map(one).collect()
}
