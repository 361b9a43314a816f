//! What a run's builds may use: what is staged for it, one artifact per package, that of its highest attempt; and what
//! it inherits from earlier runs.
//!
//! A record is durable in the run's `staging.log` before it shows. Then it changes the served view by what it brings
//! and what it takes away, and nothing else: no cost of staging grows with what is staged, but for the list of the
//! index's segments. Readers hold the [`View`] that they took.

use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::index::{self, Segments};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::binhost::Stage;
use swarm_protocol::gentoo::{Cpv, Slot};
use swarm_protocol::id::{AttemptId, PackageId};

/// A line of a run's `staging.log`; the artifacts themselves are in `artifacts.log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Record {
    /// A package's artifact is staged.
    Staged(Staging),
    /// These artifacts of earlier runs are visible, in place of those of the last such line.
    Inherited {
        /// Their paths, ordered.
        inherits: Vec<String>,
        /// As in [`Staging`].
        at: i64,
    },
}

/// A package's artifact takes its place in the view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staging {
    pub(super) package: PackageId,
    pub(super) attempt: AttemptId,
    pub(super) path: String,
    /// The view's TIMESTAMP from here on, in Unix seconds.
    pub(super) at: i64,
}

/// What is staged for a package.
struct Held {
    attempt: AttemptId,
    path: String,
}

/// An artifact in the view, with what it is there for; never for nothing.
struct Shown {
    artifact: Arc<Artifact>,
    staged: Option<PackageId>,
    inherited: bool,
}

/// A run, as its log tells it.
#[derive(Default)]
pub(super) struct Run {
    packages: HashMap<PackageId, Held>,
    by_path: HashMap<String, Shown>,
    view: Arc<View>,
}

/// The index of a run at one moment.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Its TIMESTAMP, in Unix seconds.
    pub(crate) timestamp: i64,
    segments: Segments,
}

impl View {
    /// The view of a run for which nothing is staged.
    pub(crate) fn empty(timestamp: i64) -> Self {
        Self { timestamp, segments: Segments::default() }
    }

    /// The view after a change, its text and gzip ready.
    pub(super) fn after(&self, change: &Change, timestamp: i64) -> Self {
        let mut segments = self.segments.clone();
        change.goes.iter().for_each(|artifact| segments.remove(artifact));
        change.comes.iter().for_each(|artifact| segments.insert(artifact));
        change.goes.iter().chain(&change.comes).for_each(|artifact| segments.render_around(artifact));
        Self { timestamp, segments }
    }

    /// `Packages` and `Packages.gz`.
    pub(crate) fn index(&self) -> index::Files {
        self.segments.files(self.timestamp)
    }
}

/// What a record changes in the view.
#[derive(Default)]
pub(super) struct Change {
    comes: Vec<Arc<Artifact>>,
    goes: Vec<Arc<Artifact>>,
}

/// What becomes of a stage call.
pub(super) enum Decision {
    /// It was done before: this is the answer again.
    Answer(Arc<Artifact>),
    /// It is to be done.
    Do,
}

impl Run {
    /// Fences a stage call against what is staged (law 2).
    pub(super) fn decide(&self, stage: &Stage, path: &str) -> Result<Decision> {
        let refuse = |code, detail: String| Err(Error::refused(code, detail));
        let shown = self.by_path.get(path);
        if let Some(held) = self.packages.get(&stage.package) {
            let (old, new) = (held.attempt, stage.attempt);
            let same = shown.filter(|shown| held.path == path && shown.artifact.built == stage.built);
            match new.cmp(&old) {
                Ordering::Less => {
                    let detail = format!("attempt {new} comes after attempt {old} was staged");
                    return refuse(Code::StaleReport, detail);
                }
                Ordering::Equal => {
                    let again = || format!("attempt {new} is already staged with another artifact");
                    let answer = |shown: &Shown| Decision::Answer(Arc::clone(&shown.artifact));
                    return same.map(answer).ok_or_else(|| Error::refused(Code::Conflict, again()));
                }
                Ordering::Greater => {}
            }
        }
        match shown.and_then(|shown| shown.staged) {
            Some(other) if other != stage.package => {
                refuse(Code::Conflict, format!("{path} is staged as package {other} of this run"))
            }
            _ => Ok(Decision::Do),
        }
    }

    /// What staging an artifact for a package changes.
    pub(super) fn staging(&self, package: PackageId, artifact: &Arc<Artifact>) -> Change {
        let mut change = Change::default();
        let former = self.packages.get(&package).and_then(|held| self.by_path.get(&held.path));
        if let Some(former) = former.filter(|former| former.artifact.path != artifact.path)
            && !former.inherited
        {
            change.goes.push(Arc::clone(&former.artifact));
        }
        if !self.by_path.contains_key(&artifact.path) {
            change.comes.push(Arc::clone(artifact));
        }
        change
    }

    /// What inheriting `artifacts`, and nothing else, changes.
    pub(super) fn inheriting(&self, artifacts: &[Arc<Artifact>]) -> Change {
        let kept: HashSet<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
        let goes = self.by_path.values().filter(|shown| {
            shown.inherited && shown.staged.is_none() && !kept.contains(shown.artifact.path.as_str())
        });
        let comes = artifacts.iter().filter(|artifact| !self.by_path.contains_key(&artifact.path));
        Change {
            goes: goes.map(|shown| Arc::clone(&shown.artifact)).collect(),
            comes: comes.cloned().collect(),
        }
    }

    /// Notes what a package's artifact is.
    pub(super) fn stage(&mut self, staging: Staging, artifact: Arc<Artifact>) {
        let Staging { package, attempt, path, .. } = staging;
        if let Some(former) = self.packages.insert(package, Held { attempt, path: path.clone() }) {
            self.release(&former.path);
        }
        let shown = Shown { artifact, staged: None, inherited: false };
        self.by_path.entry(path).or_insert(shown).staged = Some(package);
    }

