//! Whole graphs: what waits for which stage.

use crate::graph::{Graph, PlanError};
use crate::staging::Row;
use serde_json::json;
use swarm_protocol::id::BuildId;
use swarm_protocol::plan::{Plan, Reduced, Staging, Substitute};
use swarm_protocol::state::EdgeKind;

fn plan(packages: &[(&str, f64)], edges: &serde_json::Value) -> Plan {
    let packages: Vec<_> = packages
        .iter()
        .map(
            |(cpv, seconds)| json!({"cpv": cpv, "slot": "0", "repository": "r", "estimate_seconds": seconds}),
        )
        .collect();
    serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
}

/// freetype[harfbuzz] ↔ harfbuzz, and a program that uses both.
fn cycle() -> Plan {
    let edges = json!([
        [0, 1, ["buildtime", "runtime"]],
        [1, 0, ["buildtime", "runtime"]],
        [2, 1, ["buildtime", "runtime"]],
        [0, 3, ["buildtime", "runtime"]]
    ]);
    let packages = [("m/freetype-2", 1.0), ("m/harfbuzz-6", 2.0), ("a/program-1", 4.0), ("a/zlib-1", 8.0)];
    let mut plan = plan(&packages, &edges);
    plan.packages[0].use_flags = vec!["harfbuzz".parse().unwrap(), "png".parse().unwrap()];
    plan
}

fn staging(edges: Vec<(u32, Vec<EdgeKind>)>) -> Staging {
    let disabled = vec!["harfbuzz".parse().unwrap()];
    let reduced = vec![Reduced { package: 0, disabled, edges }];
    Staging { members: vec![0, 1], reduced, substitutes: vec![] }
}

#[test]
fn a_cycle_is_built_in_stages() {
    let mut plan = cycle();
    assert!(matches!(Graph::of(&plan), Err(PlanError::Cycle(_))));
    plan.stagings = vec![staging(vec![(3, vec![EdgeKind::Buildtime, EdgeKind::Runtime])])];
    let graph = Graph::of(&plan).unwrap();
    let rows: Vec<_> = graph.rows.iter().map(|row| (row.package, row.stage)).collect();
    assert_eq!(rows, [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (0, 2)]);
    let flags = |row: usize| graph.rows[row].use_flags(&plan.packages[0]).len();
    assert_eq!((flags(0), flags(4), flags(6)), (2, 1, 2));
    let waits: [&[usize]; 7] = [
        // The last freetype: harfbuzz of stage 1 has all its USE, and needs freetype in turn, which has too.
        &[3, 5, 6],
        &[3, 5, 6],
        &[0, 1, 3],
        &[],
        &[3],
        &[3, 4],
        &[3, 4, 5],
    ];
    for (row, expected) in waits.into_iter().enumerate() {
        assert_eq!(graph.waits[row].iter().copied().collect::<Vec<_>>(), expected, "row {row}");
    }
}

