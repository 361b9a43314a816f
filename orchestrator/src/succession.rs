//! What a new plan need not build: what Portage keeps, and what an earlier run of the target has done or is doing
//! under the very same inputs. Pure.
//!
//! Portage decides by what it sees, and it does not see a build that is still running. So beside the plan's own
//! decisions, a package of the plan that is *equal* to one of an earlier run is not begun anew: same cpv, slot,
//! repository, USE and epoch, and in its root exactly the same artifacts. What it received is kept; its build in
//! progress and its failed attempts go over with it, so that a first run of three weeks survives twenty nightly syncs.
//!
//! A quarantine outlasts runs and epochs: it goes over from whatever run of the target it stands in, as long as what the
//! package is built from and with is the same. Nobody gets a quarantined package back for having started a run.

use crate::graph::Graph;
use std::collections::{BTreeMap, HashMap};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{ArtifactId, BuildId, PackageId};
use swarm_protocol::plan::{Plan, PlannedPackage};

/// What earlier runs left.
#[derive(Debug, Default)]
pub struct Estate {
    /// Artifacts that the plan may keep: of the current generation, and of the predecessor.
    pub offered: HashMap<(Cpv, BuildId), ArtifactId>,
    /// Packages of the predecessor and of the run that became the current generation, under the plan's epoch; then the
    /// quarantined ones of earlier runs.
    pub former: Vec<Former>,
}

/// A package of an earlier run.
#[derive(Clone, Debug)]
pub struct Former {
    /// Its row.
    pub id: PackageId,
    /// What was planned.
    pub planned: PlannedPackage,
    /// What was in its root, or would have been: every package it waited for, with its artifact.
    pub waits: BTreeMap<Cpv, Option<ArtifactId>>,
    /// What stands to be inherited.
    pub leaves: Leaves,
}

/// What a former package leaves to its equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Its artifact.
    Artifact(ArtifactId),
    /// Itself, with its attempts: it is being built, was tried, or is quarantined.
    Row,
    /// The same of a package that an earlier run has quarantined, under whatever epoch.
    Quarantine,
}

/// What becomes of a planned package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is needed.
    Build,
    /// It is received already.
    Keep(ArtifactId),
    /// The predecessor's row goes over to the new run, as it stands.
    Take(PackageId),
}

/// The plan keeps a binary that was not offered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plan keeps {0} with BUILD_ID {1}, which the run's staging view does not offer")]
pub struct NotOffered(pub Cpv, pub BuildId);

/// The fates of the rows that the plan becomes. An early stage is never inherited: it is what its own run makes of it,
/// or an earlier build that stands for it.
pub fn fates(plan: &Plan, graph: &Graph, estate: &Estate) -> Result<Vec<Fate>, NotOffered> {
    let mut by_cpv: HashMap<&Cpv, Vec<&Former>> = HashMap::new();
    for former in &estate.former {
        by_cpv.entry(&former.planned.cpv).or_default().push(former);
    }
    let offered = |cpv: &Cpv, build_id: BuildId| {
        let artifact = estate.offered.get(&(cpv.clone(), build_id)).copied();
        artifact.map(Fate::Keep).ok_or_else(|| NotOffered(cpv.clone(), build_id))
    };
    let mut fates = vec![Fate::Build; graph.rows.len()];
    for (fate, row) in fates.iter_mut().zip(&graph.rows) {
        if let Some(substitute) = &row.substitute {
            *fate = offered(&substitute.cpv, substitute.build_id)?;
        }
    }
    // Dependencies first: whether a package is equal depends on what it would be built with.
    for &index in graph.order.iter().filter(|&&index| graph.rows[index].stage == 0) {
        let package = &plan.packages[index];
        fates[index] = match package.keep {
            Some(build_id) => offered(&package.cpv, build_id)?,
            None => by_cpv
                .get(&package.cpv)
                .into_iter()
                .flatten()
                .find(|former| {
                    is_same(package, &former.planned)
                        && match former.leaves {
                            Leaves::Quarantine => same_inputs(index, former, plan, graph, &fates),
                            _ => same_root(index, former, plan, graph, &fates),
                        }
                })
                .map_or(Fate::Build, |former| match former.leaves {
                    Leaves::Artifact(artifact) => Fate::Keep(artifact),
                    Leaves::Row | Leaves::Quarantine => Fate::Take(former.id),
                }),
        };
    }
    Ok(fates)
}

