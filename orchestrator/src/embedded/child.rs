//! Children: in an environment of their own, as the servers' account, out of reach of a terminal's signals.

use super::place::Place;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How much of a child's complaint is repeated.
const COMPLAINT_BYTES: usize = 4_000;

/// A command in a known environment: no `PG*` variable, locale or working directory of the caller reaches it.
pub(super) fn command(program: &Path, place: &Place) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(account) = &place.account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Runs a command to its end. `what` begins the error, its standard error ends it.
pub(super) async fn run(command: &mut Command, what: &str, limit: Duration) -> Result<()> {
    let child = command.kill_on_drop(true).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("{what} cannot be started"))?;
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = ended.with_context(|| format!("{what} took longer than {} s", limit.as_secs()))??;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what} failed ({}): {}", output.status, tail(&complaint));
    Ok(())
}

/// A file of ours for what a server says while it starts, new each time: it cannot grow from start to start.
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// An empty file at `path`.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Takes both outputs of `command`. What outlives it keeps the file, and no pipe of ours.
    pub(super) fn take(&self, command: &mut Command) -> Result<()> {
        command.stdout(self.file.try_clone()?).stderr(self.file.try_clone()?);
        Ok(())
    }

    /// What was said last.
    pub(super) fn tail(&self) -> String {
        tail(&std::fs::read_to_string(&self.path).unwrap_or_default()).to_owned()
    }
}

fn tail(text: &str) -> &str {
    let text = text.trim();
    &text[text.ceil_char_boundary(text.len().saturating_sub(COMPLAINT_BYTES))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_complaint() {
        assert_eq!(tail(" short\n"), "short");
        let long = format!("{}end", "ü".repeat(COMPLAINT_BYTES));
        assert!(tail(&long).ends_with("end") && tail(&long).len() <= COMPLAINT_BYTES);
    }
}
