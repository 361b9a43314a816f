//! Source archives (*distfiles*), addressed as Manifests name them: by BLAKE2B (GLEP 74), 128 lower-case hexadecimal
//! digits.
//!
//! Drones share them through the binhost: `PUT` and `GET /api/v1/distfiles/{blake2b}`. Whoever gets one knows from the
//! Manifest what it must be, so nobody has to trust who sent it.

use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const BYTES: usize = 64;

/// A BLAKE2B digest of 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blake2b([u8; BYTES]);

text_schema!(Blake2b, "A BLAKE2B digest", "^[0-9a-f]{128}$");

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a BLAKE2B digest is 128 lower-case hexadecimal digits")]
pub struct InvalidBlake2b;

impl From<[u8; BYTES]> for Blake2b {
    fn from(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Blake2b {
    type Err = InvalidBlake2b;

    fn from_str(text: &str) -> Result<Self, InvalidBlake2b> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(InvalidBlake2b),
        };
        let digits: &[u8; 2 * BYTES] = text.as_bytes().try_into().map_err(|_| InvalidBlake2b)?;
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return Err(InvalidBlake2b) };
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Blake2b {
    type Error = InvalidBlake2b;
    fn try_from(text: String) -> Result<Self, InvalidBlake2b> {
        text.parse()
    }
}

impl From<Blake2b> for String {
    fn from(digest: Blake2b) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Blake2b {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Blake2b {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blake2b({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_strict() {
        let text = format!("0f{}", "a9".repeat(63));
        assert_eq!(text.parse::<Blake2b>().unwrap().to_string(), text);
        for wrong in ["", "0f", &"A9".repeat(64), &"g0".repeat(64), &"a".repeat(129), &"é".repeat(64)] {
            assert_eq!(wrong.parse::<Blake2b>(), Err(InvalidBlake2b), "{wrong}");
        }
    }
}
