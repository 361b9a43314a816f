//! Bytes by their BLAKE3 digest: written once under a temporary name, verified, then renamed to their address.
//!
//! ```text
//! blobs/3f/3f8e4c…     immutable; hard links from generations point here
//! uploads/3f8e4c….7    an upload on its way; swept at start
//! uploads/new.8        a signed package on its way; likewise
//! ```
//!
//! # Who refers to bytes, and who collects them
//!
//! Bytes that nothing refers to are removed by [`crate::collect`]. One read-write lock keeps the two apart. Whoever is
//! about to refer to bytes takes a [`Hold`], the shared side, *before* looking for them, and lets go when the reference
//! is in the target's state: staging, inheriting and preparing, for seconds. The collector takes the exclusive side,
//! and under it asks for the roots, then unlinks. So it sees either the reference or bytes that nobody has looked for.
//! An upload, which may take minutes, holds only for the rename at its end: what it has written until then is under a
//! temporary name, which is not collected.
//!
//! Between a drone's upload and the orchestrator's stage call nothing holds. There the bytes' age speaks: they stay for
//! a day after their inode last changed (`st_ctime`: written, linked, unlinked, or touched on purpose). An upload of
//! bytes that are there already writes nothing, so it touches them, under a hold: answered, they are good for a day
//! again. It is the change time, not the modification time, since that one is the artifact's `MTIME` in the index.

use crate::clock;
use crate::durable::{self, TempFile};
use crate::error::{Doing, Error, Result};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use swarm_protocol::{Code, Digest};

/// The blobs below a store's root.
pub(crate) struct Blobs {
    root: PathBuf,
    uploads: PathBuf,
    /// Makes temporary names unique within the process, which holds the store's lock.
    counter: AtomicU64,
    /// Shared by those who refer to bytes, exclusive to the collector.
    gate: RwLock<()>,
}

/// Nothing is collected while this lives. It is not to be taken twice by one thread: a collector that waits between the
/// two would be waited for. For the same reason it is taken before a target's journals, never after.
pub(crate) struct Hold<'a>(#[expect(dead_code, reason = "it is held, not read")] RwLockReadGuard<'a, ()>);

/// Nobody refers to bytes anew while this lives.
pub(crate) struct Collecting<'a>(
    #[expect(dead_code, reason = "it is held, not read")] RwLockWriteGuard<'a, ()>,
);

/// The directory of a store's blobs.
pub(crate) fn directory(root: &Path) -> PathBuf {
    root.join("blobs")
}

/// Where the bytes of a digest are below [`directory`], or would be.
pub(crate) fn place(blobs: &Path, digest: Digest) -> PathBuf {
    let name = digest.to_string();
    blobs.join(name.chars().take(2).collect::<String>()).join(name)
}

/// Refuses what needs bytes that were collected, or set aside.
pub(crate) fn gone(digest: Digest) -> Error {
    Error::refused(Code::Gone, format!("the bytes of {digest} are no longer here"))
}

/// Makes bytes as young as if they had just come, if they are there.
fn touch(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.doing("open", path)?,
    };
    // Writing the modification time that it has changes only the change time.
    let touched = file.metadata().and_then(|metadata| file.set_modified(metadata.modified()?));
    touched.and_then(|()| file.sync_all()).doing("touch", path)?;
    Ok(true)
}

/// Gives bytes their address. Those that came first stay, since generations may be linked to them.
fn settle(file: TempFile, to: &Path, _: &Hold<'_>) -> Result<()> {
    if !file.persist_new(to)? {
        touch(to)?;
    }
    Ok(())
}

/// A file below [`directory`].
pub(crate) enum Entry {
    /// Bytes at their address.
    Blob(Digest),
    /// Bytes that were set aside.
    Damaged,
    /// Nothing that this program leaves there.
    Strange,
}

/// Everything below [`directory`], with its path.
pub(crate) fn entries(blobs: &Path) -> Result<Vec<(Entry, PathBuf)>> {
    let mut entries = Vec::new();
    for prefix in blobs.read_dir().doing("list", blobs)? {
        let prefix = prefix.doing("list", blobs)?.path();
        for entry in prefix.read_dir().doing("list", &prefix)? {
            let path = entry.doing("list", &prefix)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let entry = match (Digest::from_str(name), name.strip_suffix(".damaged").map(Digest::from_str)) {
                (Ok(digest), _) if place(blobs, digest) == path => Entry::Blob(digest),
                (_, Some(Ok(_))) => Entry::Damaged,
                _ => Entry::Strange,
            };
            entries.push((entry, path));
        }
    }
    Ok(entries)
}

