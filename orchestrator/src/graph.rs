//! From a plan's typed edges to what the queue needs: waits, positions, ranks. Pure.
//!
//! What must be received before X can build is **the runtime closure of X's build-time dependencies**, less X itself:
//! emerge installs those into the clean root, and they need their own runtime dependencies there (PORTAGE.md 4).
//! PDEPEND (`runtime_post`) never waits. Packages that wait for each other come in stages: [`crate::staging`].

use crate::staging::{self, Row, Stages};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, DfsPostOrder};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::plan::{Edge, Plan, Staging};
use swarm_protocol::state::EdgeKind;

/// What a package is believed to take where nothing is known, in seconds on a drone of speed 1.
const UNKNOWN_ESTIMATE_SECONDS: f64 = 60.0;

/// A plan, ready for the queue. All vectors are indexed like the rows, whose first are those of [`Plan::packages`].
#[derive(Debug, PartialEq)]
pub struct Graph {
    /// What the queue gets.
    pub rows: Vec<Row>,
    /// What each package waits for.
    pub waits: Vec<BTreeSet<usize>>,
    /// Places in an order in which runtime dependencies stand before their dependents, cycles apart.
    pub positions: Vec<i32>,
    /// An order in which every package stands behind all that it waits for.
    pub order: Vec<usize>,
    /// The expected build times; nothing for what is kept or a substitute.
    pub estimates: Vec<f64>,
    /// The expected build time plus the longest chain of them that waits behind.
    pub ranks: Vec<f64>,
}

/// Why a plan cannot enter the queue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to build.
    #[error("the plan has no packages")]
    Empty,
    /// A cpv stands in it twice.
    #[error("the plan names {0} twice")]
    Twice(Cpv),
    /// An estimate is negative, infinite or no number.
    #[error("the estimate of {0} is not a number of seconds")]
    Estimate(Cpv),
    /// An edge points out of the plan.
    #[error("edge {0} names package {1}, but the plan has {2} packages")]
    Edge(usize, u32, usize),
    /// Its stages make no sense.
    #[error("the stages of {}: {fault}", list(.members))]
    Staging {
        /// Those that are staged.
        members: Vec<Cpv>,
        /// What is wrong.
        fault: &'static str,
    },
    /// Packages wait for each other.
    #[error("these packages wait for each other: {}", list(.0))]
    Cycle(Vec<Cpv>),
}

fn list(cpvs: &[Cpv]) -> String {
    cpvs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Graph {
    /// Judges and orders `plan`.
    pub fn of(plan: &Plan) -> Result<Self, PlanError> {
        check(plan)?;
        let rows = staging::rows(plan)?;
        let waits = waits(plan, &rows);
        let order = build_order(plan, &rows, &waits)?;
        let estimate = |row: &Row| match &plan.packages[row.package] {
            package if package.keep.is_some() || row.substitute.is_some() => 0.0,
            package => package.estimate_seconds.unwrap_or(UNKNOWN_ESTIMATE_SECONDS),
        };
        let estimates: Vec<f64> = rows.iter().map(estimate).collect();
        let ranks = ranks(&waits, &order, &estimates);
        let places = positions(&subgraph(plan, &Instead::new(), EdgeKind::Runtime));
        let positions = rows.iter().map(|row| places[row.package]).collect();
        Ok(Self { rows, waits, positions, order, estimates, ranks })
    }
}

fn check(plan: &Plan) -> Result<(), PlanError> {
    let count = plan.packages.len();
    if count == 0 {
        return Err(PlanError::Empty);
    }
    let mut seen = HashSet::new();
    for package in &plan.packages {
        if !seen.insert(&package.cpv) {
            return Err(PlanError::Twice(package.cpv.clone()));
        }
        if package.estimate_seconds.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
            return Err(PlanError::Estimate(package.cpv.clone()));
        }
    }
    for (index, Edge(dependent, dependency, _)) in plan.edges.iter().enumerate() {
        if let Some(wrong) = [dependent, dependency].into_iter().find(|&&node| node as usize >= count) {
            return Err(PlanError::Edge(index, *wrong, count));
        }
    }
    Ok(())
}

/// Edges of packages that differ from those in [`Plan::edges`].
type Instead<'a> = BTreeMap<u32, &'a [(u32, Vec<EdgeKind>)]>;

