//! The graphs: a real one, and generated ones of the size of a desktop's world.

use build_orchestrator::simulate::Graph;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::LogNormal;
use std::collections::BTreeSet;

const NODES: usize = 2500;
/// How many packages of the wide graph are a base that the others wait for.
const BASE: usize = 300;
const LAYERS: usize = 60;

/// Each with its name.
pub(crate) fn all() -> Vec<(&'static str, Graph)> {
    vec![("world-291", world()), ("wide-2500", wide()), ("deep-2500", deep())]
}

/// What Portage computed over real ebuilds; see `tests/graphs`.
pub(crate) fn world() -> Graph {
    Graph::parse(include_bytes!("../../graphs/world-291.json")).unwrap()
}

/// Most packages wait for a few of a common base only.
fn wide() -> Graph {
    generate(1, |rng, node| {
        let waits = if node < BASE / 6 { 0 } else { rng.random_range(0..4) };
        (0..waits).map(|_| rng.random_range(0..node.min(BASE))).collect()
    })
}

/// Every package waits for some of the layer below.
pub(crate) fn deep() -> Graph {
    let layer = NODES / LAYERS;
    generate(2, |rng, node| {
        let below = (node / layer).checked_sub(1);
        let waits = rng.random_range(1..4);
        below.map_or_else(BTreeSet::new, |below| {
            (0..waits).map(|_| below * layer + rng.random_range(0..layer)).collect()
        })
    })
}

/// Build times have the heavy tail of real ones: half take less than 25 s, one in a hundred more than ten minutes.
fn generate(seed: u64, mut waits: impl FnMut(&mut ChaCha8Rng, usize) -> BTreeSet<usize>) -> Graph {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let time = LogNormal::new(3.2, 1.4).unwrap();
    let seconds = (0..NODES).map(|_| rng.sample::<f64, _>(time).clamp(1.0, 20_000.0)).collect();
    Graph::of(seconds, (0..NODES).map(|node| waits(&mut rng, node)).collect())
}
