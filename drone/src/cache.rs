//! Files kept by digest below `state_dir`, so that a drone does not fetch zlib a thousand times: dependency binaries in
//! `cache`, source archives in `distfiles`.
//!
//! A file's name is its digest, and it is read again before each use: a power cut may have left it shorter. Each build gets
//! hard links, so what is pruned meanwhile stays for the builds that have it.

use crate::address::Address;
use std::fs::{self, FileTimes};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A cache of files that are addressed by `A`.
#[derive(Clone, Debug)]
pub struct Cache<A> {
    directory: PathBuf,
    /// Two attempts may bring the same file at the same time.
    parts: Arc<AtomicU64>,
    addressed: PhantomData<A>,
}

/// A file that is not complete. It goes when it is dropped.
#[derive(Debug)]
pub struct Part(PathBuf);

impl Part {
    /// Where to write it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // One that was kept has another name, and what is left is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl<A: Address> Cache<A> {
    /// The cache in `directory`, which is made. What is no file of a cache is removed: parts of an interrupted download.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().parse::<A>().is_ok() {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { directory: directory.to_owned(), parts: Arc::default(), addressed: PhantomData })
    }

    /// Where the file of that digest is, or would be.
    #[must_use]
    pub fn path(&self, digest: A) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// A new file, to be kept when it is complete.
    #[must_use]
    pub fn part(&self) -> Part {
        Part(self.directory.join(format!("{}.part", self.parts.fetch_add(1, Ordering::Relaxed))))
    }

    /// Takes a complete file in, whose digest was compared.
    pub fn keep(&self, part: &Part, digest: A) -> io::Result<()> {
        fs::rename(part.path(), self.path(digest))
    }

    /// Takes in a hard link to `file`, if that has the digest; false where it has another.
    pub fn adopt(&self, file: &Path, digest: A) -> io::Result<bool> {
        if A::read(fs::File::open(file)?)? != digest {
            return Ok(false);
        }
        let part = self.part();
        fs::hard_link(file, part.path())?;
        self.keep(&part, digest)?;
        Ok(true)
    }

    /// Gives a hard link to the file at `target`; false when it is not there, or not what its name says.
    pub fn link(&self, digest: A, target: &Path) -> io::Result<bool> {
        let path = self.path(digest);
        let Ok(mut file) = fs::File::open(&path) else { return Ok(false) };
        if A::read(&mut file)? != digest {
            fs::remove_file(&path)?;
            return Ok(false);
        }
        touch(&file);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::hard_link(&path, target)?;
        Ok(true)
    }

    /// Removes the files used longest ago until `limit` bytes remain.
    pub fn prune(&self, limit: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // What somebody writes at this moment is not to be judged.
            if entry.file_name().to_string_lossy().parse::<A>().is_ok() {
                let metadata = entry.metadata()?;
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        for path in surplus(files, limit) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// The modification time says when the file was last used. Should that fail, it only goes earlier.
fn touch(file: &fs::File) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a file's time stamp, compared only with others of this cache"
    )]
    let now = SystemTime::now();
    let _ = file.set_times(FileTimes::new().set_modified(now));
}

/// The oldest of (time, bytes, name) that must go for the rest to fit into `limit` bytes.
fn surplus<T: Ord, N: Ord>(mut files: Vec<(T, u64, N)>, limit: u64) -> Vec<N> {
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    let mut gone = Vec::new();
    for (_, bytes, name) in files {
        if total <= limit {
            break;
        }
        total -= bytes;
        gone.push(name);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::Digest;

    #[test]
    fn gives_what_its_name_says_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("half.part"), "x").unwrap();
        fs::create_dir(dir.path().join("git3-src")).unwrap();
        let cache: Cache<Digest> = Cache::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let digest = Digest::of(b"bytes");
        let target = dir.path().join("closure/a/b.gpkg.tar");
        assert!(!cache.link(digest, &target).unwrap());
        let (first, second) = (cache.part(), cache.part());
        fs::write(first.path(), "bytes").unwrap();
        fs::write(second.path(), "byt").unwrap();
        cache.keep(&first, digest).unwrap();
        drop(second);
        assert!(cache.link(digest, &target).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"bytes");
        fs::write(cache.path(digest), "byte").unwrap();
        assert!(!cache.link(digest, &target).unwrap() && !cache.path(digest).exists());
    }

    #[test]
    fn adopts_what_it_should_and_outlives_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache: Cache<Digest> = Cache::open(&dir.path().join("cache")).unwrap();
        let (file, digest) = (dir.path().join("file"), Digest::of(b"bytes"));
        fs::write(&file, "other").unwrap();
        assert!(!cache.adopt(&file, digest).unwrap());
        fs::write(&file, "bytes").unwrap();
        assert!(cache.adopt(&file, digest).unwrap() && cache.adopt(&file, digest).unwrap());
        fs::remove_file(&file).unwrap();
        assert!(cache.link(digest, &file).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), 1, "no part is left");
    }

    #[test]
    fn the_oldest_go_first() {
        let files = vec![(3, 10, "new"), (1, 10, "old"), (2, 10, "mid")];
        assert_eq!(surplus(files.clone(), 30), Vec::<&str>::new());
        assert_eq!(surplus(files.clone(), 15), ["old", "mid"]);
        assert_eq!(surplus(files, 0).len(), 3);
    }
}
