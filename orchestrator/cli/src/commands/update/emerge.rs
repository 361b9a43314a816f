//! The workstation's command (PORTAGE.md 1), at the terminal of whoever typed `swarm update`.

use crate::failure::Failure;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Binaries alone, whatever `EMERGE_DEFAULT_OPTS` says: what stands on the command line comes after it.
const ARGUMENTS: [&str; 7] =
    ["--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

/// Runs it, and gives its exit status, which says when it failed and never that it has done all. With `aside`, what it says
/// goes to standard error.
pub(super) async fn run(aside: bool) -> Result<i32, Failure> {
    let failed = |error: std::io::Error| Failure::internal(format!("cannot run emerge: {error}"));
    // A terminal interrupts both of us: emerge ends in its own way, and we say what came of it.
    let _interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut emerge = Command::new("emerge");
    if !std::io::stdin().is_terminal() {
        // Nobody is there to answer, should EMERGE_DEFAULT_OPTS have --ask.
        emerge.arg("--ask=n");
    }
    emerge.args(ARGUMENTS);
    if aside {
        emerge.stdout(Stdio::from(std::io::stderr()));
    }
    let status = emerge.status().await.map_err(failed)?;
    // As a shell has it, where a signal ended it.
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}