    /// Notes what is inherited.
    pub(super) fn inherit(&mut self, artifacts: Vec<Arc<Artifact>>) {
        self.by_path.retain(|_, shown| {
            shown.inherited = false;
            shown.staged.is_some()
        });
        for artifact in artifacts {
            let shown = Shown { artifact: Arc::clone(&artifact), staged: None, inherited: false };
            self.by_path.entry(artifact.path.clone()).or_insert(shown).inherited = true;
        }
    }

    /// What was staged at this path is staged no longer.
    fn release(&mut self, path: &str) {
        if let Some(shown) = self.by_path.get_mut(path) {
            shown.staged = None;
            if !shown.inherited {
                self.by_path.remove(path);
            }
        }
    }

    /// Shows a view that [`View::after`] made.
    pub(super) fn show(&mut self, view: View) {
        self.view = Arc::new(view);
    }

    /// Makes the view anew, after a log was replayed.
    pub(super) fn compose(&mut self, timestamp: i64) {
        let mut artifacts: Vec<_> = self.by_path.values().map(|shown| Arc::clone(&shown.artifact)).collect();
        index::sort(&mut artifacts);
        self.show(View { timestamp, segments: Segments::of(artifacts) });
    }

    /// The paths of what is inherited, ordered.
    pub(super) fn inherits(&self) -> Vec<&String> {
        let mut paths: Vec<_> =
            self.by_path.iter().filter(|(_, shown)| shown.inherited).map(|(path, _)| path).collect();
        paths.sort_unstable();
        paths
    }

    /// Strictly increasing. Build roots hold no cached index, so the steps need not be law 9's.
    pub(super) fn next_timestamp(&self, now: i64) -> i64 {
        now.max(self.view.timestamp + 1)
    }

    /// What readers see.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// The packages of a name with their slots, but for what is staged for `package`: that is being replaced.
    pub(super) fn named(&self, cp: &str, package: PackageId) -> Vec<(&Cpv, Slot)> {
        let others = self.by_path.values().filter(|shown| shown.inherited || shown.staged != Some(package));
        let named = others.map(|shown| &shown.artifact).filter(|artifact| artifact.cpv.is_of(cp));
        named.map(|artifact| (&artifact.cpv, artifact.slot())).collect()
    }

    /// Everything in the view.
    pub(super) fn artifacts(&self) -> impl Iterator<Item = &Arc<Artifact>> {
        self.by_path.values().map(|shown| &shown.artifact)
    }

    /// The artifact at a path of the view.
    pub(super) fn at(&self, path: &str) -> Option<Arc<Artifact>> {
        self.by_path.get(path).map(|shown| Arc::clone(&shown.artifact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use swarm_protocol::binhost::Expected;
    use swarm_protocol::id::BuildId;

    fn artifact(number: usize) -> Arc<Artifact> {
        Artifact::sample(
            &format!("test/p{}x-1", number / 3),
            i32::try_from(number % 3).unwrap() + 1,
            &[u8::try_from(number).unwrap()],
        )
    }

    fn call(package: i64, attempt: i64, artifact: &Artifact) -> Stage {
        Stage {
            package: PackageId(package),
            attempt: AttemptId(attempt),
            built: artifact.built,
            expected: Expected {
                cpv: artifact.cpv.clone(),
                slot: "0/1".parse().unwrap(),
                repository: "gentoo".parse().unwrap(),
                use_flags: vec![],
                build_id: BuildId(artifact.build_id.0),
                chost: String::new(),
                flags: vec![],
            },
        }
    }

    /// A package is staged, or other artifacts are inherited.
    #[derive(Clone, Debug)]
    enum Step {
        Stage { package: i64, artifact: usize },
        Inherit(HashSet<usize>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let stage = (1..9_i64, 0..30_usize).prop_map(|(package, artifact)| Step::Stage { package, artifact });
        let inherit = prop::collection::hash_set(0..30_usize, 0..12).prop_map(Step::Inherit);
        prop::collection::vec(prop_oneof![4 => stage, 1 => inherit], 0..40)
    }

    proptest! {
        /// What readers saw grow step by step is what a start makes of the log.
        #[test]
        fn the_view_is_that_of_its_log(steps in steps()) {
            let (mut run, mut replayed) = (Run::default(), Run::default());
            let mut at = 0;
            for (step, attempt) in steps.into_iter().zip(1..) {
                let change;
                match step {
                    Step::Stage { package, artifact: number } => {
                        let artifact = artifact(number);
                        // Another package has that path.
                        let Ok(Decision::Do) = run.decide(&call(package, attempt, &artifact), &artifact.path) else { continue };
                        at = run.next_timestamp(7);
                        let staging = Staging { package: PackageId(package), attempt: AttemptId(attempt), path: artifact.path.clone(), at };
                        change = run.staging(staging.package, &artifact);
                        replayed.stage(staging.clone(), Arc::clone(&artifact));
                        run.stage(staging, artifact);
                    }
                    Step::Inherit(numbers) => {
                        let artifacts: Vec<_> = numbers.into_iter().map(artifact).collect();
                        at = run.next_timestamp(7);
                        change = run.inheriting(&artifacts);
                        replayed.inherit(artifacts.clone());
                        run.inherit(artifacts);
                    }
                }
                let view = run.view().after(&change, at);
                run.show(view);
            }
            replayed.compose(at);
            prop_assert_eq!(run.view().index(), replayed.view().index());
            prop_assert_eq!(run.inherits(), replayed.inherits());
        }
    }
}
