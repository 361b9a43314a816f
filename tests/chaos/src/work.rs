//! What a world builds: a graph from a seed. Pure.

use rand::{Rng, RngExt};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::plan::Plan;
use swarm_tests::plans;

/// A plan, and what of it compiles nowhere at first.
pub struct Work {
    /// The plan.
    pub plan: Plan,
    /// What is spoilt.
    pub bad: Vec<Cpv>,
}

/// Forty to ninety packages; each waits for a few before it, the last ones mostly for many.
#[must_use]
pub fn work(dice: &mut impl Rng) -> Work {
    let count = dice.random_range(40..90_u32);
    let names: Vec<_> = (0..count).map(|number| format!("test/p{number}x-1")).collect();
    let mut edges = Vec::new();
    for package in 1..count {
        for _ in 0..dice.random_range(0..4) {
            edges.push((package, dice.random_range(package.saturating_sub(25)..package)));
        }
    }
    edges.sort_unstable();
    edges.dedup();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let bad = (0..dice.random_range(0..3)).map(|_| names[dice.random_range(0..names.len())]);
    Work { bad: bad.map(|name| name.parse().unwrap()).collect(), plan: plans::plan(&names, &edges) }
}
