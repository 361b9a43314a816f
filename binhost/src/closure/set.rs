//! The packages of a set, found by name.

use crate::artifact::Artifact;
use std::collections::HashMap;
use swarm_protocol::gentoo::{Atom, Cpv, Slot};

/// A package of the set.
pub(super) struct Member<'a> {
    pub(super) cpv: &'a Cpv,
    pub(super) slot: Slot,
    artifact: &'a Artifact,
}

/// A set, and what is there besides.
pub(super) struct Set<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// By `category/name`, in the set's order.
    by_cp: HashMap<String, Vec<usize>>,
    provided: HashMap<String, Vec<&'a Cpv>>,
}

impl<'a> Member<'a> {
    /// A value of the metadata, empty where there is none.
    pub(super) fn value(&self, key: &str) -> &'a str {
        self.artifact.value(key)
    }

    fn has(&self, flag: &str) -> bool {
        let mut iuse = self.value("IUSE").split(' ');
        iuse.any(|known| known.strip_prefix(['+', '-']).unwrap_or(known) == flag) || self.is_on(flag)
    }

    fn is_on(&self, flag: &str) -> bool {
        self.value("USE").split(' ').any(|on| on == flag)
    }

    fn matches(&self, atom: &Atom) -> bool {
        atom.matches_version(self.cpv)
            && atom.matches_slot(&self.slot)
            && atom.matches_repository(self.value("repository"))
            && atom.matches_use(|flag| self.has(flag), |flag| self.is_on(flag))
    }
}

impl<'a> Set<'a> {
    pub(super) fn new(artifacts: impl Iterator<Item = &'a Artifact>, provided: &'a [Cpv]) -> Self {
        let mut set = Self { members: Vec::new(), by_cp: HashMap::new(), provided: HashMap::new() };
        for artifact in artifacts {
            set.by_cp.entry(artifact.cpv.cp()).or_default().push(set.members.len());
            let slot = artifact.slot();
            set.members.push(Member { cpv: &artifact.cpv, slot, artifact });
        }
        for cpv in provided {
            set.provided.entry(cpv.cp()).or_default().push(cpv);
        }
        set
    }

    /// All packages of one name.
    pub(super) fn named(&self, cp: &str) -> &[usize] {
        self.by_cp.get(cp).map_or(&[], Vec::as_slice)
    }

    /// The names in the set, each with its packages, ordered.
    pub(super) fn names(&self) -> Vec<(&str, &[usize])> {
        let mut names: Vec<_> =
            self.by_cp.iter().map(|(cp, members)| (cp.as_str(), members.as_slice())).collect();
        names.sort_unstable();
        names
    }

    /// The packages that an atom matches.
    pub(super) fn matching(&self, atom: &Atom) -> Vec<usize> {
        let named = self.named(atom.cp()).iter().copied();
        named.filter(|member| self.members[*member].matches(atom)).collect()
    }

    /// Whether `package.provided` satisfies an atom: by version only, as in Portage, for it tells no more.
    pub(super) fn is_provided(&self, atom: &Atom) -> bool {
        let provided = self.provided.get(atom.cp());
        provided.is_some_and(|cpvs| cpvs.iter().any(|cpv| atom.matches_version(cpv)))
    }

    /// A package as findings name it: `dev-libs/icu-75.1:0/75`.
    pub(super) fn name(&self, member: usize) -> String {
        let Member { cpv, slot, .. } = &self.members[member];
        format!("{cpv}:{slot}")
    }
}
