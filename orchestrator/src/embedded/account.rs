//! The account that the private servers run as. Postgres refuses to be root, and Redis has no need to be.
//!
//! Dropping is `Command::uid` and `Command::gid`: from root, the standard library then also clears the supplementary
//! groups, and the kernel the capabilities. Nothing has to be installed for it: `setpriv` comes with util-linux only
//! where Gentoo builds that with `USE=caps`.

use super::place::Place;
use anyhow::{Context, Result, ensure};
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

/// An account to drop to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// Its name, for messages.
    pub(super) name: String,
    /// Its user id.
    pub(super) uid: u32,
    /// Its group id.
    pub(super) gid: u32,
}

impl Account {
    /// Whom children of this process run as; `None`: as we are.
    ///
    /// A state directory that is not root's belongs to an orchestrator that does not run as root. Root may still call
    /// on that one's servers, and what it starts for it runs as the owner.
    pub(super) fn choose(configured: &str, state: &Metadata) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        if state.uid() != 0 {
            let name = format!("uid {}", state.uid());
            return Ok(Some(Self { name, uid: state.uid(), gid: state.gid() }));
        }
        Self::named(configured).map(Some)
    }

    /// Looks an account up, wherever the system keeps them.
    pub(super) fn named(name: &str) -> Result<Self> {
        let output = Command::new("getent").args(["passwd", "--", name]).output().context("getent")?;
        let line = String::from_utf8_lossy(&output.stdout);
        let account = Self::parse(&line).with_context(|| {
            format!(
                "there is no account {name:?} for the private servers (root does not run them itself): \
                 name one by embedded.account"
            )
        })?;
        ensure!(account.uid != 0, "embedded.account must not be root: Postgres refuses that");
        Ok(account)
    }

    /// A line of passwd(5).
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.trim_end().split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, uid, gid })
    }
}

/// The user id that the servers have.
pub(super) fn uid(place: &Place) -> u32 {
    place.account.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// Gives a path of ours to the servers.
pub(super) fn give(place: &Place, path: &Path) -> Result<()> {
    let Some(account) = &place.account else { return Ok(()) };
    chown(path, Some(account.uid), Some(account.gid))
        .with_context(|| format!("cannot give {} to {}", path.display(), account.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_passwd() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        let account = Account { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(Account::parse(line), Some(account));
        assert_eq!(Account::parse(""), None);
        assert_eq!(Account::parse("postgres:x:many:104::/:"), None);
    }

    #[test]
    fn root_and_nobody_are_refused() {
        assert!(Account::named("root").unwrap_err().to_string().contains("must not be root"));
        assert!(Account::named("no-such-account").unwrap_err().to_string().contains("embedded.account"));
    }
}
