//! Packages that wait for each other, in stages (PORTAGE.md 4). Pure.
//!
//! A drone that resolves finds the components of the waits, and for each what stands for some packages until they are
//! built: themselves with some flags off, which then need less of the others (the *reduced* ones), or earlier builds
//! (*substitutes*). From that, each member is there up to three times:
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
//! A substitute is the first stage of its package, and has the place of a reduced one in this table. A binary of the
//! run's staging view enters the queue as received; what the base root has installed needs no row, since it is in every
//! root. A package whose own tools need it at run time is staged alone with its substitute.
//!
//! A reduced package may be no member: a tool that needs a member at run time only, so that the waits go through it. It
//! waits for no member itself, so it is built once with less USE for the roots of stage 1, and once as ever.

use crate::graph::PlanError;
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocol::gentoo::{Cpv, UseFlag};
use swarm_protocol::id::BuildId;
use swarm_protocol::plan::{Plan, PlannedPackage, Staging, Substitute};
use swarm_protocol::state::EdgeKind;

/// A row of the queue that a plan becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The package that it is a stage of, as an index into [`Plan::packages`].
    pub package: usize,
    /// 0 is the package itself.
    pub stage: i16,
    /// The flags of the package's USE that are off.
    pub disabled: Vec<UseFlag>,
    /// The binary that stands for the package at this stage.
    pub substitute: Option<Binary>,
}

/// A binary of the run's staging view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// What it is.
    pub cpv: Cpv,
    /// Which build of it.
    pub build_id: BuildId,
    /// Its enabled USE flags.
    pub use_flags: Vec<UseFlag>,
}

impl Row {
    /// The package itself, or a stage of it with full USE.
    #[must_use]
    pub fn full(package: usize, stage: i16) -> Self {
        Self { package, stage, disabled: vec![], substitute: None }
    }

    /// The cpv.
    #[must_use]
    pub fn cpv<'a>(&'a self, planned: &'a PlannedPackage) -> &'a Cpv {
        self.substitute.as_ref().map_or(&planned.cpv, |binary| &binary.cpv)
    }

    /// The enabled flags.
    #[must_use]
    pub fn use_flags<'a>(&'a self, planned: &'a PlannedPackage) -> Vec<&'a UseFlag> {
        let all = self.substitute.as_ref().map_or(&planned.use_flags, |binary| &binary.use_flags);
        all.iter().filter(|flag| !self.disabled.contains(flag)).collect()
    }
}

/// What stands for packages until they are built, each with its edges.
pub fn early(staging: &Staging) -> impl Iterator<Item = (u32, &[(u32, Vec<EdgeKind>)])> {
    let reduced = staging.reduced.iter().map(|reduced| (reduced.package, &*reduced.edges));
    reduced.chain(staging.substitutes.iter().map(|substitute| (substitute.package, &*substitute.edges)))
}

/// The rows of a plan: its packages in their order, then the early stages.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, PlanError> {
    let mut rows: Vec<_> = (0..plan.packages.len()).map(|package| Row::full(package, 0)).collect();
    let mut seen = BTreeSet::new();
    for staging in &plan.stagings {
        check(plan, staging, &mut seen)
            .map_err(|fault| PlanError::Staging { members: names(plan, staging), fault })?;
        let reduced = staging.reduced.iter().map(|reduced| Row {
            disabled: reduced.disabled.clone(),
            ..Row::full(reduced.package as usize, 1)
        });
        let substitutes = staging.substitutes.iter().filter_map(substituted);
        let is_early = |member: &u32| early(staging).any(|(package, _)| package == *member);
        let others = staging.members.iter().filter(|member| !is_early(member));
        let others = others.map(|member| Row::full(*member as usize, 1));
        let again = staging.members.iter().filter(|member| is_early(member));
        let again = again.map(|member| Row::full(*member as usize, 2));
        let mut stages: Vec<_> = reduced.chain(substitutes).chain(others).chain(again).collect();
        stages.sort_by_key(|row| (row.stage, row.package));
        rows.extend(stages);
    }
    Ok(rows)
}

