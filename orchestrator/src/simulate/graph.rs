//! A dependency graph from a file, as `tests/graphs` has them, and what its nodes wait for.

use crate::graph::{Closures, ranks};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::Deserialize;
use std::collections::BTreeSet;
use swarm_protocol::state::EdgeKind;

/// The file. What else it says of its nodes does not matter here.
#[derive(Debug, Deserialize)]
struct File {
    nodes: Vec<Node>,
    edges: Vec<(usize, usize, Vec<EdgeKind>)>,
}

#[derive(Debug, Deserialize)]
struct Node {
    /// Build time on a drone of speed 1.
    seconds: f64,
}

/// Why a file is no graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// It has another shape.
    #[error("it is not a graph of nodes with seconds, and edges [dependent, dependency, kinds]: {0}")]
    Shape(#[from] serde_json::Error),
    /// A build time is negative, or no number of seconds.
    #[error("node {0} takes {1} seconds")]
    Seconds(usize, f64),
    /// An edge points out of the graph.
    #[error("edge {0} names node {1}, but there are {2} nodes")]
    Edge(usize, usize, usize),
}

/// Nodes with their build times, and what each waits for. Without cycles.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Build times on a drone of speed 1.
    pub seconds: Vec<f64>,
    /// What each node waits for.
    pub waits: Vec<BTreeSet<usize>>,
    /// An order in which every node stands behind all that it waits for.
    order: Vec<usize>,
}

/// A build may take a century.
const LONGEST_SECONDS: f64 = 100.0 * 365.0 * 86400.0;

impl Graph {
    /// From a file's bytes: nodes wait for the runtime closure of their build-time dependencies. Packages that wait for
    /// each other are taken as if the base root had old versions of them: those waits are dropped.
    pub fn parse(bytes: &[u8]) -> Result<Self, GraphError> {
        let File { nodes, edges } = serde_json::from_slice(bytes)?;
        let seconds: Vec<_> = nodes.into_iter().map(|node| node.seconds).collect();
        let is_time = |seconds: f64| (0.0..=LONGEST_SECONDS).contains(&seconds);
        if let Some(node) = seconds.iter().position(|&seconds| !is_time(seconds)) {
            return Err(GraphError::Seconds(node, seconds[node]));
        }
        let count = seconds.len();
        for (index, (dependent, dependency, _)) in edges.iter().enumerate() {
            if let Some(&node) = [dependent, dependency].into_iter().find(|&&node| node >= count) {
                return Err(GraphError::Edge(index, node, count));
            }
        }
        let of_kind = |kind| {
            let edges = edges.iter().filter(|(.., kinds)| kinds.contains(&kind));
            directed(count, edges.map(|(dependent, dependency, _)| (*dependent, *dependency)))
        };
        let closures = Closures::of(of_kind(EdgeKind::Buildtime), of_kind(EdgeKind::Runtime));
        Ok(Self::of(seconds, (0..count).map(|node| closures.needs(node)).collect()))
    }

    /// Of these waits, less those inside cycles.
    #[must_use]
    pub fn of(seconds: Vec<f64>, mut waits: Vec<BTreeSet<usize>>) -> Self {
        let pairs =
            waits.iter().enumerate().flat_map(|(node, waits)| waits.iter().map(move |on| (node, *on)));
        // Tarjan's algorithm yields components in reverse topological order: dependencies first.
        let components = tarjan_scc(&directed(seconds.len(), pairs));
        for component in &components {
            let members: BTreeSet<_> = component.iter().map(|node| node.index()).collect();
            for &member in &members {
                waits[member].retain(|on| !members.contains(on));
            }
        }
        let order = components.into_iter().flatten().map(NodeIndex::index).collect();
        Self { seconds, waits, order }
    }

    /// The time of each node plus the longest chain behind it.
    #[must_use]
    pub fn ranks(&self) -> Vec<f64> {
        ranks(&self.waits, &self.order, &self.seconds)
    }

    /// What no schedule can beat when builds take `seconds` on a drone of speed 1: the longest chain on the fastest
    /// drone, and all the work on all of them.
    #[must_use]
    pub fn lower_bound(&self, seconds: &[f64], speeds: &[f64]) -> f64 {
        let chain = ranks(&self.waits, &self.order, seconds).into_iter().fold(0.0, f64::max);
        let fastest = speeds.iter().copied().fold(0.0, f64::max);
        (chain / fastest).max(seconds.iter().sum::<f64>() / speeds.iter().sum::<f64>())
    }
}

fn directed(count: usize, edges: impl Iterator<Item = (usize, usize)>) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(count, 0);
    for _ in 0..count {
        graph.add_node(());
    }
    for (dependent, dependency) in edges {
        graph.add_edge(NodeIndex::new(dependent), NodeIndex::new(dependency), ());
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(edges: &str) -> Result<Graph, GraphError> {
        let nodes = r#"[{"cpv":"a/a-1","seconds":1.0},{"cpv":"a/b-1","seconds":2},{"seconds":4.0}]"#;
        Graph::parse(format!(r#"{{"nodes":{nodes},"edges":{edges}}}"#).as_bytes())
    }

    #[test]
    fn waits_reach_through_what_is_needed_at_run_time() {
        let graph = parse(r#"[[0,1,["buildtime"]],[1,2,["runtime"]],[2,0,["runtime_post"]]]"#).unwrap();
        assert_eq!(graph.waits, [[1, 2].into(), BTreeSet::new(), BTreeSet::new()]);
        assert_eq!(graph.ranks(), [1.0, 3.0, 5.0]);
        assert!((graph.lower_bound(&graph.seconds, &[1.0, 2.0]) - 2.5).abs() < 1e-9, "the chain 2 → 0");
        assert!((graph.lower_bound(&graph.seconds, &[1.0]) - 7.0).abs() < 1e-9, "all the work");
    }

    #[test]
    fn cycles_are_cut() {
        let graph = parse(r#"[[0,1,["buildtime"]],[1,0,["buildtime"]],[2,0,["buildtime"]]]"#).unwrap();
        assert_eq!(graph.waits, [[].into(), BTreeSet::new(), [0].into()]);
    }

    #[test]
    fn what_is_no_graph_is_named() {
        let said = |edges| parse(edges).unwrap_err().to_string();
        assert_eq!(said(r#"[[0,3,["runtime"]]]"#), "edge 0 names node 3, but there are 3 nodes");
        assert!(said(r#"[[0,1,["sometimes"]]]"#).contains("unknown variant `sometimes`"));
        let negative = Graph::parse(br#"{"nodes":[{"seconds":-1}],"edges":[]}"#).unwrap_err();
        assert_eq!(negative.to_string(), "node 0 takes -1 seconds");
    }
}
