//! Names that become arguments of `ssh`, parts of paths and of URLs: parsed once, harmless ever after.

use std::fmt;
use std::str::FromStr;

/// Not a name of that kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: {rule}")]
pub struct NotAName {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:literal, $is:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NotAName;

            fn from_str(text: &str) -> Result<Self, NotAName> {
                let is: fn(&str) -> bool = $is;
                if is(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NotAName { text: text.to_owned(), kind: $kind, rule: $rule })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn all(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

name!(
    /// A node's name, which is its drone's name too.
    NodeName,
    "name of a node",
    "1 to 63 of [a-z0-9.-], as a host's name, and not with a dash or a dot in front",
    |text| all(text, 63, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && !text.starts_with(['-', '.'])
);

name!(
    /// Where a machine is reached: a host's name, an address, or an alias of the user's own ssh configuration. One that
    /// begins with a dash would be an option of ssh's.
    Host,
    "host",
    "1 to 255 of [A-Za-z0-9._:%-], and not with a dash in front",
    |text| all(text, 255, |b| b.is_ascii_alphanumeric() || b"._:%-".contains(&b)) && !text.starts_with('-')
);

name!(
    /// An account.
    User,
    "user",
    "1 to 32 of [A-Za-z0-9._-], and not with a dash in front",
    |text| all(text, 32, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !text.starts_with('-')
);

/// A machine on the way: `[user@]host[:port]`, the host in brackets where it is an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    user: Option<User>,
    host: Host,
    port: Option<u16>,
}

impl FromStr for Jump {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (user, place) = match text.split_once('@') {
            Some((user, place)) => (Some(user.parse()?), place),
            None => (None, text),
        };
        let bracketed = place.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let wrong_port = || NotAName { text: text.to_owned(), kind: "jump host", rule: "[user@]host[:port]" };
        let port = port.map(|port| port.parse().map_err(|_| wrong_port())).transpose()?;
        Ok(Self { user, host: host.parse()?, port })
    }
}

/// As `ssh -J` takes it.
impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        let host = self.host.as_str();
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            write!(f, "{host}")?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ssh_or_a_shell_could_misread() {
        for wrong in ["", "-oProxyCommand=sh", "a b", "a;b", "a$b", "a'b", "a\nb", "me@host", "a/b"] {
            assert!(wrong.parse::<Host>().is_err() && wrong.parse::<NodeName>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<User>().is_err(), "{wrong:?}");
        }
        assert!(["izar", "10.0.0.1", "fe80::1%eth0", "a_b"].iter().all(|host| host.parse::<Host>().is_ok()));
    }

    #[test]
    fn jump_hosts_read_and_write_alike() {
        for text in ["gate", "me@gate", "me@gate:2222", "gate:22", "me@[fe80::1]:22", "[fe80::1]"] {
            assert_eq!(text.parse::<Jump>().unwrap().to_string(), text);
        }
        for wrong in ["", "me@", "@gate", "gate:port", "gate:70000", "-J@gate", "me@-gate", "a,b", "me@a@b"] {
            assert!(wrong.parse::<Jump>().is_err(), "{wrong:?}");
        }
    }
}
