//! Which files a daemon reads at all: their names, owners and modes, as each daemon's `database.c` checks them.

use super::daemon::{Daemon, Holds};

/// What is known of a file without reading it.
#[derive(Clone, Debug)]
pub(super) struct Facts<'a> {
    /// Its name; empty where it is the one file at its place.
    pub(super) name: &'a str,
    /// Whether it is a regular file.
    pub(super) regular: bool,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its owner.
    pub(super) uid: u32,
    /// How many names it has.
    pub(super) links: u64,
    /// The account whose table it is.
    pub(super) account: Option<u32>,
}

/// Why the daemon does not read it, and what to do.
pub(super) fn refused(daemon: Daemon, holds: Holds, facts: &Facts) -> Option<(String, String)> {
    name(daemon, holds, facts.name).or_else(|| file(daemon, holds, facts))
}

fn name(daemon: Daemon, holds: Holds, name: &str) -> Option<(String, String)> {
    if name.is_empty() || holds == Holds::Accounts {
        return None;
    }
    let run_parts = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let why = match daemon {
        Daemon::Debian if !name.chars().all(run_parts) => {
            "reads no file whose name has other characters than letters, digits, `-` and `_`"
        }
        Daemon::Cronie if name.starts_with(['.', '#']) || name.ends_with('~') => {
            "reads no file whose name begins with `.` or `#` or ends with `~`"
        }
        Daemon::Cronie if [".rpmsave", ".rpmorig", ".rpmnew"].iter().any(|end| name.ends_with(end)) => {
            "reads no file whose name ends like that"
        }
        Daemon::Dcron if name.contains('.') => "reads no file whose name has a `.`",
        _ => return None,
    };
    let plain: String = name.chars().map(|c| if run_parts(c) { c } else { '-' }).collect();
    Some((why.to_owned(), format!("rename it: `{}`", plain.trim_matches('-'))))
}

fn file(daemon: Daemon, holds: Holds, facts: &Facts) -> Option<(String, String)> {
    let said = |why: &str, what: &str| Some((why.to_owned(), what.to_owned()));
    let &Facts { mode, uid, links, account, .. } = facts;
    let is_accounts = holds == Holds::Accounts;
    if !facts.regular {
        return said("reads regular files only", "put a regular file in its place");
    }
    match daemon {
        Daemon::Debian if is_accounts => {
            if Some(uid) != account {
                return said("reads it only if its account owns it", "install it with crontab(1)");
            }
            if mode & 0o7777 != 0o600 {
                return said("wants mode 0600", "chmod 600, or install it with crontab(1)");
            }
            (links != 1).then(|| {
                ("reads no file with a second name".to_owned(), "install it with crontab(1)".to_owned())
            })
        }
        Daemon::Debian => {
            if uid != 0 {
                return said("reads it only if root owns it", "chown root");
            }
            (mode & 0o022 != 0)
                .then(|| ("reads no file that others may write".to_owned(), "chmod go-w".to_owned()))
        }
        Daemon::Cronie => {
            // PermitAnyCrontab (`crond -p`) lifts all of this; nobody who asks a doctor runs with it.
            if mode & 0o7533 != 0o400 {
                return said(
                    "wants a file that its owner alone may write and nobody may execute",
                    "chmod 600",
                );
            }
            if uid != 0 && (!is_accounts || Some(uid) != account) {
                return said("reads it only if root, or the account whose it is, owns it", "chown root");
            }
            (is_accounts && links != 1).then(|| {
                ("reads no file with a second name".to_owned(), "install it with crontab(1)".to_owned())
            })
        }
        Daemon::Dcron if uid != 0 => {
            said("reads it only if root owns it", "chown root, or install it with crontab(1)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts =
        Facts { name: "build-swarm", regular: true, mode: 0o644, uid: 0, links: 1, account: None };

    fn why(daemon: Daemon, holds: Holds, facts: &Facts) -> String {
        refused(daemon, holds, facts).map_or("read".to_owned(), |(why, _)| why)
    }

    #[test]
    fn names() {
        for (daemon, holds, name, read) in [
            (Daemon::Debian, Holds::System, "build-swarm", true),
            (Daemon::Debian, Holds::System, "build.swarm", false),
            (Daemon::Debian, Holds::System, "build-swarm~", false),
            (Daemon::Cronie, Holds::System, "build.swarm", true),
            (Daemon::Cronie, Holds::System, "build-swarm~", false),
            (Daemon::Cronie, Holds::System, ".swarm", false),
            (Daemon::Dcron, Holds::Root, "build.swarm", false),
        ] {
            let facts = Facts { name, ..GOOD };
            assert_eq!(refused(daemon, holds, &facts).is_none(), read, "{daemon} {name}");
        }
        let (_, advice) =
            refused(Daemon::Debian, Holds::System, &Facts { name: "build.swarm", ..GOOD }).unwrap();
        assert_eq!(advice, "rename it: `build-swarm`");
    }

    #[test]
    fn owners_and_modes() {
        let system = |daemon, mode, uid| why(daemon, Holds::System, &Facts { mode, uid, ..GOOD });
        assert_eq!(system(Daemon::Debian, 0o644, 0), "read");
        assert_eq!(system(Daemon::Debian, 0o664, 0), "reads no file that others may write");
        assert_eq!(system(Daemon::Debian, 0o644, 1000), "reads it only if root owns it");
        assert_eq!(system(Daemon::Cronie, 0o600, 0), "read");
        assert_eq!(
            system(Daemon::Cronie, 0o755, 0),
            "wants a file that its owner alone may write and nobody may execute"
        );
        let own = |daemon, mode, uid| {
            why(daemon, Holds::Accounts, &Facts { mode, uid, account: Some(1000), ..GOOD })
        };
        assert_eq!(own(Daemon::Debian, 0o600, 1000), "read");
        assert_eq!(own(Daemon::Debian, 0o644, 1000), "wants mode 0600");
        assert_eq!(own(Daemon::Debian, 0o600, 0), "reads it only if its account owns it");
        assert_eq!(own(Daemon::Cronie, 0o600, 0), "read");
        assert_eq!(own(Daemon::Dcron, 0o600, 1000), "reads it only if root owns it");
    }
}
