//! Can a whole set be installed, and will it run? What is judged before a set becomes a generation (law 8); pure.
//!
//! Each package was fine on the drone that built it. Together they may not be: a library moved on after its consumer
//! was built, a dependency was left out, two packages exclude each other. Portage on the workstation would skip, or
//! refuse, or install what then crashes. So, over the metadata of all artifacts:
//!
//! | finding | when |
//! |---|---|
//! | `unsatisfied` | an atom of RDEPEND, PDEPEND or IDEPEND matches nothing: by version, slot, USE, repository; of a `\|\| ( )`, no branch is satisfied whole |
//! | `sub_slot` | the same, but another sub-slot would do: the consumer was built against another one than is there |
//! | `slot_conflict` | two versions are in one slot, of which a workstation can have one |
//! | `blocker` | an atom `!a/b` or `!!a/b` matches another package of the set. A weak one only orders an update in which the blocked package goes; here it stays, so both kinds say that the two cannot live together |
//! | `soname` | a shared library of REQUIRES is in PROVIDES of nothing that the package depends on, whatever way it takes, nor of what `@system` leads to. Within one multilib category |
//!
//! DEPEND and BDEPEND are not asked for where binaries are installed. Of a `|| ( )` every branch in the set counts as
//! depended on: which one a workstation takes is its own matter. What the swarm shall not have to contain is declared
//! ([`Provided`](swarm_protocol::binhost::Provided)); nothing is unless somebody says so.
//!
//! Where this knows less than Portage it believes the plan, which Portage's depgraph made: `IUSE_EFFECTIVE` is not in
//! an index, so a flag that is neither in IUSE nor on counts as off. Symbol versions (`GLIBC_2.38`) are in no metadata.
//!
//! Time is linear in the atoms and, for sonames, in the dependencies times the words of a bit set.

mod atoms;
mod findings;
mod set;
mod slots;
mod sonames;
mod walk;

use crate::artifact::Artifact;
use atoms::Atoms;
use findings::Findings;
use set::Set;
use swarm_protocol::binhost::Prepare;
use swarm_protocol::resolution::Finding;

/// What is wrong with a set; nothing when it is fine. 100 findings at most, the first ones by package.
pub(crate) fn check<'a>(artifacts: impl Iterator<Item = &'a Artifact>, asked: &'a Prepare) -> Vec<Finding> {
    let set = Set::new(artifacts, &asked.provided.packages);
    let mut findings = Findings::default();
    let mut atoms = Atoms::new(&set);
    let dependencies: Vec<_> =
        (0..set.members.len()).map(|member| atoms.check(member, &mut findings)).collect();
    let system = atoms.matched_by(&asked.system);
    slots::check(&set, &dependencies, &mut findings);
    sonames::check(&set, &dependencies, &system, &asked.provided.sonames, &mut findings);
    findings.finish()
}

/// Findings in a sentence; the first three are named.
pub(crate) fn summary(findings: &[Finding]) -> String {
    let named = findings.iter().take(3).map(|finding| {
        let asker = finding.wanted_by.first().map(|asker| format!("{asker} wants ")).unwrap_or_default();
        let detail = finding.detail.lines().next().unwrap_or_default();
        format!("{asker}{}: {detail}", finding.atom.as_deref().unwrap_or_default())
    });
    let named: Vec<_> = named.collect();
    let more = if findings.len() > named.len() { "; …" } else { "" };
    format!("the set does not fit together ({} findings): {}{more}", findings.len(), named.join("; "))
}

#[cfg(test)]
mod tests;