fn is_same(new: &PlannedPackage, old: &PlannedPackage) -> bool {
    let flags = |package: &PlannedPackage| {
        let mut flags = package.use_flags.clone();
        flags.sort();
        flags
    };
    new.slot == old.slot && new.repository == old.repository && flags(new) == flags(old)
}

fn same_root(index: usize, former: &Former, plan: &Plan, graph: &Graph, fates: &[Fate]) -> bool {
    graph.waits[index].len() == former.waits.len()
        && graph.waits[index].iter().all(|&dependency| {
            let row = &graph.rows[dependency];
            let artifact = former.waits.get(row.cpv(&plan.packages[row.package])).copied().flatten();
            artifact.is_some_and(|artifact| fates[dependency] == Fate::Keep(artifact))
        })
}

/// Whether a package is built from the same, and with the same versions, none of which is built anew: that might help.
fn same_inputs(index: usize, former: &Former, plan: &Plan, graph: &Graph, fates: &[Fate]) -> bool {
    let key = plan.packages[index].key;
    key.is_some()
        && key == former.planned.key
        && graph.waits[index].len() == former.waits.len()
        && graph.waits[index].iter().all(|&dependency| {
            let package = &plan.packages[graph.rows[dependency].package];
            former.waits.contains_key(&package.cpv) && matches!(fates[dependency], Fate::Keep(_))
        })
}

/// How a package enters the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// How many of its waits are not received.
    pub unmet: usize,
    /// How many of its waits are quarantined or blocked.
    pub stuck: usize,
}

