//! Writes that survive a power cut. A file's bytes are safe after its own fsync, its name only after the directory's:
//! every rename and every new name here is followed by [`sync_dir`].

use crate::error::{Doing, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).doing("sync", path)
}

/// Makes everything written to the file system of `path` durable: one call instead of thousands of fsyncs.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    let directory = File::open(path).doing("open", path)?;
    rustix::fs::syncfs(directory).doing("sync the file system of", path)
}

/// Creates a directory with its parents below `root`, each durable in its parent.
pub(crate) fn create_dir(root: &Path, relative: &Path) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for part in relative {
        let parent = path.clone();
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => sync_dir(&parent)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).doing("create", &path),
        }
    }
    Ok(path)
}

/// Renames within a file system, durably. What was at `to` is replaced in one step.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).doing("rename", from)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes what an interrupted change left under a temporary name, if it left anything.
pub(crate) fn remove_leftover(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}

/// Gives a file new contents in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    remove_leftover(&new)?;
    let mut file = TempFile::create(new)?;
    file.write(bytes)?;
    file.persist(path)
}

/// A file under a temporary name. It disappears when it is dropped, however the work on it ends.
pub(crate) struct TempFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl TempFile {
    /// A new, empty file; `path` must not exist.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        Self::with(path, 0o666)
    }

    /// The same, for its owner's eyes only, whatever the umask.
    pub(crate) fn create_private(path: PathBuf) -> Result<Self> {
        Self::with(path, 0o600)
    }

    fn with(path: PathBuf, mode: u32) -> Result<Self> {
        let file =
            File::options().write(true).create_new(true).mode(mode).open(&path).doing("create", &path)?;
        Ok(Self { path, file, kept: false })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).doing("write", &self.path)
    }

    /// Makes the bytes durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().doing("sync", &self.path)
    }

    /// Gives the file its lasting name: fsync, rename, fsync of the directory.
    pub(crate) fn persist(mut self, to: &Path) -> Result<()> {
        self.sync()?;
        fs::rename(&self.path, to).doing("rename", &self.path)?;
        self.kept = true;
        to.parent().map_or(Ok(()), sync_dir)
    }

    /// The same, unless there is a file of that name: then that one stays, and the answer is false.
    pub(crate) fn persist_new(self, to: &Path) -> Result<bool> {
        self.sync()?;
        match fs::hard_link(&self.path, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            linked => linked.doing("link", to)?,
        }
        to.parent().map_or(Ok(()), sync_dir)?;
        Ok(true)
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_kept_or_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, lasting) = (directory.path().join("a.part"), directory.path().join("a"));
        drop(TempFile::create(temporary.clone()).unwrap());
        assert!(!temporary.exists());
        let mut file = TempFile::create(temporary.clone()).unwrap();
        file.write(b"bytes").unwrap();
        file.persist(&lasting).unwrap();
        assert_eq!((temporary.exists(), fs::read(&lasting).unwrap()), (false, b"bytes".to_vec()));
        let mut second = TempFile::create(temporary.clone()).unwrap();
        second.write(b"others").unwrap();
        assert!(!second.persist_new(&lasting).unwrap(), "the name is taken");
        assert_eq!((temporary.exists(), fs::read(&lasting).unwrap()), (false, b"bytes".to_vec()));
        let fresh = directory.path().join("b");
        assert!(TempFile::create(temporary.clone()).unwrap().persist_new(&fresh).unwrap());
        assert!(!temporary.exists() && fresh.exists());
    }

    #[test]
    fn directories_are_created_once() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            assert!(create_dir(root.path(), Path::new("a/b/c")).unwrap().is_dir());
        }
    }
}
