//! Bundles: trees of configuration and repositories that workstations push and drones unpack. To the binhost they are
//! blobs that somebody marked.
//!
//! ```text
//! bundles/3f8e4c…      an empty file: these bytes are a bundle, and are kept. Its modification time says when somebody
//!                      last sent or asked for it
//! ```
//!
//! A mark is a root of the collector ([`crate::collect`]). The orchestrator says now and then which bundles are needed;
//! the marks of others go when nobody has asked for them for a day, which is the time that a push may take from its first
//! question to its last word. Only what is marked is read as a bundle: an artifact's digest gives nobody its bytes. An
//! artifact that the orchestrator needs as one, a part of the toolchain in drones' base roots, is marked when it says so.

use crate::blobs::{self, Blobs, Hold};
use crate::clock;
use crate::durable;
use crate::error::{Doing, Error, Result};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use swarm_protocol::{Code, Digest};

/// How long a mark stays that nobody needs, in seconds.
const DAY: i64 = 86_400;

/// The marks of a store.
pub(crate) struct Bundles {
    directory: PathBuf,
    /// When each was asked for last, in Unix seconds.
    marks: Mutex<HashMap<Digest, i64>>,
}

/// The directory of a store's marks.
pub(crate) fn directory(root: &Path) -> PathBuf {
    root.join("bundles")
}

/// Every file below [`directory`], with the digest that it marks; a strange file has none. A store that was never opened
/// by this version has no such directory.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(Option<Digest>, PathBuf)>> {
    let listed = match directory.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.doing("list", directory)?,
    };
    let mut entries = Vec::new();
    for entry in listed {
        let path = entry.doing("list", directory)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        entries.push((Digest::from_str(name).ok(), path));
    }
    Ok(entries)
}

impl Bundles {
    /// Reads the marks.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let directory = durable::create_dir(root, Path::new("bundles"))?;
        let mut marks = HashMap::new();
        for (digest, path) in entries(&directory)? {
            let strange = || Error::Damaged(format!("{} marks no bundle", path.display()));
            let asked =
                fs::metadata(&path).and_then(|metadata| metadata.modified()).doing("look at", &path)?;
            marks.insert(digest.ok_or_else(strange)?, clock::unix_seconds(asked));
        }
        Ok(Self { directory, marks: Mutex::new(marks) })
    }

    /// Marks bytes that are there as a bundle, durably; it is as young as `now`.
    pub(crate) fn mark(&self, digest: Digest, now: i64, _: &Hold<'_>) -> Result<()> {
        self.young(&mut self.marks(), digest, now)
    }

    /// Those of `digests` that are not there; the others are as young as `now`.
    pub(crate) fn missing(
        &self,
        blobs: &Blobs,
        digests: impl IntoIterator<Item = Digest>,
        now: i64,
    ) -> Result<Vec<Digest>> {
        // The collector looks at marks and bytes at one time, and so do we.
        let hold = blobs.hold();
        let mut marks = self.marks();
        let mut missing = Vec::new();
        for digest in digests {
            if marks.contains_key(&digest) && blobs.touch(digest, &hold)? {
                self.young(&mut marks, digest, now)?;
            } else {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    /// Marks those of `needed` that are there and have no mark; takes the marks of all others that nobody has asked for
    /// lately, and says how many.
    pub(crate) fn retain(&self, blobs: &Blobs, needed: &HashSet<Digest>, now: i64) -> Result<usize> {
        let hold = blobs.hold();
        let mut marks = self.marks();
        for digest in needed {
            if !marks.contains_key(digest) && blobs.touch(*digest, &hold)? {
                self.young(&mut marks, *digest, now)?;
            }
        }
        let old = |(digest, asked): (&Digest, &i64)| {
            (!needed.contains(digest) && now - asked >= DAY).then_some(*digest)
        };
        let gone: Vec<_> = marks.iter().filter_map(old).collect();
        for digest in &gone {
            // Whoever reads it at this moment, or verifies the store, finds the bytes for another day.
            blobs.touch(*digest, &hold)?;
            durable::remove_leftover(&self.path(*digest))?;
            marks.remove(digest);
        }
        if !gone.is_empty() {
            durable::sync_dir(&self.directory)?;
        }
        Ok(gone.len())
    }

    /// Refuses what is no bundle, or has lost its bytes.
    pub(crate) fn require(&self, blobs: &Blobs, digest: Digest) -> Result<()> {
        if !self.marks().contains_key(&digest) {
            return Err(Error::refused(Code::NotFound, format!("there is no bundle {digest}")));
        }
        blobs.require([digest], &blobs.hold())
    }

    /// What the collector must leave.
    pub(crate) fn add_roots(&self, roots: &mut HashSet<Digest>) {
        roots.extend(self.marks().keys());
    }

    fn young(&self, marks: &mut HashMap<Digest, i64>, digest: Digest, now: i64) -> Result<()> {
        let path = self.path(digest);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).doing("open", &path)?;
        file.set_modified(clock::system_time(now)).and_then(|()| file.sync_all()).doing("mark", &path)?;
        if marks.insert(digest, now).is_none() {
            durable::sync_dir(&self.directory)?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<Digest, i64>> {
        // The files are the truth; the next start reads them.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the directory of marks says, beside the daemon.
#[derive(Default)]
pub(crate) struct Scan {
    /// Bytes that must be there, and the marks that need them.
    pub(crate) references: Vec<(Digest, PathBuf)>,
    /// Files that mark nothing.
    pub(crate) strange: Vec<PathBuf>,
}

/// Scans the marks of a store.
pub(crate) fn scan(root: &Path) -> Result<Scan> {
    let mut scan = Scan::default();
    for (digest, path) in entries(&directory(root))? {
        match digest {
            Some(digest) => scan.references.push((digest, path)),
            None => scan.strange.push(path),
        }
    }
    Ok(scan)
}

/// How large a bundle is.
pub(crate) fn size(blobs: &Blobs, digest: Digest) -> Result<u64> {
    let path = blobs.path(digest);
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(blobs::gone(digest)),
        metadata => Ok(metadata.doing("look at", &path)?.len()),
    }
}
