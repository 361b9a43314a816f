//! Packages that wait for each other, in stages (PORTAGE.md 4). Pure.
//!
//! A drone that resolves finds the components of the waits, and for each some packages that need less of the others with
//! some flags off: the *reduced* ones. From that, each member is built up to three times:
//!
//! | stage | who | USE | what of the other members is in its root | published |
//! |---|---|---|---|---|
//! | 1 | all | the reduced ones' less | stage 1 | never |
//! | 2 | the reduced ones | full | stage 1 | never: something reduced was in its root |
//! | 0 | all | full | of the reduced ones stage 2, of the others stage 1: all with full USE | yes |
//!
//! Stage 1 has an order, since nobody there waits for itself; stages 2 and 0 wait for earlier ones only. A member of
//! stage 2 or 0 may have its own earlier stage in its root, where something that it builds with needs it at run time.
//!
//! A reduced package may be no member: a tool that needs a member at run time only, so that the waits go through it. It
//! waits for no member itself, so it is built once with less USE for the roots of stage 1, and once as ever.

use crate::graph::PlanError;
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocol::gentoo::{Cpv, UseFlag};
use swarm_protocol::plan::{Plan, PlannedPackage, Staging};

/// A row of the queue that a plan becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The package that it is a stage of, as an index into [`Plan::packages`].
    pub package: usize,
    /// 0 is the package itself.
    pub stage: i16,
    /// The flags of the package's USE that are off.
    pub disabled: Vec<UseFlag>,
}

impl Row {
    /// The enabled flags.
    #[must_use]
    pub fn use_flags<'a>(&'a self, planned: &'a PlannedPackage) -> Vec<&'a UseFlag> {
        planned.use_flags.iter().filter(|flag| !self.disabled.contains(flag)).collect()
    }
}

/// The rows of a plan: its packages in their order, then the early stages.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, PlanError> {
    let mut rows: Vec<_> =
        (0..plan.packages.len()).map(|package| Row { package, stage: 0, disabled: vec![] }).collect();
    let mut seen = BTreeSet::new();
    for staging in &plan.stagings {
        let fault = |fault| PlanError::Staging { members: names(plan, staging), fault };
        let known = |&package: &u32| {
            plan.packages.get(package as usize).is_some_and(|planned| planned.keep.is_none())
        };
        let reduced: Vec<_> = staging.reduced.iter().map(|reduced| reduced.package).collect();
        if !staging.members.iter().chain(&reduced).all(known) {
            return Err(fault("it names packages that are not built"));
        }
        let outsiders = reduced.iter().copied().filter(|one| !staging.members.contains(one));
        let early: Vec<_> = staging.members.iter().copied().chain(outsiders).collect();
        if !early.iter().all(|package| seen.insert(*package)) {
            return Err(fault("a package is staged twice"));
        }
        let ends = staging.reduced.iter().flat_map(|reduced| reduced.edges.iter().map(|(end, _)| *end));
        if staging.reduced.is_empty() || ends.into_iter().any(|end| end as usize >= plan.packages.len()) {
            return Err(fault("nothing is reduced, or an edge names no package"));
        }
        let disabled: BTreeMap<_, _> =
            staging.reduced.iter().map(|reduced| (reduced.package, &reduced.disabled)).collect();
        rows.extend(early.iter().map(|package| Row {
            package: *package as usize,
            stage: 1,
            disabled: disabled.get(package).map(|flags| (*flags).clone()).unwrap_or_default(),
        }));
        let again = reduced.iter().filter(|package| staging.members.contains(package));
        rows.extend(again.map(|package| Row { package: *package as usize, stage: 2, disabled: vec![] }));
    }
    Ok(rows)
}

/// Which rows a row needs, given the packages that it needs: of what is staged, the right stage.
pub struct Stages<'a> {
    rows: BTreeMap<(usize, i16), usize>,
    stagings: BTreeMap<usize, &'a Staging>,
}

impl<'a> Stages<'a> {
    /// Of a plan with these rows.
    #[must_use]
    pub fn of(plan: &'a Plan, rows: &[Row]) -> Self {
        let mut stagings = BTreeMap::new();
        for staging in &plan.stagings {
            let reduced = staging.reduced.iter().map(|reduced| reduced.package);
            stagings
                .extend(staging.members.iter().copied().chain(reduced).map(|one| (one as usize, staging)));
        }
        Self { rows: rows.iter().enumerate().map(|(row, r)| ((r.package, r.stage), row)).collect(), stagings }
    }

    /// What the root of `row` has for `package`; none is that it does without: nobody needs himself to be built.
    #[must_use]
    pub fn provider(&self, row: &Row, package: usize) -> Option<usize> {
        let own = self.stagings.get(&row.package).filter(|_| row.stage > 0 || self.is_member(row.package));
        let same = self
            .stagings
            .get(&package)
            .filter(|staging| own.is_some_and(|own| std::ptr::eq(*own, **staging)));
        let Some(staging) = same else { return (package != row.package).then_some(package) };
        let stage = match row.stage {
            1 if package == row.package => return None,
            1 => 1,
            _ if !self.is_member(package) => 0,
            0 if staging.reduced.iter().any(|reduced| reduced.package == index(package)) => 2,
            _ => 1,
        };
        self.rows.get(&(package, stage)).copied()
    }

    fn is_member(&self, package: usize) -> bool {
        self.stagings.get(&package).is_some_and(|staging| staging.members.contains(&index(package)))
    }
}

/// A place in a plan, as plans write it.
fn index(package: usize) -> u32 {
    u32::try_from(package).unwrap_or(u32::MAX)
}

fn names(plan: &Plan, staging: &Staging) -> Vec<Cpv> {
    let named = staging.members.iter().filter_map(|&member| plan.packages.get(member as usize));
    named.map(|planned| planned.cpv.clone()).collect()
}