/// book → press → tool, which needs book at run time, for its documentation.
#[test]
fn waits_may_go_through_a_package_that_waits_for_nobody() {
    let edges = json!([[0, 1, ["buildtime"]], [1, 2, ["buildtime"]], [2, 0, ["runtime"]]]);
    let mut plan = plan(&[("a/book-1", 1.0), ("a/press-1", 1.0), ("a/tool-1", 1.0)], &edges);
    let reduced = vec![Reduced { package: 2, disabled: vec!["doc".parse().unwrap()], edges: vec![] }];
    plan.stagings = vec![Staging { members: vec![0, 1], reduced, substitutes: vec![] }];
    let graph = Graph::of(&plan).unwrap();
    let rows: Vec<_> = graph.rows.iter().map(|row| (row.package, row.stage)).collect();
    assert_eq!(rows, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
    assert_eq!(graph.waits, [[4].into(), [2, 3].into(), [].into(), [4].into(), [5].into(), [].into()]);
}

fn substitute(package: u32, build_id: Option<i32>, needs: &[u32]) -> Substitute {
    let cpv = format!("a/earlier-{package}").parse().unwrap();
    let edges = needs.iter().map(|end| (*end, vec![EdgeKind::Runtime])).collect();
    Substitute { package, cpv, build_id: build_id.map(BuildId), use_flags: vec![], edges }
}

/// x and y need each other; the earlier y needs a library that the new one does without.
#[test]
fn earlier_builds_stand_for_packages_until_they_are_built() {
    let both = ["buildtime", "runtime"];
    let edges = json!([[0, 1, both], [1, 0, both]]);
    let mut plan = plan(&[("a/x-2", 1.0), ("a/y-2", 1.0), ("a/library-1", 1.0)], &edges);
    let stage = |substitutes| vec![Staging { members: vec![0, 1], reduced: vec![], substitutes }];
    let shown = |plan: &Plan| {
        let graph = Graph::of(plan).unwrap();
        let rows = graph.rows.iter().map(|row| (row.package, row.stage, row.substitute.is_some()));
        let waits = graph.waits.iter().map(|waits| waits.iter().copied().collect::<Vec<_>>());
        rows.zip(waits).skip(plan.packages.len()).collect::<Vec<_>>()
    };
    plan.stagings = stage(vec![substitute(0, Some(1), &[1]), substitute(1, Some(1), &[0, 2])]);
    let (x, y, library) = (3, 4, 2);
    assert_eq!(
        shown(&plan),
        [
            ((0, 1, true), vec![]),
            ((1, 1, true), vec![]),
            ((0, 2, false), vec![library, x, y]),
            ((1, 2, false), vec![library, x, y]),
        ]
    );
    assert_eq!(Graph::of(&plan).unwrap().waits[..2], [[5, 6].into(), [5, 6].into()]);
    // What the base root has is in every root.
    plan.stagings = stage(vec![substitute(0, None, &[1]), substitute(1, None, &[0])]);
    assert_eq!(shown(&plan), [((0, 2, false), vec![]), ((1, 2, false), vec![])]);
    assert_eq!(Graph::of(&plan).unwrap().waits[..2], [[3, 4].into(), [3, 4].into()]);
    // Only one of them was there before.
    plan.stagings = stage(vec![substitute(0, Some(1), &[])]);
    assert_eq!(shown(&plan), [((0, 1, true), vec![]), ((1, 1, false), vec![3]), ((0, 2, false), vec![3, 4])]);
    assert_eq!(Graph::of(&plan).unwrap().waits[..2], [[4, 5].into(), [4, 5].into()]);
}

/// The first stage of one staging builds with what another one published, not with its first stage.
#[test]
fn stagings_do_not_see_each_others_early_stages() {
    let both = ["buildtime", "runtime"];
    let edges = json!([[0, 1, both], [1, 0, both], [2, 3, both], [3, 2, both], [3, 0, both], [0, 4, both]]);
    let names = ["m/freetype-2", "m/harfbuzz-6", "a/x-1", "a/y-1", "a/zlib-1"].map(|name| (name, 1.0));
    let mut plan = plan(&names, &edges);
    let reduced = |package, edges| Reduced { package, disabled: vec!["full".parse().unwrap()], edges };
    let staging = |members, reduced| Staging { members, reduced: vec![reduced], substitutes: vec![] };
    plan.stagings = vec![
        staging(vec![0, 1], reduced(0, vec![(4, vec![EdgeKind::Buildtime, EdgeKind::Runtime])])),
        staging(vec![2, 3], reduced(2, vec![])),
    ];
    let graph = Graph::of(&plan).unwrap();
    let of = |package, stage| {
        let is_it = |row: &Row| (row.package, row.stage) == (package, stage);
        graph.rows.iter().position(is_it).unwrap()
    };
    assert_eq!(graph.waits[of(3, 1)], [0, 1, 4, of(2, 1)].into());
    assert_eq!(graph.waits[of(2, 2)], [0, 1, 4, of(2, 1), of(3, 1)].into());
}

#[test]
fn a_package_that_its_own_tool_needs_is_staged_alone() {
    let edges = json!([[0, 1, ["buildtime"]], [1, 0, ["runtime"]]]);
    let mut plan = plan(&[("a/x-2", 1.0), ("a/tool-1", 1.0)], &edges);
    let substitutes = vec![substitute(0, Some(7), &[])];
    plan.stagings = vec![Staging { members: vec![0], reduced: vec![], substitutes }];
    let graph = Graph::of(&plan).unwrap();
    let rows: Vec<_> = graph.rows.iter().map(|row| (row.package, row.stage)).collect();
    assert_eq!(rows, [(0, 0), (1, 0), (0, 1), (0, 2)]);
    assert_eq!(graph.waits, [[1, 3].into(), [].into(), [].into(), [1, 2].into()]);
    assert_eq!(graph.estimates, [1.0, 1.0, 0.0, 1.0]);
}

#[test]
fn stages_that_make_no_sense_are_refused() {
    let mut plan = cycle();
    let all = plan.edges.iter().filter(|edge| edge.0 == 0).map(|edge| (edge.1, edge.2.clone())).collect();
    plan.stagings = vec![staging(all)];
    assert!(matches!(Graph::of(&plan), Err(PlanError::Cycle(_))), "it still waits");
    for wrong in [
        Staging { members: vec![0, 9], ..staging(vec![]) },
        Staging { members: vec![0, 0], ..staging(vec![]) },
        Staging { reduced: vec![], ..staging(vec![]) },
        staging(vec![(9, vec![EdgeKind::Runtime])]),
        Staging { substitutes: vec![substitute(0, None, &[])], ..staging(vec![]) },
        Staging { substitutes: vec![substitute(3, None, &[])], ..staging(vec![]) },
    ] {
        plan.stagings = vec![wrong];
        assert!(matches!(Graph::of(&plan), Err(PlanError::Staging { .. })));
    }
}
