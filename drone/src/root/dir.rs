//! The directories of an attempt, below `state_dir/attempts/NAME`:
//!
//! | name | what |
//! |---|---|
//! | `upper`, `work`, `root` | the overlay's layers and where it is mounted |
//! | `closure` | PKGDIR of the dependencies: hard links into the cache, and their index |
//! | `distfiles` | DISTDIR: hard links into the cache of source archives, and what was fetched |
//! | `packages` | PKGDIR of the artifact |
//! | `installed` | the installed-package database of a workstation, where the root is to have one |
//! | `build.log` | the log, until it is sent |
//! | `*.json` | how each command was run |

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The directories of one attempt; they are removed when it is dropped.
#[derive(Debug)]
pub struct AttemptDir(PathBuf);

impl AttemptDir {
    /// Makes them afresh below `attempts`.
    pub fn create(attempts: &Path, name: &str) -> io::Result<Self> {
        let path = attempts.join(name);
        remove(&path)?;
        fs::create_dir_all(&path)?;
        let this = Self(path);
        for dir in
            [this.upper(), this.work(), this.merged(), this.closure(), this.distfiles(), this.packages()]
        {
            fs::create_dir(&dir)?;
            // The upper layer's mode becomes the root's: whatever our umask is, Portage's own user must pass.
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        }
        Ok(this)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The overlay's upper layer.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    /// The overlay's work directory.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Where the overlay is mounted.
    #[must_use]
    pub fn merged(&self) -> PathBuf {
        self.0.join("root")
    }

    /// PKGDIR of the dependencies.
    #[must_use]
    pub fn closure(&self) -> PathBuf {
        self.0.join("closure")
    }

    /// DISTDIR.
    #[must_use]
    pub fn distfiles(&self) -> PathBuf {
        self.0.join("distfiles")
    }

    /// PKGDIR of the artifact.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.0.join("packages")
    }

    /// The installed-package database of a root that has another one than the base root.
    #[must_use]
    pub fn installed(&self) -> PathBuf {
        self.0.join("installed")
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("build.log")
    }

    /// How the command called `name` was run.
    #[must_use]
    pub fn spec(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove an attempt's directory; the next start will");
        }
    }
}

/// Removes what former processes left below `attempts`. Their mounts and processes died with them.
pub fn clear(attempts: &Path) -> io::Result<()> {
    remove(attempts)?;
    fs::create_dir_all(attempts)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_afresh_and_removed() {
        let state = tempfile::tempdir().unwrap();
        let attempts = state.path().join("attempts");
        fs::create_dir_all(attempts.join("7/upper/old")).unwrap();
        let dir = AttemptDir::create(&attempts, "7").unwrap();
        assert!(!dir.upper().join("old").exists() && dir.packages().is_dir());
        drop(dir);
        assert!(!attempts.join("7").exists());
        fs::create_dir_all(attempts.join("8/upper")).unwrap();
        clear(&attempts).unwrap();
        assert!(crate::vdb::directories(&attempts).unwrap().is_empty());
    }
}