/// The plan's packages with their edges of one kind, dependent → dependency.
fn subgraph(plan: &Plan, instead: &Instead<'_>, kind: EdgeKind) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(plan.packages.len(), plan.edges.len());
    for _ in &plan.packages {
        graph.add_node(());
    }
    let full = plan.edges.iter().map(|Edge(dependent, dependency, kinds)| (*dependent, *dependency, kinds));
    let full = full.filter(|(dependent, ..)| !instead.contains_key(dependent));
    let others = instead
        .iter()
        .flat_map(|(package, edges)| edges.iter().map(|(dependency, kinds)| (*package, *dependency, kinds)));
    for (dependent, dependency, _) in full.chain(others).filter(|(.., kinds)| kinds.contains(&kind)) {
        graph.add_edge(node(dependent as usize), node(dependency as usize), ());
    }
    graph
}

fn node(index: usize) -> NodeIndex {
    NodeIndex::new(index)
}

fn waits(plan: &Plan, rows: &[Row]) -> Vec<BTreeSet<usize>> {
    let stages = Stages::of(plan, rows);
    let as_planned = Instead::new();
    let full = Closures::of_plan(plan, &as_planned, &as_planned);
    // Another staging's packages are there as they will be published.
    let early = |staging: &Staging| {
        let first: Instead<'_> = staging::early(staging).collect();
        // So is, in stage 2, a reduced package that is no member.
        let is_member = |package: &u32| staging.members.contains(package);
        let second = staging::early(staging).filter(|(package, _)| is_member(package)).collect();
        [Closures::of_plan(plan, &first, &first), Closures::of_plan(plan, &as_planned, &second)]
    };
    let early: Vec<_> = plan.stagings.iter().map(early).collect();
    let waits = |row: &Row| -> BTreeSet<usize> {
        if row.substitute.is_some() {
            return BTreeSet::new();
        }
        let closures = match (stages.staging(row), row.stage) {
            (Some(staging), 1) => &early[staging][0],
            (Some(staging), _) => &early[staging][1],
            (None, _) => &full,
        };
        let needed = closures.needs(row.package);
        needed.into_iter().filter_map(|package| stages.provider(row, package)).collect()
    };
    rows.iter().map(waits).collect()
}

/// What packages need in their roots, from dependency edges of the two kinds that count, dependent → dependency.
pub(crate) struct Closures {
    buildtime: DiGraph<(), ()>,
    runtime: DiGraph<(), ()>,
}

impl Closures {
    pub(crate) fn of(buildtime: DiGraph<(), ()>, runtime: DiGraph<(), ()>) -> Self {
        Self { buildtime, runtime }
    }

    /// Those of a plan, with these edges in place of the planned ones.
    fn of_plan(plan: &Plan, buildtime: &Instead<'_>, runtime: &Instead<'_>) -> Self {
        let buildtime = subgraph(plan, buildtime, EdgeKind::Buildtime);
        Self::of(buildtime, subgraph(plan, runtime, EdgeKind::Runtime))
    }

    /// The runtime closure of a package's build-time dependencies, the package itself among them where they need it.
    pub(crate) fn needs(&self, package: usize) -> BTreeSet<usize> {
        let mut needs = BTreeSet::new();
        let mut closure = Dfs::empty(&self.runtime);
        for dependency in self.buildtime.neighbors(node(package)) {
            closure.move_to(dependency);
            while let Some(needed) = closure.next(&self.runtime) {
                needs.insert(needed.index());
            }
        }
        needs
    }
}

/// An order in which every package stands behind all that it waits for.
fn build_order(plan: &Plan, rows: &[Row], waits: &[BTreeSet<usize>]) -> Result<Vec<usize>, PlanError> {
    let mut graph = DiGraph::<(), ()>::with_capacity(waits.len(), 0);
    for _ in waits {
        graph.add_node(());
    }
    for (package, waited) in waits.iter().enumerate() {
        for &dependency in waited {
            graph.add_edge(node(package), node(dependency), ());
        }
    }
    // Tarjan's algorithm yields components in reverse topological order: dependencies first.
    tarjan_scc(&graph)
        .into_iter()
        .map(|component| {
            if let [single] = component.as_slice() {
                Ok(single.index())
            } else {
                let mut cycle: Vec<_> = component
                    .iter()
                    .map(|node| &rows[node.index()])
                    .map(|row| row.cpv(&plan.packages[row.package]).clone())
                    .collect();
                cycle.sort();
                cycle.dedup();
                Err(PlanError::Cycle(cycle))
            }
        })
        .collect()
}

/// The estimate of each plus the longest chain of them that waits for it.
pub(crate) fn ranks(waits: &[BTreeSet<usize>], order: &[usize], estimates: &[f64]) -> Vec<f64> {
    let mut ranks = estimates.to_vec();
    for &package in order.iter().rev() {
        for &dependency in &waits[package] {
            ranks[dependency] = ranks[dependency].max(estimates[dependency] + ranks[package]);
        }
    }
    ranks
}

