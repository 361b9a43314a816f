//! What this machine's Portage is set up with: where its files are is its own to say.

use crate::failure::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a workstation's Portage looks.
#[derive(Debug)]
pub(crate) struct Places {
    /// What says which binary repositories there are: a file, or a directory of files.
    pub(crate) binrepos: PathBuf,
    /// The keyring that packages are verified with.
    pub(crate) keyring: PathBuf,
}

const VARIABLES: [&str; 2] = ["PORTAGE_CONFIGROOT", "BINPKG_GPG_VERIFY_GPG_HOME"];
/// `BINREPOS_CONF_FILE` in portage/const.py, below `PORTAGE_CONFIGROOT`.
const BINREPOS: &str = "etc/portage/binrepos.conf";

/// Asks `portageq`.
pub(crate) fn places() -> Result<Places, Failure> {
    let output = Command::new("portageq").arg("envvar").args(VARIABLES).output();
    let output = output.map_err(|error| {
        Failure::usage(format!(
            "cannot run portageq ({error}): this is done on the workstation itself, which has Portage"
        ))
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let places = said.lines().collect::<Vec<_>>();
    match places.as_slice() {
        [root, keyring] if !root.is_empty() && !keyring.is_empty() => {
            Ok(Places { binrepos: Path::new(root).join(BINREPOS), keyring: PathBuf::from(keyring) })
        }
        _ => Err(Failure::usage(format!(
            "portageq knows no {}: is this Portage 3.0.31 or newer? {}",
            VARIABLES.join(", or no "),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

/// What changes the machine, or Portage's caches, is root's.
pub(crate) fn only_root(what: &str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::usage(format!("{what} is for root: Portage's files and caches are root's")))
}
