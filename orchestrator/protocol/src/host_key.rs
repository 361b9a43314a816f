//! A machine's public ssh host key, as `/etc/ssh/ssh_host_ed25519_key.pub` and `known_hosts` have it (sshd(8)).

use crate::schema::text_schema;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `ssh-ed25519 AAAA…`: the kind and the key, without options and without a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKey(String);

text_schema!(HostKey, "A public ssh host key: its kind, and the key in base64");

/// A text that is no public host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public ssh host key is its kind and its key in base64, as in `ssh-ed25519 AAAA…`")]
pub struct InvalidHostKey;

/// More than any kind of key has.
const LONGEST: usize = 4096;

impl FromStr for HostKey {
    type Err = InvalidHostKey;

    fn from_str(text: &str) -> Result<Self, InvalidHostKey> {
        let mut words = text.split_ascii_whitespace();
        let (kind, key) = words.next().zip(words.next()).ok_or(InvalidHostKey)?;
        let blob = BASE64_STANDARD.decode(key).map_err(|_| InvalidHostKey)?;
        // RFC 4253, section 6.6: the blob begins with the length and the name of its kind.
        let named = blob.get(..4).and_then(|length| {
            let length = u32::from_be_bytes(length.try_into().ok()?);
            blob.get(4..4 + usize::try_from(length).ok()?)
        });
        let fits = text.len() <= LONGEST && named == Some(kind.as_bytes());
        fits.then(|| Self(format!("{kind} {key}"))).ok_or(InvalidHostKey)
    }
}

impl TryFrom<String> for HostKey {
    type Error = InvalidHostKey;
    fn try_from(text: String) -> Result<Self, InvalidHostKey> {
        text.parse()
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> Self {
        key.0
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn the_comment_is_no_part_of_it() {
        assert_eq!(format!("{KEY} root@izar\n").parse::<HostKey>().unwrap().to_string(), KEY);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = KEY.split(' ').nth(1).unwrap();
        for text in [
            "",
            "ssh-ed25519",
            key,
            &format!("ssh-rsa {key}"),
            "ssh-ed25519 AAAA",
            "ssh-ed25519 !",
            "a AAAAAA==",
        ] {
            assert!(text.parse::<HostKey>().is_err(), "{text}");
        }
    }
}
