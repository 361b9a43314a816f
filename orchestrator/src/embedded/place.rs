//! The state directory.
//!
//! ```text
//! lock                 locked by the one orchestrator that uses the directory; holds its pid
//! postgres/            the cluster
//! postgres.initdb.*/   a cluster in the making; whatever is left of one is removed at the next start
//! postgres.log         what Postgres said at its last start; later messages are in postgres/log/
//! redis.log            what Redis said since its last start
//! run/                 the sockets; elsewhere where this path is too long
//! dumps/               the nightly dumps
//! ```
//!
//! The servers own `postgres/` and `run/`; only they and root can enter these.

use super::account::{self, Account};
use crate::config::Config;
use anyhow::{Context, Result, ensure};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The longest path of a unix socket, unix(7): `sun_path` without its end mark.
const SOCKET_PATH_BYTES: usize = 107;
/// The longer of our sockets' names. Postgres makes it of a port that is no port.
pub(super) const LONGEST_SOCKET: &str = ".s.PGSQL.5432";

/// What to do in somebody else's state directory.
pub(super) const AS_OWNER: &str = "run it as the directory's owner";

/// Where things are, and whose.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The state directory, without symbolic links.
    pub(super) state: PathBuf,
    /// The sockets' directory.
    pub(super) sockets: PathBuf,
    /// Whom the servers run as, where that is not this process's own account.
    pub(super) account: Option<Account>,
    /// The state directory's owner.
    pub(super) owner: u32,
}

impl Place {
    /// The configured state directory, made if it is missing.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let path = &config.state_dir;
        fs::create_dir_all(path).with_context(|| format!("cannot make state_dir {}", path.display()))?;
        Self::existing(config)
    }

    /// The configured state directory, which must be there.
    pub(super) fn existing(config: &Config) -> Result<Self> {
        let path = &config.state_dir;
        let state = path.canonicalize().with_context(|| format!("state_dir {}", path.display()))?;
        let metadata = state.metadata().with_context(|| format!("state_dir {}", path.display()))?;
        let account = Account::choose(&config.embedded.account, &metadata)?;
        let owner = metadata.uid();
        let us = rustix::process::geteuid();
        ensure!(
            us.is_root() || us.as_raw() == owner,
            "the state directory {} belongs to uid {owner}, this process runs as uid {}: {AS_OWNER}",
            state.display(),
            us.as_raw()
        );
        Ok(Self { sockets: sockets(&state, owner), state, account, owner })
    }

    /// The cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.state.join("postgres")
    }

    /// The nightly dumps.
    pub(super) fn dumps(&self) -> PathBuf {
        self.state.join("dumps")
    }

    /// Makes the sockets' directory, or checks the one that is there.
    pub(super) fn make_sockets(&self) -> Result<()> {
        let path = &self.sockets;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
            _ => {}
        }
        let ours = rustix::process::geteuid().as_raw();
        let found = fs::symlink_metadata(path)?;
        if found.is_dir() && found.uid() == ours {
            account::give(self, path)?;
        }
        self.has_sockets().map(drop)
    }

    /// Whether the sockets' directory is there. Trust in whatever answers on them rests on it, so it is checked before
    /// any of them is used: only its owner and root may enter.
    ///
    /// Below /tmp somebody else may have been first. A link is not followed; once the directory is found to be ours, the
    /// sticky bit of /tmp keeps it so.
    pub(super) fn has_sockets(&self) -> Result<bool> {
        let (path, owner) = (&self.sockets, account::uid(self));
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found.with_context(|| format!("cannot look at {}", path.display()))?,
        };
        ensure!(
            found.is_dir() && found.uid() == owner && found.mode() & 0o777 == 0o700,
            "{} must be a directory of uid {owner} with mode 0700, for the sockets; there is something of uid {} with \
             mode {:04o}: remove it, or set embedded.account",
            path.display(),
            found.uid(),
            found.mode() & 0o7777
        );
        Ok(true)
    }
}

/// Where the sockets are: a function of the state directory and its owner, so that whoever comes later finds them.
fn sockets(state: &Path, owner: u32) -> PathBuf {
    let inside = state.join("run");
    if inside.as_os_str().len() + 1 + LONGEST_SOCKET.len() <= SOCKET_PATH_BYTES {
        return inside;
    }
    let hash = blake3::hash(state.as_os_str().as_bytes()).to_hex();
    // Only root can write to /run.
    let short = if owner == 0 { "/run" } else { "/tmp" };
    Path::new(short).join(format!("build-orchestrator-{}", &hash[..16]))
}

/// Makes a rename in `directory` outlive a power cut.
pub(super) fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .with_context(|| format!("cannot sync {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn place(sockets: PathBuf) -> Place {
        let owner = rustix::process::geteuid().as_raw();
        Place { state: PathBuf::from("/"), sockets, account: None, owner }
    }

    #[test]
    fn sockets_are_inside_as_long_as_their_path_fits() {
        assert_eq!(sockets(Path::new("/var/lib/swarm"), 0), Path::new("/var/lib/swarm/run"));
        // 107 bytes: "/", 88 of the name, "/run", "/", 13 of the socket.
        let fits = format!("/{}", "s".repeat(88));
        assert_eq!(sockets(Path::new(&fits), 0), Path::new(&fits).join("run"));
        let long = format!("/{}", "s".repeat(89));
        let short = sockets(Path::new(&long), 0);
        assert!(short.starts_with("/run") && short.as_os_str().len() < 60, "{}", short.display());
        assert_eq!(short, sockets(Path::new(&long), 0), "the same for whoever comes later");
        assert_ne!(short, sockets(Path::new(&format!("{long}2")), 0));
        assert!(sockets(Path::new(&long), 1000).starts_with("/tmp"));
    }

    #[test]
    fn a_private_directory_is_made_and_taken_again() {
        let around = tempfile::tempdir().unwrap();
        let place = place(around.path().join("run"));
        place.make_sockets().unwrap();
        place.make_sockets().unwrap();
        assert_eq!(fs::metadata(&place.sockets).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_somebody_else_put_there_is_refused() {
        let around = tempfile::tempdir().unwrap();
        let open = around.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = around.path().join("link");
        symlink(&open, &link).unwrap();
        for path in [open, link] {
            assert!(place(path.clone()).make_sockets().is_err(), "{}", path.display());
            assert!(place(path.clone()).has_sockets().is_err(), "{}", path.display());
        }
        assert!(!place(around.path().join("absent")).has_sockets().unwrap());
    }
}
