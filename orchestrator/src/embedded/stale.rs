//! Lock files of a Postgres that died with the machine. Postgres takes such a file for a living server's if any process
//! of its account has the pid in it; after a reboot that may be anyone, and a person would have to remove the file.
//!
//! Every process of a server works in its cluster's directory. Where nobody does, no server lives, whatever the pid.

use super::place::{LONGEST_SOCKET, Place};
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use tracing::warn;

/// Removes the lock files if their pid is somebody else's now.
pub(super) fn clear(place: &Place) -> Result<()> {
    let data = place.data();
    let Some(pid) = fs::read_to_string(data.join("postmaster.pid")).ok().and_then(|text| pid(&text)) else {
        return Ok(());
    };
    // A dead pid is what Postgres sees through itself.
    if test_kill_process(pid).is_err() || is_worked_in(&data) {
        return Ok(());
    }
    warn!(
        pid = pid.as_raw_nonzero(),
        "Postgres's lock file names a process that is not Postgres; it is removed"
    );
    remove(data.join("postmaster.pid"))?;
    remove(place.sockets.join(format!("{LONGEST_SOCKET}.lock")))
}

/// The first line of `postmaster.pid`.
fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// Whether any process that we may look at works in `directory`: all of ours, and of the servers' account.
fn is_worked_in(directory: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok()).any(|cwd| cwd == directory)
}

fn remove(file: PathBuf) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_file_goes_only_when_nobody_works_there() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path().canonicalize().unwrap();
        let sockets = state.join("run");
        let place = Place { state, sockets, account: None, owner: 0 };
        fs::create_dir_all(place.data()).unwrap();
        let file = place.data().join("postmaster.pid");
        // Somebody who lives and is not Postgres: this test.
        fs::write(&file, format!("{}\n{}\n", std::process::id(), place.data().display())).unwrap();
        let mut worker = Command::new("cat").current_dir(place.data()).stdin(Stdio::piped()).spawn().unwrap();
        clear(&place).unwrap();
        assert!(file.exists());
        drop(worker.stdin.take());
        worker.wait().unwrap();
        clear(&place).unwrap();
        assert!(!file.exists());
        clear(&place).unwrap();
    }
}
