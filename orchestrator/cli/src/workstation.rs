//! A workstation: what of it decides how packages are built for it, which `swarm target push` sends, and what lets it
//! install them, which `swarm setup workstation` writes and `swarm update` uses.
//!
//! What is sent may be read by every drone, and is part of an epoch. So the configuration is copied before it is packed,
//! and the copy differs from `/etc/portage` in what is said in [`configuration`]; each difference is a [`Remark`].
//!
//! | module | what |
//! |---|---|
//! | [`configuration`] | the copy of `/etc/portage` |
//! | [`settings`] | files of variables (make.conf): secrets, `native`, what they source. Pure |
//! | [`native`] | what the compiler makes of `-march=native` |
//! | [`profile`] | where `make.profile` leads |
//! | [`repositories`] | where drones can get the same repositories |
//! | [`installed`] | the database of installed packages |
//! | [`binrepos`] | the binhost's section in `binrepos.conf` |
//! | [`keyring`] | the keys that packages are verified with |
//! | [`portage`] | where Portage looks for both |

pub(crate) mod binrepos;
pub(crate) mod configuration;
pub(crate) mod installed;
pub(crate) mod keyring;
mod native;
pub(crate) mod portage;
mod profile;
pub(crate) mod repositories;
mod settings;

use crate::failure::Failure;
use serde::Serialize;
use std::path::{Path, PathBuf};
use swarm_bundle::pack::PackError;
use swarm_bundle::{Limits, pack};
use swarm_protocol::definition::Bundle;
use swarm_protocol::gentoo::WorkstationName;
use tempfile::NamedTempFile;

/// A difference between a workstation's file and what is sent of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Remark {
    /// The file, below `/etc/portage`.
    pub(crate) path: PathBuf,
    /// What was done, or left out.
    pub(crate) what: String,
}

/// A tree, ready to be sent.
#[derive(Debug)]
pub(crate) struct Packed {
    /// How it is named.
    pub(crate) bundle: Bundle,
    /// Its archive.
    pub(crate) archive: NamedTempFile,
}

/// Packs the tree at `root`.
fn packed(
    root: &Path,
    skipped: &[&str],
    leads_out: impl Fn(&Path) -> bool,
    limits: Limits,
) -> Result<Packed, Failure> {
    let archive = NamedTempFile::new().map_err(|error| unwritten(&error))?;
    let mut file = archive.reopen().map_err(|error| unwritten(&error))?;
    let swarm_bundle::Packed { content, bundle, bytes } =
        pack(root, skipped, leads_out, limits, &mut file).map_err(|error| refused(&error))?;
    Ok(Packed { bundle: Bundle { content, bundle, bytes }, archive })
}

fn refused(error: &PackError) -> Failure {
    Failure::usage(error.to_string())
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::internal(format!("cannot write to the directory of temporary files: {error}"))
}

/// A path of the workstation's, as this machine sees it.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The host's name.
pub(crate) fn host_name() -> Result<WorkstationName, Failure> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    name.parse().map_err(|error| Failure::usage(format!("{error}; name the workstation with --workstation")))
}
