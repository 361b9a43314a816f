//! What is staged for a run: one artifact per package, that of its highest attempt.

use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::index;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use swarm_protocol::Code;
use swarm_protocol::binhost::Stage;
use swarm_protocol::id::{AttemptId, PackageId};

/// A line of a run's `staging.log`; the artifact itself is in `artifacts.log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
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

/// A run's view at one moment; staging makes a new one.
pub(crate) struct Run {
    timestamp: i64,
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
        Self { timestamp, packages: BTreeMap::new(), index: OnceLock::new() }
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

    /// The view after one more record.
    pub(super) fn with(&self, record: &Record, artifact: Arc<Artifact>) -> Self {
        let mut packages = self.packages.clone();
        packages.insert(record.package, Held { attempt: record.attempt, artifact });
        Self { timestamp: record.at, packages, index: OnceLock::new() }
    }

    /// Strictly increasing. Build roots hold no cached index, so the steps need not be law 9's.
    pub(super) fn next_timestamp(&self, now: i64) -> i64 {
        if self.packages.is_empty() { now } else { now.max(self.timestamp + 1) }
    }

    /// The TIMESTAMP of the view's index.
    pub(crate) fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The view's index; made by the first who asks.
    pub(crate) fn index(&self) -> Arc<index::Files> {
        let make = || {
            let mut artifacts: Vec<_> =
                self.packages.values().map(|held| Arc::clone(&held.artifact)).collect();
            index::sort(&mut artifacts);
            Arc::new(index::files(self.timestamp, artifacts.iter().map(AsRef::as_ref)))
        };
        Arc::clone(self.index.get_or_init(make))
    }

    /// The artifact at a path of the view.
    pub(crate) fn at(&self, path: &str) -> Option<Arc<Artifact>> {
        let held = self.packages.values().find(|held| held.artifact.path == path)?;
        Some(Arc::clone(&held.artifact))
    }
}