/// The counters with which the rows start; `quarantined` says so of them.
#[must_use]
pub fn starts(graph: &Graph, fates: &[Fate], quarantined: impl Fn(usize) -> bool) -> Vec<Start> {
    let mut starts = vec![Start::default(); fates.len()];
    for &index in &graph.order {
        if matches!(fates[index], Fate::Keep(_)) {
            continue;
        }
        for &dependency in &graph.waits[index] {
            starts[index].unmet += usize::from(!matches!(fates[dependency], Fate::Keep(_)));
            starts[index].stuck += usize::from(quarantined(dependency) || starts[dependency].stuck > 0);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::str::FromStr;

    /// program → library → base at build time, and a loner.
    fn plan(keep_base: Option<i32>) -> Plan {
        let package = |cpv: &str| json!({"cpv": cpv, "slot": "0", "repository": "r", "use": ["b", "a"]});
        let mut packages: Vec<_> =
            ["a/program-1", "a/library-1", "a/base-1", "a/loner-1"].map(package).into();
        if let Some(keep) = keep_base {
            packages[2]["keep"] = keep.into();
        }
        let edges = json!([[0, 1, ["buildtime"]], [1, 2, ["buildtime"]]]);
        serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
    }

    fn former(id: i64, plan: &Plan, index: usize, waits: &[(&str, i64)], leaves: Leaves) -> Former {
        let waits = waits.iter().map(|&(cpv, artifact)| (cpv.parse().unwrap(), Some(ArtifactId(artifact))));
        let planned = plan.packages[index].clone();
        Former { id: PackageId(id), planned, waits: waits.collect(), leaves }
    }

    fn judged(plan: &Plan, estate: &Estate) -> Vec<Fate> {
        fates(plan, &Graph::of(plan).unwrap(), estate).unwrap()
    }

    #[test]
    fn equal_packages_are_inherited_with_all_they_have() {
        let plan = plan(None);
        let estate = Estate {
            former: vec![
                former(7, &plan, 0, &[("a/library-1", 21)], Leaves::Row),
                former(6, &plan, 1, &[("a/base-1", 20)], Leaves::Artifact(ArtifactId(21))),
                former(5, &plan, 2, &[], Leaves::Artifact(ArtifactId(20))),
            ],
            ..Estate::default()
        };
        let (base, library) = (Fate::Keep(ArtifactId(20)), Fate::Keep(ArtifactId(21)));
        assert_eq!(judged(&plan, &estate), [Fate::Take(PackageId(7)), library, base, Fate::Build]);
    }

    #[test]
    fn another_library_in_the_root_makes_another_package() {
        let plan = plan(Some(4));
        let former = vec![
            former(7, &plan, 0, &[("a/library-1", 21)], Leaves::Row),
            former(6, &plan, 1, &[("a/base-1", 20)], Leaves::Artifact(ArtifactId(21))),
        ];
        // Portage keeps a later build of the base than the one that the library was built with.
        let offered = [(("a/base-1".parse().unwrap(), BuildId(4)), ArtifactId(30))].into();
        let fates = judged(&plan, &Estate { offered, former });
        assert_eq!(fates, [Fate::Build, Fate::Build, Fate::Keep(ArtifactId(30)), Fate::Build]);
    }

    #[test]
    fn another_flag_slot_or_repository_makes_another_package() {
        let plan = plan(None);
        for (field, value) in [("use", json!(["a"])), ("slot", json!("0/2")), ("repository", json!("s"))] {
            let mut old = serde_json::to_value(&plan.packages[3]).unwrap();
            old[field] = value;
            let planned = serde_json::from_value(old).unwrap();
            let leaves = Leaves::Artifact(ArtifactId(1));
            let former = vec![Former { id: PackageId(1), planned, waits: BTreeMap::new(), leaves }];
            assert_eq!(judged(&plan, &Estate { former, ..Estate::default() })[3], Fate::Build, "{field}");
        }
    }

    #[test]
    fn the_order_of_flags_does_not_matter() {
        let plan = plan(None);
        let mut same = former(1, &plan, 3, &[], Leaves::Artifact(ArtifactId(9)));
        same.planned.use_flags.reverse();
        let estate = Estate { former: vec![same], ..Estate::default() };
        assert_eq!(judged(&plan, &estate)[3], Fate::Keep(ArtifactId(9)));
    }

    #[test]
    fn a_quarantine_lasts_until_the_inputs_change() {
        let mut plan = plan(Some(4));
        let key = |text: &str| Some(swarm_protocol::Digest::of(text.as_bytes()));
        plan.packages[1].key = key("a");
        let offered: HashMap<_, _> = [(("a/base-1".parse().unwrap(), BuildId(4)), ArtifactId(30))].into();
        let left = |plan: &Plan, waits: &[(&str, i64)]| Estate {
            offered: offered.clone(),
            former: vec![former(7, plan, 1, waits, Leaves::Quarantine)],
        };
        // Another build of the same version is what it was tried with.
        let same = left(&plan, &[("a/base-1", 20)]);
        assert_eq!(judged(&plan, &same)[1], Fate::Take(PackageId(7)));
        let other = left(&plan, &[("a/base-0", 20)]);
        assert_eq!(judged(&plan, &other)[1], Fate::Build, "another version in its root");
        for changed in [key("b"), None] {
            let mut plan = plan.clone();
            plan.packages[1].key = changed;
            assert_eq!(judged(&plan, &same)[1], Fate::Build, "built from something else");
        }
        plan.packages[2].keep = None;
        assert_eq!(judged(&plan, &same)[1], Fate::Build, "what it is built with is built anew");
    }

    #[test]
    fn what_is_not_offered_cannot_be_kept() {
        let plan = plan(Some(4));
        let refused = fates(&plan, &Graph::of(&plan).unwrap(), &Estate::default());
        assert_eq!(refused, Err(NotOffered("a/base-1".parse().unwrap(), BuildId(4))));
    }

    #[test]
    fn a_substitute_is_kept_for_its_stage_and_must_be_offered() {
        let mut value = serde_json::to_value(plan(None)).unwrap();
        let substitute = json!({"package": 1, "cpv": "a/library-0", "build_id": 3, "edges": []});
        value["stagings"] = json!([{"members": [1], "substitutes": [substitute]}]);
        let plan: Plan = serde_json::from_value(value).unwrap();
        let graph = Graph::of(&plan).unwrap();
        let library = (Cpv::from_str("a/library-0").unwrap(), BuildId(3));
        let estate = Estate { offered: [(library.clone(), ArtifactId(9))].into(), ..Estate::default() };
        let fates_of_stages = &fates(&plan, &graph, &estate).unwrap()[4..];
        assert_eq!(fates_of_stages, [Fate::Keep(ArtifactId(9)), Fate::Build]);
        assert_eq!(fates(&plan, &graph, &Estate::default()), Err(NotOffered(library.0, library.1)));
    }

    #[test]
    fn whoever_waits_behind_a_quarantined_package_starts_blocked() {
        let plan = plan(None);
        let graph = Graph::of(&plan).unwrap();
        let fates = [Fate::Build, Fate::Build, Fate::Take(PackageId(1)), Fate::Keep(ArtifactId(1))];
        let starts = starts(&graph, &fates, |index| index == 2);
        let stuck = Start { unmet: 1, stuck: 1 };
        assert_eq!(starts, [stuck, stuck, Start::default(), Start::default()]);
    }
}
