//! The binhost's directory: one process at a time, blobs, bundles, targets.

#[cfg(test)]
mod chaos;

use crate::blobs::Blobs;
use crate::bundles::Bundles;
use crate::collect::{self, Collected};
use crate::config::Retention;
use crate::distfiles::Distfiles;
use crate::durable;
use crate::error::{Doing, Error, Result};
use crate::target::Target;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::{Code, Digest};

/// What a sweep removed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Swept {
    /// Generations.
    pub(crate) generations: Vec<Removed>,
    /// Files below `blobs`.
    pub(crate) blobs: Collected,
    /// Source archives.
    pub(crate) distfiles: usize,
}

/// A generation that is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Removed {
    /// Of this target.
    pub(crate) target: TargetName,
    /// Its number.
    pub(crate) number: GenerationNumber,
}

/// An open store.
pub(crate) struct Store {
    pub(crate) blobs: Blobs,
    pub(crate) bundles: Bundles,
    pub(crate) distfiles: Distfiles,
    root: PathBuf,
    /// Of the targets.
    directory: PathBuf,
    targets: RwLock<HashMap<TargetName, Arc<Target>>>,
    _lock: Lock,
}

impl Store {
    /// Opens a store, and brings it into order after a crash; an empty directory becomes a new one.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).doing("create", root)?;
        let lock = lock(&root.join("lock"))?;
        let directory = durable::create_dir(root, Path::new("targets"))?;
        let (blobs, bundles) = (Blobs::open(root)?, Bundles::open(root)?);
        let distfiles = Distfiles::open(root)?;
        let mut targets = HashMap::new();
        for entry in directory.read_dir().doing("list", &directory)? {
            let path = entry.doing("list", &directory)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let strange = |_| Error::Damaged(format!("{} is no target's directory", path.display()));
            let target = TargetName::from_str(name).map_err(strange)?;
            targets.insert(target, Arc::new(Target::open(&directory, name)?));
        }
        Ok(Self {
            blobs,
            bundles,
            distfiles,
            root: root.to_owned(),
            directory,
            targets: RwLock::new(targets),
            _lock: lock,
        })
    }

    /// The directory that holds everything.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A target that something was once staged or prepared for.
    pub(crate) fn target(&self, name: &TargetName) -> Option<Arc<Target>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The same, or a new one.
    pub(crate) fn target_or_new(&self, name: &TargetName) -> Result<Arc<Target>> {
        if let Some(target) = self.target(name) {
            return Ok(target);
        }
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(name) {
            return Ok(Arc::clone(target));
        }
        let target = Arc::new(Target::open(&self.directory, name.as_str())?);
        targets.insert(name.clone(), Arc::clone(&target));
        Ok(target)
    }

    fn all(&self) -> Vec<Arc<Target>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What must stay, of all targets, and the bundles.
    fn roots(&self) -> HashSet<Digest> {
        let mut roots = HashSet::new();
        self.all().iter().for_each(|target| target.add_roots(&mut roots));
        self.bundles.add_roots(&mut roots);
        roots
    }

    /// Removes generations that retention does not keep, and then the bytes that nothing refers to.
    pub(crate) fn collect(&self, retention: Retention, now: i64) -> Result<Swept> {
        let mut swept = Swept::default();
        for (name, target) in self.named() {
            for number in target.retire(retention, now)? {
                swept.generations.push(Removed { target: name.clone(), number });
            }
        }
        swept.blobs = collect::collect(&self.blobs, || self.roots(), now)?;
        swept.distfiles = self.distfiles.sweep(retention, now)?;
        Ok(swept)
    }

    /// What [`Store::collect`] would remove. The bytes of the generations among it come later: they stay for a day.
    pub(crate) fn collectable(&self, retention: Retention, now: i64) -> Result<Swept> {
        let mut swept = Swept::default();
        for (name, target) in self.named() {
            let numbers = target.superfluous(retention, now).into_iter();
            swept.generations.extend(numbers.map(|number| Removed { target: name.clone(), number }));
        }
        swept.blobs = collect::garbage(self.blobs.root(), &self.roots(), now)?;
        swept.distfiles = self.distfiles.sweepable(retention, now);
        Ok(swept)
    }

    fn named(&self) -> Vec<(TargetName, Arc<Target>)> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let mut named: Vec<_> =
            targets.iter().map(|(name, target)| (name.clone(), Arc::clone(target))).collect();
        named.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        named
    }

    /// Whether the store can take writes.
    pub(crate) fn check_able(&self) -> Result<()> {
        if self.all().iter().any(|target| !target.is_able()) {
            return Err(Error::refused(
                Code::Unavailable,
                "a journal could not be written; restart the binhost",
            ));
        }
        self.blobs.probe()
    }
}

/// The directory's lock, until it is dropped.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being started has a copy of every file until it runs its program, and
        // the lock lasts as long as any of them. This releases it for all; if it fails, closing does it a moment later.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(path: &Path) -> Result<Lock> {
    let file = File::options().create(true).truncate(false).write(true).open(path).doing("open", path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::Damaged(format!("{} is held by another binhost", path.display())))
        }
        Err(error) => Err(error).doing("lock", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_ends_with_its_holder_though_a_child_has_a_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = lock(&path).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(lock(&path).is_err(), "one at a time");
        drop(held);
        assert!(lock(&path).is_ok());
        drop(copy);
    }
}
