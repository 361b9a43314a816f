//! The collector: removes bytes that nothing refers to.
//!
//! Roots are what every run's staging view and every generation on disk have, and what is marked as a bundle; that an artifact is in a catalog is no
//! root. Everything else goes when it has been left alone for a day, which is the time that a drone's upload may wait
//! to be staged. How this never races anybody is said in [`crate::blobs`].

use crate::blobs::{self, Blobs, Entry};
use crate::error::{Doing, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;

/// How long bytes stay that nothing refers to, in seconds.
const DAY: i64 = 86_400;
/// How long damaged bytes stay to be looked at, in seconds.
const MONTH: i64 = 30 * DAY;
/// How many files are removed before others get their turn.
const BATCH: usize = 256;

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Collected {
    /// How many files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// A file that may go.
struct Candidate {
    /// What it is the bytes of; none if it was set aside.
    digest: Option<Digest>,
    path: PathBuf,
    /// How long it stays after its last change.
    patience: i64,
}

impl Candidate {
    /// Its size, if it may go now.
    fn removable(&self, roots: &HashSet<Digest>, now: i64) -> Result<Option<u64>> {
        if self.digest.is_some_and(|digest| roots.contains(&digest)) {
            return Ok(None);
        }
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            metadata => {
                let metadata = metadata.doing("look at", &self.path)?;
                Ok((now - metadata.ctime() >= self.patience).then_some(metadata.len()))
            }
        }
    }
}

fn candidates(directory: &Path) -> Result<Vec<Candidate>> {
    let candidate = |(entry, path)| match entry {
        Entry::Blob(digest) => Some(Candidate { digest: Some(digest), path, patience: DAY }),
        Entry::Damaged => Some(Candidate { digest: None, path, patience: MONTH }),
        Entry::Strange => None,
    };
    Ok(blobs::entries(directory)?.into_iter().filter_map(candidate).collect())
}

/// What [`collect`] would remove, given the roots.
pub(crate) fn garbage(directory: &Path, roots: &HashSet<Digest>, now: i64) -> Result<Collected> {
    let mut collected = Collected::default();
    for candidate in candidates(directory)? {
        if let Some(bytes) = candidate.removable(roots, now)? {
            collected.files += 1;
            collected.bytes += bytes;
        }
    }
    Ok(collected)
}

/// Removes the garbage. Looking for it keeps nobody out; each batch is judged again with nobody else there, by the roots
/// of that moment.
pub(crate) fn collect(blobs: &Blobs, roots: impl Fn() -> HashSet<Digest>, now: i64) -> Result<Collected> {
    let (seen, mut found) = (roots(), Vec::new());
    for candidate in candidates(blobs.root())? {
        if candidate.removable(&seen, now)?.is_some() {
            found.push(candidate);
        }
    }
    let mut collected = Collected::default();
    for batch in found.chunks(BATCH) {
        let _alone = blobs.collecting();
        let roots = roots();
        for candidate in batch {
            if let Some(bytes) = candidate.removable(&roots, now)? {
                fs::remove_file(&candidate.path).doing("remove", &candidate.path)?;
                collected.files += 1;
                collected.bytes += bytes;
            }
        }
    }
    Ok(collected)
}
