//! `build-binhost reindex DIR`: writes `Packages` and `Packages.gz` of any directory of binary packages (a PKGDIR), equal
//! in meaning to what `emaint binhost --fix` writes there, without Portage, configuration, or daemon.
//!
//! | step | where |
//! |---|---|
//! | find the package files | `walk` |
//! | read and hash those that the cache does not know, on all cores | `read`, `cache` |
//! | judge name, place and metadata as Portage does | `package` |
//! | put the index together and replace the files | `compose`, `publish` |
//!
//! Everything slow happens before the lock that Portage itself takes (`lock`). Under it the directory is looked at once
//! more, and only what has changed in between is read: a package that emerge adds meanwhile is in the index.
//!
//! What it cannot know without a configuration are the header's keys that come from a profile. They are kept from the
//! index that is there; where there is none, they are absent, as in an index that Portage writes without a profile.

mod cache;
mod command;
mod compose;
mod lock;
mod package;
mod parallel;
mod publish;
mod read;
mod walk;

pub use cache::Cache;
pub use command::{Arguments, command};
pub use package::Refusal;

use crate::clock::Clock;
use crate::packages::Values;
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use walk::{Candidate, Stamp};

/// A package file that is not in the index, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its path below the directory.
    pub path: String,
    /// A stable word for the reason.
    pub code: &'static str,
    /// The reason.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The number of entries.
    pub packages: usize,
    /// The files that were read and hashed.
    pub read: usize,
    /// The files that the cache knew.
    pub cached: usize,
    /// Whether an index file had to be written.
    pub written: bool,
    /// The index's TIMESTAMP.
    pub timestamp: i64,
    /// The files that are not in the index.
    pub left_out: Vec<LeftOut>,
}

/// Brings the index of `directory` up to date.
pub fn reindex(
    directory: &Path,
    use_cache: bool,
    jobs: NonZeroUsize,
    clock: &impl Clock,
) -> anyhow::Result<Report> {
    let mut survey = Survey::new(if use_cache { Cache::load(directory) } else { Cache::default() });
    survey.look(directory, jobs)?;
    let _lock = lock::take(directory)?;
    let (candidates, mut left_out) = survey.look(directory, jobs)?;
    let mut entries = Vec::new();
    for candidate in &candidates {
        match survey.known(candidate) {
            Some(Ok(values)) => entries.push(candidate.entry(values)),
            Some(Err(refusal)) => left_out.push(refusal.left_out(&candidate.path)),
            // It came and went, or does not keep still.
            None => left_out.push(Refusal::Changing.left_out(&candidate.path)),
        }
    }
    let old = publish::Old::read(directory)?;
    let (entries, shadowed) = compose::instances(entries);
    left_out.extend(shadowed.iter().map(|path| Refusal::Shadowed.left_out(path)));
    let packages = entries.len();
    let (timestamp, text) = compose::index(&old, entries, clock.now());
    let written = publish::write(directory, &old, timestamp, text.as_bytes())?;
    if use_cache {
        survey.cache.save(directory, &candidates, clock.now())?;
    }
    left_out.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Report { packages, read: survey.read, cached: survey.cached, written, timestamp, left_out })
}

/// What is known of the files so far.
struct Survey {
    cache: Cache,
    refused: BTreeMap<String, (Stamp, Refusal)>,
    read: usize,
    cached: usize,
}

impl Survey {
    fn new(cache: Cache) -> Self {
        Self { cache, refused: BTreeMap::new(), read: 0, cached: 0 }
    }

    /// Finds the package files and reads those that are not known as they stand there.
    fn look(
        &mut self,
        directory: &Path,
        jobs: NonZeroUsize,
    ) -> anyhow::Result<(Vec<Candidate>, Vec<LeftOut>)> {
        let first = self.read == 0;
        let (candidates, left_out) = walk::candidates(directory)?;
        let mut unknown: Vec<_> =
            candidates.iter().filter(|candidate| self.known(candidate).is_none()).collect();
        if first {
            self.cached = candidates.len() - unknown.len();
        }
        // The largest first: no core is left alone with one at the end.
        unknown.sort_by_key(|candidate| std::cmp::Reverse(candidate.stamp.size));
        let results = parallel::map(jobs, &unknown, |candidate| read::package(directory, candidate));
        self.read += unknown.len();
        for (candidate, result) in unknown.into_iter().zip(results) {
            match result {
                Ok(values) => self.cache.insert(candidate, values),
                Err(refusal) => {
                    self.refused.insert(candidate.path.clone(), (candidate.stamp, refusal));
                }
            }
        }
        Ok((candidates, left_out))
    }

    fn known(&self, candidate: &Candidate) -> Option<Result<&Values, &Refusal>> {
        let refused = self.refused.get(&candidate.path).filter(|(stamp, _)| *stamp == candidate.stamp);
        match refused {
            Some((_, refusal)) => Some(Err(refusal)),
            None => self.cache.get(candidate).map(Ok),
        }
    }
}

#[cfg(test)]
mod tests;
