//! Plans whose shape is what is measured. Their edges are build-time only: a runtime edge would let every package wait
//! for all that lie below it.

use serde_json::{Value, json};
use swarm_protocol::plan::Plan;

fn package(name: &str, estimate_seconds: f64) -> Value {
    json!({ "cpv": format!("test/{name}-1"), "slot": "0", "repository": "test", "estimate_seconds": estimate_seconds })
}

fn edge(dependent: usize, dependency: usize) -> Value {
    json!([dependent, dependency, ["buildtime"]])
}

fn plan(packages: &[Value], edges: &[Value]) -> Plan {
    serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
}

/// Layers of packages, each of which waits for the whole layer before. Names begin with `name`.
pub(crate) fn layers(name: &str, widths: &[usize]) -> Plan {
    let (mut packages, mut edges) = (Vec::new(), Vec::new());
    let mut before = 0..0;
    for &width in widths {
        let layer = packages.len()..packages.len() + width;
        packages.extend(layer.clone().map(|index| package(&format!("{name}{index}x"), 1.0)));
        edges.extend(
            layer
                .clone()
                .flat_map(|dependent| before.clone().map(move |dependency| edge(dependent, dependency))),
        );
        before = layer;
    }
    plan(&packages, &edges)
}

/// Chains that do not wait for each other: of each pair `count` chains of `length` packages, each of which is expected
/// to take so many seconds.
pub(crate) fn chains(groups: &[(usize, usize, f64)]) -> Plan {
    let (mut packages, mut edges) = (Vec::new(), Vec::new());
    for &(count, length, estimate) in groups {
        for _ in 0..count {
            for place in 0..length {
                let index = packages.len();
                packages.push(package(&format!("p{index}x"), estimate));
                if place > 0 {
                    edges.push(edge(index, index - 1));
                }
            }
        }
    }
    plan(&packages, &edges)
}
