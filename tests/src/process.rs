//! A child process that ends with the test, whatever happens.

use crate::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running program whose output goes to a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// A program of this workspace, built by `cargo build --workspace` before the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // Tests are one level deeper, in `deps`.
    let directory = own.ancestors().skip(1).find(|directory| !directory.ends_with("deps")).unwrap();
    let binary = directory.join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --workspace` first", binary.display());
    binary
}

impl Process {
    /// Starts `command`, appending its output to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// `kill -9`, and its end awaited.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits for the end that something else causes.
    pub async fn ended(&mut self, seconds: u64) -> ExitStatus {
        wait::until(seconds, "a process to end", async || self.child.try_wait().unwrap()).await
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has printed.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.output());
        }
    }
}
