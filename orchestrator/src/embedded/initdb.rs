//! A new cluster: made under a temporary name, then renamed, so that a cluster is there whole or not at all.
//!
//! Each attempt has a name of its own: the `initdb` of an orchestrator that was killed may still be writing, and it
//! clears its directory when it fails.

use super::account;
use super::binaries::Installed;
use super::child;
use super::place::{Place, sync};
use super::settings::INITDB;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tracing::{info, warn};

/// How a cluster in the making is called.
const UNFINISHED: &str = "postgres.initdb.";
/// It takes seconds; a slow disk gets its time.
const LIMIT: Duration = Duration::from_mins(5);
/// How often a directory is cleared that somebody still writes to, and the pause in between.
const CLEAR_TRIES: u32 = 50;
const CLEAR_PAUSE: Duration = Duration::from_millis(100);

/// Makes the cluster.
pub(super) async fn make(place: &Place, installed: &Installed) -> Result<()> {
    info!(directory = %place.data().display(), version = installed.major, "making a private Postgres cluster");
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&place.state)
        .with_context(|| format!("cannot write to {}", place.state.display()))?;
    account::give(place, unfinished.path())?;
    let mut command = child::command(&installed.bin.join("initdb"), place);
    command.arg("-D").arg(unfinished.path()).args(INITDB).stdout(std::process::Stdio::null());
    child::run(&mut command, "initdb", LIMIT).await?;
    fs::rename(unfinished.path(), place.data()).context("cannot rename the new cluster")?;
    // It has another name now: there is nothing to clear.
    let _ = unfinished.keep();
    sync(&place.state)
}

/// Removes what is left of clusters that were never finished. Only the lock's holder may.
pub(super) async fn clear(place: &Place) -> Result<()> {
    for entry in fs::read_dir(&place.state)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        match remove(&entry.path()).await {
            Ok(()) => info!(directory = %entry.path().display(), "removed a cluster that was never finished"),
            Err(error) => {
                warn!(directory = %entry.path().display(), %error, "cannot remove an unfinished cluster");
            }
        }
    }
    Ok(())
}

async fn remove(directory: &Path) -> std::io::Result<()> {
    let mut tries = 1;
    loop {
        match fs::remove_dir_all(directory) {
            // Its initdb goes on until it misses a file.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && tries < CLEAR_TRIES => tries += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            outcome => return outcome,
        }
        tokio::time::sleep(CLEAR_PAUSE).await;
    }
}