fn positions(runtime: &DiGraph<(), ()>) -> Vec<i32> {
    let mut positions = vec![0; runtime.node_count()];
    let mut walk = DfsPostOrder::empty(runtime);
    let mut next = 0;
    for start in runtime.node_indices() {
        walk.move_to(start);
        while let Some(package) = walk.next(runtime) {
            positions[package.index()] = next;
            next += 1;
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plan(packages: &[(&str, f64)], edges: &serde_json::Value) -> Plan {
        let packages: Vec<_> = packages
            .iter()
            .map(|(cpv, seconds)| json!({"cpv": cpv, "slot": "0", "repository": "r", "estimate_seconds": seconds}))
            .collect();
        serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
    }

    #[test]
    fn waits_are_the_runtime_closure_of_buildtime_dependencies() {
        let plan = plan(
            &[("a/program-1", 1.0), ("a/tool-1", 2.0), ("a/library-1", 4.0), ("a/plugin-1", 8.0)],
            &json!([
                [0, 1, ["buildtime"]],
                [1, 2, ["runtime"]],
                [1, 3, ["runtime_post"]],
                [3, 1, ["buildtime"]]
            ]),
        );
        let graph = Graph::of(&plan).unwrap();
        assert_eq!(graph.waits, [[1, 2].into(), [].into(), [].into(), [1, 2].into()]);
        assert_eq!(graph.ranks, [1.0, 10.0, 12.0, 8.0]);
        assert!(graph.positions[2] < graph.positions[1], "the library is installed before the tool");
    }

    #[test]
    fn a_build_time_cycle_through_a_runtime_dependency_is_named() {
        let plan = plan(
            &[("a/x-1", 1.0), ("a/tool-1", 1.0), ("a/z-1", 1.0)],
            &json!([
                [0, 1, ["buildtime"]],
                [1, 0, ["runtime"]],
                [1, 2, ["buildtime"]],
                [2, 1, ["buildtime"]]
            ]),
        );
        let Err(PlanError::Cycle(cycle)) = Graph::of(&plan) else { panic!("no cycle found") };
        assert_eq!(list(&cycle), "a/tool-1, a/x-1, a/z-1");
    }

    #[test]
    fn a_package_needed_by_its_own_tool_waits_for_the_tool_only() {
        let plan =
            plan(&[("a/x-1", 1.0), ("a/tool-1", 1.0)], &json!([[0, 1, ["buildtime"]], [1, 0, ["runtime"]]]));
        assert_eq!(Graph::of(&plan).unwrap().waits, [[1].into(), BTreeSet::new()]);
    }

    #[test]
    fn bad_plans_are_refused() {
        let empty =
            Plan { packages: vec![], edges: vec![], stagings: vec![], system: vec![], toolchain: vec![] };
        assert_eq!(Graph::of(&empty), Err(PlanError::Empty));
        let twice = plan(&[("a/x-1", 1.0), ("a/x-1", 1.0)], &json!([]));
        assert_eq!(Graph::of(&twice), Err(PlanError::Twice("a/x-1".parse().unwrap())));
        let outside = plan(&[("a/x-1", 1.0)], &json!([[0, 1, ["runtime"]]]));
        assert_eq!(Graph::of(&outside), Err(PlanError::Edge(0, 1, 1)));
        let negative = plan(&[("a/x-1", -1.0)], &json!([]));
        assert_eq!(Graph::of(&negative), Err(PlanError::Estimate("a/x-1".parse().unwrap())));
    }

    proptest! {
        #[test]
        fn ranks_fall_along_every_wait(edges in proptest::collection::vec((0..30_u32, 0..30_u32, 0..3_usize), 0..80)) {
            let names: Vec<_> = (0..30).map(|index| format!("a/p{index}x-1")).collect();
            let packages: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
            let mut plan = plan(&packages, &json!([]));
            // Edges only from higher to lower indices: no cycles.
            plan.edges = edges
                .into_iter()
                .filter(|(from, to, _)| from > to)
                .map(|(from, to, kind)| Edge(from, to, vec![EdgeKind::ALL[kind]]))
                .collect();
            let graph = Graph::of(&plan).unwrap();
            for (package, waits) in graph.waits.iter().enumerate() {
                for &dependency in waits {
                    prop_assert!(graph.ranks[dependency] > graph.ranks[package]);
                }
            }
            for Edge(from, to, kinds) in &plan.edges {
                if kinds[0] == EdgeKind::Buildtime {
                    prop_assert!(graph.waits[*from as usize].contains(&(*to as usize)));
                } else if kinds[0] == EdgeKind::Runtime {
                    prop_assert!(graph.positions[*to as usize] < graph.positions[*from as usize]);
                }
            }
        }
    }
}
