//! Bytes by their BLAKE3 digest: written once under a temporary name, verified, then renamed to their address.
//!
//! ```text
//! blobs/3f/3f8e4c…     immutable; hard links from generations point here
//! uploads/3f8e4c….7    an upload on its way; swept at start
//! uploads/new.8        a signed package on its way; likewise
//! ```

use crate::clock;
use crate::durable::{self, TempFile};
use crate::error::{Doing, Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use swarm_protocol::{Code, Digest};

/// The blobs below a store's root.
pub(crate) struct Blobs {
    root: PathBuf,
    uploads: PathBuf,
    /// Makes temporary names unique within the process, which holds the store's lock.
    counter: AtomicU64,
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
        Ok(Self { root: blobs, uploads, counter: AtomicU64::new(0) })
    }

    /// Where the bytes of this digest are, or would be.
    pub(crate) fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(name.chars().take(2).collect::<String>()).join(name)
    }

    pub(crate) fn has(&self, digest: Digest) -> Result<bool> {
        let path = self.path(digest);
        path.try_exists().doing("look for", &path)
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

    /// Gives it its address.
    pub(crate) fn keep(&self, file: TempFile, digest: Digest) -> Result<()> {
        file.persist(&self.path(digest))
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

    /// Compares the digest and gives the bytes their address. A concurrent upload of the same bytes may have come first;
    /// the rename then replaces them with themselves.
    pub(crate) fn finish(self) -> Result<()> {
        let found = Digest::from(self.hasher.finalize());
        if found != self.digest {
            let detail = format!("the bytes have the digest {found}, not {}", self.digest);
            return Err(Error::refused(Code::DigestMismatch, detail));
        }
        self.file.persist(&self.to)
    }
}
