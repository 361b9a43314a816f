//! Where packages may be built, and beside what: rules in the orchestrator's configuration.
//!
//! ```toml
//! [[rules]]                       # needs, where the history knows too little
//! atom = "www-client/chromium"
//! memory_bytes = 34359738368
//! disk_bytes = 107374182400
//!
//! [[rules]]                       # a target's builds stay on these drones
//! target = "arm"
//! drones = ["drone-izar", "drone-tarn"]
//!
//! [[rules]]                       # one at a time, in the whole swarm
//! atom = "sci-libs/tensorflow"
//! exclusive = "licence-server"
//! ```
//!
//! Like `package.env`, every rule that fits counts, in the order of the file, and the last word on a field wins.

use crate::scheduler::Needs;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use swarm_protocol::gentoo::{Atom, Cpv, TargetName, rule};

/// A rule: for whom, and what.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The target whose packages it is for; all where absent.
    #[serde(default)]
    pub target: Option<TargetName>,
    /// The packages it is for, by name and version; all where absent.
    #[serde(default, deserialize_with = "atom")]
    pub atom: Option<Atom>,
    /// The names of the drones that may build them; all where absent.
    #[serde(default)]
    pub drones: Option<BTreeSet<String>>,
    /// Packages with the same word here are built one at a time.
    #[serde(default)]
    pub exclusive: Option<String>,
    /// Bytes of memory that a drone should have.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Bytes of disk that a drone should have free.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
}

fn atom<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Atom>, D::Error> {
    rule::atom(from, "a rule's")
}

/// What the rules come to for one package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement<'a> {
    /// The names of the drones that may build it.
    pub drones: Option<&'a BTreeSet<String>>,
    /// Its group.
    pub exclusive: Option<&'a str>,
    /// What it needs at least.
    pub needs: Needs,
}

impl<'a> Placement<'a> {
    /// Of a package of a target.
    #[must_use]
    pub fn of(rules: &'a [Rule], target: &TargetName, cpv: &Cpv) -> Self {
        let mut placement = Self::default();
        let fits = |one: &&Rule| rule::is_for((one.target.as_ref(), one.atom.as_ref()), target, cpv);
        for rule in rules.iter().filter(fits) {
            placement.drones = rule.drones.as_ref().or(placement.drones);
            placement.exclusive = rule.exclusive.as_deref().or(placement.exclusive);
            let needs = &mut placement.needs;
            needs.memory_bytes = rule.memory_bytes.unwrap_or(needs.memory_bytes);
            needs.disk_bytes = rule.disk_bytes.unwrap_or(needs.disk_bytes);
        }
        placement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        rules: Vec<Rule>,
    }

    #[test]
    fn the_last_word_on_a_field_wins() {
        let text = r#"
            [[rules]]
            memory_bytes = 1000
            drones = ["izar"]
            [[rules]]
            target = "laptop"
            atom = ">=dev-lang/rust-1.80"
            memory_bytes = 2000
            exclusive = "llvm"
        "#;
        let rules = toml::from_str::<File>(text).unwrap().rules;
        let of =
            |target: &str, cpv: &str| Placement::of(&rules, &target.parse().unwrap(), &cpv.parse().unwrap());
        let rust = of("laptop", "dev-lang/rust-1.85.1");
        assert_eq!((rust.needs.memory_bytes, rust.exclusive), (2000, Some("llvm")));
        assert!(rust.drones.is_some_and(|drones| drones.contains("izar")));
        assert_eq!(of("laptop", "dev-lang/rust-1.75.0").needs.memory_bytes, 1000);
        assert_eq!(of("server", "dev-lang/rust-1.85.1").exclusive, None);
    }

    #[test]
    fn an_atom_with_a_slot_is_refused() {
        let error = toml::from_str::<File>("[[rules]]\natom = \"a/b:0\"").map(|file| file.rules).unwrap_err();
        assert!(error.to_string().contains("a rule's atom names package and version only"), "{error}");
    }
}
