//! Dependency binaries, kept by digest below `state_dir/cache`, so that a fleet does not fetch zlib a thousand times.
//!
//! A file's name is its BLAKE3 digest, and it is read again before each use: a power cut may have left it shorter.

use std::fs::{self, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use swarm_protocol::Digest;

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

impl Cache {
    /// The cache in `dir`, which is made. What an interrupted download left is removed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().parse::<Digest>().is_err() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self(dir.to_owned()))
    }

    /// Where the file of that digest is, or would be.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.0.join(digest.to_string())
    }

    /// Where to write it while it is not complete.
    #[must_use]
    pub fn temporary(&self, digest: Digest) -> PathBuf {
        self.0.join(format!("{digest}.part"))
    }

    /// Takes a complete temporary file in.
    pub fn keep(&self, digest: Digest) -> io::Result<()> {
        fs::rename(self.temporary(digest), self.path(digest))
    }

    /// Gives a hard link to the file at `target`; false when it is not there, or not what its name says.
    pub fn link(&self, digest: Digest, target: &Path) -> io::Result<bool> {
        let path = self.path(digest);
        let Ok(mut file) = fs::File::open(&path) else { return Ok(false) };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file)?;
        if Digest::from(hasher.finalize()) != digest {
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
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), entry.path()));
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

    #[test]
    fn gives_what_its_name_says_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("half.part"), "x").unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        assert!(!dir.path().join("half.part").exists());
        let digest = Digest::of(b"bytes");
        let target = dir.path().join("closure/a/b.gpkg.tar");
        assert!(!cache.link(digest, &target).unwrap());
        fs::write(cache.temporary(digest), "bytes").unwrap();
        cache.keep(digest).unwrap();
        assert!(cache.link(digest, &target).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"bytes");
        fs::write(cache.path(digest), "byte").unwrap();
        assert!(!cache.link(digest, &target).unwrap() && !cache.path(digest).exists());
    }

    #[test]
    fn the_oldest_go_first() {
        let files = vec![(3, 10, "new"), (1, 10, "old"), (2, 10, "mid")];
        assert_eq!(surplus(files.clone(), 30), Vec::<&str>::new());
        assert_eq!(surplus(files.clone(), 15), ["old", "mid"]);
        assert_eq!(surplus(files, 0).len(), 3);
    }
}
