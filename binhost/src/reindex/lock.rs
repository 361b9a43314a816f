//! The lock on a PKGDIR's index that Portage takes when it writes it (`portage/locks.py`, `lockfile` with
//! `wantnewlockfile`): a POSIX record lock on `.Packages.portage_lockfile`, which its holder removes at the end.

use crate::error::{Doing, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, open};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The lock, until it is dropped or the process ends.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

/// Waits for the lock.
pub(super) fn take(directory: &Path) -> Result<Lock> {
    let path = directory.join(".Packages.portage_lockfile");
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(open(&path, flags, Mode::from_raw_mode(0o660)).doing("create", &path)?);
        if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            tracing::info!(path = %path.display(), "waiting for the lock, which emerge or another reindex holds");
            fcntl_lock(&file, FlockOperation::LockExclusive).doing("lock", &path)?;
        }
        // Whoever held it before may have removed the file while this waited: then the lock is on nothing.
        if file.metadata().doing("look at", &path)?.nlink() > 0 {
            return Ok(Lock { path, _file: file });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: after that, the name may be another's.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the lock file stays; it does no harm");
        }
    }
}
