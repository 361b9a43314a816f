//! The accounts of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

/// Accounts by name, with their numbers.
#[derive(Debug, Default)]
pub(super) struct Accounts(BTreeMap<String, u32>);

impl Accounts {
    /// Those of /etc/passwd.
    pub(super) fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn parse(passwd: &str) -> Self {
        let account = |line: &str| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        };
        Self(passwd.lines().filter_map(account).collect())
    }

    /// The number of an account; of one that is not in /etc/passwd, the name service is asked, as daemons do.
    pub(super) fn uid(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied().or_else(|| {
            // A word that cannot be an account's name is none, and getent(1) would take it for an option or a number.
            if !name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
                return None;
            }
            let output = Command::new("getent").args(["passwd", name]).stdin(Stdio::null()).output().ok()?;
            Self::parse(&String::from_utf8_lossy(&output.stdout)).0.get(name).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd() {
        let accounts =
            Accounts::parse("root:x:0:0:root:/root:/bin/bash\nbad line\nbuilder:x:1000:1000::/:/bin/sh\n");
        assert_eq!((accounts.uid("root"), accounts.uid("builder")), (Some(0), Some(1000)));
        assert_eq!(accounts.uid("17"), None);
    }
}
