//! The lock on the state directory: one orchestrator at a time. The kernel frees it with its holder's life; the servers
//! do not inherit it, since every file of ours is closed on exec.

use super::place::{AS_OWNER, Place};
use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "dropping it frees the lock")] File);

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another process has it.
    #[error(
        "another build-orchestrator ({pid}) uses the state directory {directory}: one directory serves one \
         orchestrator; several share a Postgres and a Redis by database.url and redis.url"
    )]
    Held {
        /// The holder as it wrote itself down.
        pid: String,
        /// The directory.
        directory: String,
    },
    /// Something else is wrong.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(place: &Place) -> Result<Self, LockError> {
        let mut file = open(place)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Only for the message; the holder may be just about to write it.
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "just starting" } else { pid.trim() };
                let directory = place.state.display().to_string();
                return Err(LockError::Held { pid: pid.to_owned(), directory });
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context("cannot lock the state directory").into());
            }
        }
        let written = file.set_len(0).and_then(|()| write!(file, "pid {}", std::process::id()));
        written.context("cannot write the lock file")?;
        Ok(Self(file))
    }
}

fn open(place: &Place) -> Result<File> {
    // Root would leave files there that the directory's own orchestrator cannot use.
    let ours = rustix::process::geteuid().as_raw();
    ensure!(
        place.owner == ours,
        "the state directory {} belongs to uid {}, this process runs as uid {ours}: {AS_OWNER}",
        place.state.display(),
        place.owner
    );
    let path = place.state.join("lock");
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let owner = rustix::process::geteuid().as_raw();
        let path = state.path().to_owned();
        let place = Place { sockets: path.join("run"), state: path, account: None, owner };
        let held = Lock::take(&place).unwrap();
        let refused = Lock::take(&place).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert!(refused.contains(&place.state.display().to_string()), "{refused}");
        drop(held);
        Lock::take(&place).unwrap();
        let refused = Lock::take(&Place { owner: owner + 1, ..place }).unwrap_err().to_string();
        assert!(refused.contains("directory's owner"), "{refused}");
    }
}
