//! Every artifact of a target that has a path, whatever run staged it.

use crate::artifact::Artifact;
use crate::error::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use swarm_protocol::{Code, Digest};

/// Artifacts by their path and by their published digest.
#[derive(Default)]
pub(super) struct Catalog {
    by_path: HashMap<String, Arc<Artifact>>,
    by_published: HashMap<Digest, Arc<Artifact>>,
}

/// Whether an artifact already has its path.
pub(super) enum Place {
    /// The path names nothing yet.
    Free,
    /// The path names these very bytes.
    Taken(Arc<Artifact>),
}

impl Catalog {
    /// Looks at the path of what was `built`; one that names other bytes is refused. Only the built bytes tell: signing
    /// them twice gives two files.
    pub(super) fn place(&self, path: &str, built: Digest) -> Result<Place> {
        match self.by_path.get(path) {
            None => Ok(Place::Free),
            Some(known) if known.built == built => Ok(Place::Taken(Arc::clone(known))),
            Some(_) => {
                let detail = format!("{path} already names other bytes; a BUILD_ID is used once");
                Err(Error::refused(Code::PathUsed, detail))
            }
        }
    }

    pub(super) fn insert(&mut self, artifact: Artifact) -> Arc<Artifact> {
        let artifact = Arc::new(artifact);
        self.by_published.insert(artifact.published, Arc::clone(&artifact));
        self.by_path.insert(artifact.path.clone(), Arc::clone(&artifact));
        artifact
    }

    pub(super) fn at(&self, path: &str) -> Option<Arc<Artifact>> {
        self.by_path.get(path).cloned()
    }

    /// The artifacts of these published digests, each of which must be known and come once.
    pub(super) fn set(&self, digests: &[Digest]) -> Result<Vec<Arc<Artifact>>> {
        let mut seen = BTreeSet::new();
        let one = |digest: &Digest| {
            if !seen.insert(*digest) {
                return Err(Error::refused(Code::InvalidValue, format!("{digest} is listed twice")));
            }
            let unknown =
                || Error::refused(Code::InvalidValue, format!("{digest} was never staged for this target"));
            self.by_published.get(digest).cloned().ok_or_else(unknown)
        };
        digests.iter().map(one).collect()
    }
}