/// The row of a substitute; what the base root has installed has none.
fn substituted(substitute: &Substitute) -> Option<Row> {
    let Substitute { cpv, use_flags, .. } = substitute.clone();
    let binary = Binary { cpv, build_id: substitute.build_id?, use_flags };
    Some(Row { substitute: Some(binary), ..Row::full(substitute.package as usize, 1) })
}

/// What is wrong with a staging; `seen` are the packages of those before it.
fn check(plan: &Plan, staging: &Staging, seen: &mut BTreeSet<u32>) -> Result<(), &'static str> {
    let known =
        |&package: &u32| plan.packages.get(package as usize).is_some_and(|planned| planned.keep.is_none());
    let is_member = |package: &u32| staging.members.contains(package);
    let stands_in: Vec<_> = early(staging).map(|(package, _)| package).collect();
    if !staging.members.iter().chain(&stands_in).all(known) {
        return Err("it names packages that are not built");
    }
    let outsiders = stands_in.iter().copied().filter(|package| !is_member(package));
    if !staging.members.iter().copied().chain(outsiders).all(|package| seen.insert(package)) {
        return Err("a package is staged twice");
    }
    if stands_in.iter().collect::<BTreeSet<_>>().len() != stands_in.len() {
        return Err("a package has two first stages");
    }
    if !staging.substitutes.iter().all(|substitute| is_member(&substitute.package)) {
        return Err("it has a substitute of a package that is no member");
    }
    let mut ends = early(staging).flat_map(|(_, edges)| edges.iter().map(|(end, _)| *end));
    if stands_in.is_empty() || ends.any(|end| end as usize >= plan.packages.len()) {
        return Err("nothing stands for any of them, or an edge names no package");
    }
    Ok(())
}

/// Which rows a row needs, given the packages that it needs: of what is staged, the right stage.
pub struct Stages<'a> {
    plan: &'a Plan,
    rows: BTreeMap<(usize, i16), usize>,
    /// Of a package, as an index into [`Plan::stagings`].
    stagings: BTreeMap<usize, usize>,
}

impl<'a> Stages<'a> {
    /// Of a plan with these rows.
    #[must_use]
    pub fn of(plan: &'a Plan, rows: &[Row]) -> Self {
        let mut stagings = BTreeMap::new();
        for (place, staging) in plan.stagings.iter().enumerate() {
            let early = early(staging).map(|(package, _)| package);
            stagings.extend(staging.members.iter().copied().chain(early).map(|one| (one as usize, place)));
        }
        let rows = rows.iter().enumerate().map(|(row, r)| ((r.package, r.stage), row)).collect();
        Self { plan, rows, stagings }
    }

    /// The staging that a row is an early stage of.
    #[must_use]
    pub fn staging(&self, row: &Row) -> Option<usize> {
        self.stagings.get(&row.package).copied().filter(|_| row.stage > 0)
    }

    /// What the root of `row` has for `package`; none is that it does without: nobody needs himself to be built, and what
    /// the base root has need not be received.
    #[must_use]
    pub fn provider(&self, row: &Row, package: usize) -> Option<usize> {
        let of = |package| self.stagings.get(&package).copied();
        let own = of(row.package).filter(|_| row.stage > 0 || self.is_member(row.package));
        let same = of(package).filter(|staging| own == Some(*staging));
        let Some(staging) = same else { return (package != row.package).then_some(package) };
        let stage = match row.stage {
            1 if package == row.package => return None,
            1 => 1,
            _ if !self.is_member(package) => 0,
            0 if early(&self.plan.stagings[staging]).any(|(early, _)| early == index(package)) => 2,
            _ => 1,
        };
        self.rows.get(&(package, stage)).copied()
    }

    fn is_member(&self, package: usize) -> bool {
        let staging = self.stagings.get(&package).and_then(|&staging| self.plan.stagings.get(staging));
        staging.is_some_and(|staging| staging.members.contains(&index(package)))
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

#[cfg(test)]
mod tests;
