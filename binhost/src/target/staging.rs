//! What a run's builds may use: what is staged for it, one artifact per package, that of its highest attempt; and what
//! it inherits from earlier runs.

use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::index;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
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

struct Held {
    attempt: AttemptId,
    artifact: Arc<Artifact>,
}

impl Clone for Held {
    fn clone(&self) -> Self {
        Self { attempt: self.attempt, artifact: Arc::clone(&self.artifact) }
    }
}

/// A run's view at one moment; staging and inheriting make a new one.
pub(crate) struct Run {
    timestamp: i64,
    /// By path.
    inherited: BTreeMap<String, Arc<Artifact>>,
    packages: BTreeMap<PackageId, Held>,
    index: OnceLock<Arc<index::Files>>,
}

/// What becomes of a stage call.
pub(super) enum Decision {
    /// It was done before: this is the answer again.
    Answer(Arc<Artifact>),
    /// It is to be done.
    Do,
}

impl Run {
    /// A run for which nothing is staged.
    pub(crate) fn empty(timestamp: i64) -> Self {
        Self { timestamp, inherited: BTreeMap::new(), packages: BTreeMap::new(), index: OnceLock::new() }
    }

    /// Fences a stage call against what is staged (law 2).
    pub(super) fn decide(&self, stage: &Stage, path: &str) -> Result<Decision> {
        let refuse = |code, detail: String| Err(Error::refused(code, detail));
        if let Some(held) = self.packages.get(&stage.package) {
            let same = held.artifact.built == stage.built && held.artifact.path == path;
            let (old, new) = (held.attempt, stage.attempt);
            match new.cmp(&old) {
                Ordering::Less => {
                    return refuse(
                        Code::StaleReport,
                        format!("attempt {new} comes after attempt {old} was staged"),
                    );
                }
                Ordering::Equal if same => return Ok(Decision::Answer(Arc::clone(&held.artifact))),
                Ordering::Equal => {
                    return refuse(
                        Code::Conflict,
                        format!("attempt {new} is already staged with another artifact"),
                    );
                }
                Ordering::Greater => {}
            }
        }
        let other =
            self.packages.iter().find(|(id, held)| **id != stage.package && held.artifact.path == path);
        match other {
            Some((id, _)) => refuse(Code::Conflict, format!("{path} is staged as package {id} of this run")),
            None => Ok(Decision::Do),
        }
    }

    /// The view after a package's artifact took its place.
    pub(super) fn with(&self, staging: &Staging, artifact: Arc<Artifact>) -> Self {
        let mut packages = self.packages.clone();
        packages.insert(staging.package, Held { attempt: staging.attempt, artifact });
        Self { timestamp: staging.at, inherited: self.inherited.clone(), packages, index: OnceLock::new() }
    }

    /// The view after it inherits `artifacts` and nothing else.
    pub(super) fn inheriting(&self, at: i64, artifacts: Vec<Arc<Artifact>>) -> Self {
        let inherited = artifacts.into_iter().map(|artifact| (artifact.path.clone(), artifact)).collect();
        Self { timestamp: at, inherited, packages: self.packages.clone(), index: OnceLock::new() }
    }

    /// The paths of what is inherited, ordered.
    pub(super) fn inherits(&self) -> impl Iterator<Item = &String> {
        self.inherited.keys()
    }

    /// Strictly increasing. Build roots hold no cached index, so the steps need not be law 9's.
    pub(super) fn next_timestamp(&self, now: i64) -> i64 {
        if self.packages.is_empty() && self.inherited.is_empty() { now } else { now.max(self.timestamp + 1) }
    }

    /// The TIMESTAMP of the view's index.
    pub(crate) fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The view's index; made by the first who asks.
    pub(crate) fn index(&self) -> Arc<index::Files> {
        let make = || {
            let mut artifacts = self.inherited.clone();
            let staged = self.packages.values().map(|held| Arc::clone(&held.artifact));
            artifacts.extend(staged.map(|artifact| (artifact.path.clone(), artifact)));
            let mut artifacts: Vec<_> = artifacts.into_values().collect();
            index::sort(&mut artifacts);
            Arc::new(index::files(self.timestamp, artifacts.iter().map(AsRef::as_ref)))
        };
        Arc::clone(self.index.get_or_init(make))
    }

    /// The packages of a name with their slots, but for what is staged for `package`: that is being replaced.
    pub(super) fn named(&self, cp: &str, package: PackageId) -> Vec<(&Cpv, Slot)> {
        let staged = self.packages.iter().filter(|(id, _)| **id != package).map(|(_, held)| &held.artifact);
        let named = staged.chain(self.inherited.values()).filter(|artifact| artifact.cpv.is_of(cp));
        named.map(|artifact| (&artifact.cpv, artifact.slot())).collect()
    }

    /// The artifact at a path of the view.
    pub(crate) fn at(&self, path: &str) -> Option<Arc<Artifact>> {
        let staged = self.packages.values().map(|held| &held.artifact).find(|artifact| artifact.path == path);
        staged.or_else(|| self.inherited.get(path)).cloned()
    }
}