impl Blobs {
    /// Opens the directories, and removes what interrupted uploads left.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let blobs = durable::create_dir(root, Path::new("blobs"))?;
        for prefix in 0..=255_u8 {
            durable::create_dir(&blobs, Path::new(&format!("{prefix:02x}")))?;
        }
        let uploads = durable::create_dir(root, Path::new("uploads"))?;
        for entry in uploads.read_dir().doing("list", &uploads)? {
            let path = entry.doing("list", &uploads)?.path();
            std::fs::remove_file(&path).doing("remove", &path)?;
            tracing::info!(path = %path.display(), "removed an interrupted upload");
        }
        Ok(Self { root: blobs, uploads, counter: AtomicU64::new(0), gate: RwLock::new(()) })
    }

    /// The directory that they are in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the bytes of this digest are, or would be.
    pub(crate) fn path(&self, digest: Digest) -> PathBuf {
        place(&self.root, digest)
    }

    /// Keeps the collector out, for as long as bytes are looked for and referred to.
    pub(crate) fn hold(&self) -> Hold<'_> {
        // The lock guards no data: a panic under it leaves nothing half done.
        Hold(self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps everybody else out.
    pub(crate) fn collecting(&self) -> Collecting<'_> {
        Collecting(self.gate.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether these bytes are there; then they are as young as if they had just come.
    pub(crate) fn touch(&self, digest: Digest, _: &Hold<'_>) -> Result<bool> {
        touch(&self.path(digest))
    }

    /// Refuses what was collected, or set aside.
    pub(crate) fn require(&self, digests: impl IntoIterator<Item = Digest>, _: &Hold<'_>) -> Result<()> {
        match self.missing(digests)?.first() {
            None => Ok(()),
            Some(lost) => Err(gone(*lost)),
        }
    }

    /// Those whose bytes are not there.
    pub(crate) fn missing(&self, digests: impl IntoIterator<Item = Digest>) -> Result<Vec<Digest>> {
        let mut missing = Vec::new();
        for digest in digests {
            let path = self.path(digest);
            if !path.try_exists().doing("look for", &path)? {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    /// Opens a blob for reading.
    pub(crate) fn open_blob(&self, digest: Digest) -> Result<File> {
        let path = self.path(digest);
        match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::refused(Code::NotFound, format!("{digest} was not uploaded")))
            }
            opened => opened.doing("open", &path),
        }
    }

    /// Whether the bytes still are what they were.
    pub(crate) fn verify(&self, digest: Digest) -> Result<bool> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self.open_blob(digest)?).doing("read", &self.path(digest))?;
        Ok(Digest::from(hasher.finalize()) == digest)
    }

    /// Takes damaged bytes from their address, so that a new upload can have it. They stay beside it, to be looked at.
    pub(crate) fn set_aside(&self, digest: Digest) -> Result<()> {
        let path = self.path(digest);
        tracing::error!(artifact.digest = %digest, "stored bytes have changed; they are set aside");
        durable::rename(&path, &path.with_extension("damaged"))
    }

    /// The same for what a scrub found, which may be another file by now: `inode` was the damaged one's.
    pub(crate) fn set_aside_inode(&self, digest: Digest, inode: u64) -> Result<()> {
        let path = self.path(digest);
        // Nobody gives bytes their address meanwhile: what is looked at is what is renamed.
        let _alone = self.collecting();
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.ino() == inode => self.set_aside(digest),
            _ => Ok(()),
        }
    }

    /// Begins an upload that is to have this digest.
    pub(crate) fn upload(&self, digest: Digest) -> Result<Upload> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let file = TempFile::create(self.uploads.join(format!("{digest}.{number}")))?;
        Ok(Upload { file, hasher: blake3::Hasher::new(), digest, to: self.path(digest) })
    }

    /// Begins a blob that the binhost itself writes, whose digest is not known before its end.
    pub(crate) fn begin(&self) -> Result<TempFile> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        TempFile::create(self.uploads.join(format!("new.{number}")))
    }

    /// Gives it its address, for somebody who is about to refer to it.
    pub(crate) fn keep(&self, file: TempFile, digest: Digest, hold: &Hold<'_>) -> Result<()> {
        settle(file, &self.path(digest), hold)
    }

    /// When a blob was written, in Unix seconds.
    pub(crate) fn modified(&self, digest: Digest) -> Result<i64> {
        let path = self.path(digest);
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        modified.map(clock::unix_seconds).doing("look at", &path)
    }

    /// Writes and removes a file, to see whether the disk takes one.
    pub(crate) fn probe(&self) -> Result<()> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        TempFile::create(self.uploads.join(format!("probe.{number}")))?.write(b"probe")
    }
}

/// An upload on its way. Dropped before [`Upload::finish`], it leaves nothing.
pub(crate) struct Upload {
    file: TempFile,
    hasher: blake3::Hasher,
    digest: Digest,
    to: PathBuf,
}

impl Upload {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write(bytes)
    }

    /// Compares the digest and makes the bytes durable: what takes long.
    pub(crate) fn verified(self) -> Result<Verified> {
        let found = Digest::from(self.hasher.finalize());
        if found != self.digest {
            let detail = format!("the bytes have the digest {found}, not {}", self.digest);
            return Err(Error::refused(Code::DigestMismatch, detail));
        }
        self.file.sync()?;
        Ok(Verified { file: self.file, to: self.to })
    }
}

/// An upload that has all its bytes.
pub(crate) struct Verified {
    file: TempFile,
    to: PathBuf,
}

impl Verified {
    /// Gives the bytes their address, unless a concurrent upload of the same came first. Under a hold: else the collector
    /// might judge those, and remove these.
    pub(crate) fn finish(self, hold: &Hold<'_>) -> Result<()> {
        settle(self.file, &self.to, hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generation that is prepared between the two is linked to what came first.
    #[test]
    fn of_two_uploads_of_the_same_bytes_the_first_stays() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let digest = Digest::of(b"bytes");
        let uploads = [blobs.upload(digest).unwrap(), blobs.upload(digest).unwrap()];
        let inodes = uploads.map(|mut upload| {
            upload.write(b"bytes").unwrap();
            upload.verified().unwrap().finish(&blobs.hold()).unwrap();
            std::fs::metadata(blobs.path(digest)).unwrap().ino()
        });
        assert_eq!(inodes[0], inodes[1]);
        assert_eq!(directory.path().join("uploads").read_dir().unwrap().count(), 0);
    }
}
