//! Shared libraries: `REQUIRES` of a package against `PROVIDES` of all that it leads to.
//!
//! Both values are lists by multilib category: `x86_32: libc.so.6 x86_64: libc.so.6 libz.so.1`
//! (`dep/soname/parse.py`). Every strongly connected component of the dependencies gets a bit set of the required
//! sonames that it or anything below it provides; the components come from the leaves upward, so each is made once.

use super::findings::Findings;
use super::set::Set;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeSet, HashMap};
use swarm_protocol::gentoo::Soname;
use swarm_protocol::resolution::FindingKind;

/// A category and a name.
type Key<'a> = (&'a str, &'a str);

pub(super) fn check(
    set: &Set<'_>,
    dependencies: &[BTreeSet<usize>],
    system: &[usize],
    declared: &[Soname],
    findings: &mut Findings,
) {
    let declared: BTreeSet<Key<'_>> =
        declared.iter().map(|soname| (soname.category(), soname.name())).collect();
    // Each required soname has a number, its bit.
    let mut bits: HashMap<Key<'_>, usize> = HashMap::new();
    for member in &set.members {
        for key in parse(member.value("REQUIRES")).filter(|key| !declared.contains(key)) {
            let next = bits.len();
            bits.entry(key).or_insert(next);
        }
    }
    let reach = Reach::of(set, dependencies, &bits);
    let of_system = reach.union(system);
    let mut whys: HashMap<usize, String> = HashMap::new();
    for (index, member) in set.members.iter().enumerate() {
        for key in parse(member.value("REQUIRES")) {
            let Some(bit) = bits.get(&key) else { continue };
            if !has(reach.of_member(index), *bit) && !has(&of_system, *bit) {
                let why = whys.entry(*bit).or_insert_with(|| instead(set, key)).clone();
                findings.add(FindingKind::Soname, &format!("{}: {}", key.0, key.1), Some(member.cpv), why);
            }
        }
    }
}

/// The sonames of a value.
fn parse(value: &str) -> impl Iterator<Item = Key<'_>> {
    let mut category = "";
    value.split(' ').filter_map(move |word| match word.strip_suffix(':') {
        Some(next) => {
            category = next;
            None
        }
        None => (!word.is_empty()).then_some((category, word)),
    })
}

/// What can be reached.
struct Reach {
    /// The component of each member.
    component: Vec<usize>,
    /// The bit set of each component.
    provides: Vec<Vec<u64>>,
    words: usize,
}

impl Reach {
    fn of(set: &Set<'_>, dependencies: &[BTreeSet<usize>], bits: &HashMap<Key<'_>, usize>) -> Self {
        let mut graph = DiGraph::<(), (), usize>::with_capacity(dependencies.len(), 0);
        for _ in dependencies {
            graph.add_node(());
        }
        for (from, to) in dependencies.iter().enumerate() {
            graph.extend_with_edges(to.iter().map(|to| (NodeIndex::new(from), NodeIndex::new(*to))));
        }
        let mut reach = Self {
            component: vec![0; dependencies.len()],
            provides: Vec::new(),
            words: bits.len().div_ceil(64),
        };
        // Dependencies come before those who depend on them.
        for members in kosaraju_scc(&graph) {
            let number = reach.provides.len();
            let mut all = vec![0; reach.words];
            for member in members.iter().map(|node| node.index()) {
                reach.component[member] = number;
                let provided = parse(set.members[member].value("PROVIDES")).filter_map(|key| bits.get(&key));
                provided.for_each(|bit| all[bit / 64] |= 1 << (bit % 64));
            }
            let below = members.iter().flat_map(|node| &dependencies[node.index()]);
            let below: BTreeSet<_> = below.map(|member| reach.component[*member]).collect();
            for component in below.into_iter().filter(|component| *component < number) {
                add(&mut all, &reach.provides[component]);
            }
            reach.provides.push(all);
        }
        reach
    }

    fn of_member(&self, member: usize) -> &[u64] {
        &self.provides[self.component[member]]
    }

    fn union(&self, members: &[usize]) -> Vec<u64> {
        let mut all = vec![0; self.words];
        for member in members {
            add(&mut all, self.of_member(*member));
        }
        all
    }
}

fn add(to: &mut [u64], more: &[u64]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to |= more);
}

fn has(set: &[u64], bit: usize) -> bool {
    set.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
}

/// Who provides a soname although it is out of reach, or what comes near it.
fn instead(set: &Set<'_>, (category, name): Key<'_>) -> String {
    let stem = |name: &str| name.split(".so").next().unwrap_or_default().to_owned();
    let mut near = Vec::new();
    for member in &set.members {
        for (_, other) in parse(member.value("PROVIDES")).filter(|(of, _)| *of == category) {
            if other == name {
                return format!("{} provides it, but is none of its dependencies", member.cpv);
            }
            if stem(other) == stem(name) {
                near.push(format!("{} provides {other}", member.cpv));
            }
        }
    }
    if near.is_empty() { "nothing in the set provides it".to_owned() } else { near.join("\n") }
}
