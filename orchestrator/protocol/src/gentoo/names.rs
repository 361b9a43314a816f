//! Names with a character set of their own: slots (PMS 3.1.3), USE flags (PMS 3.1.4), repositories
//! (PMS 3.1.5), and the names of targets, which are ours and appear in paths and URLs.

use super::text_type;
use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text outside the character set of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    rule: &'static str,
    text: String,
}

/// True for a non-empty name of `[A-Za-z0-9_]` and `also`, that does not begin with one of `not_first`.
fn is_name(text: &str, also: &str, not_first: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
    text.len() <= 128
        && text.chars().all(allowed)
        && text.chars().next().is_some_and(|c| !not_first.contains(c))
}

macro_rules! name_type {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $rule:literal, $pattern:literal, $valid:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(s: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) {
                    Ok(Self(s.to_owned()))
                } else {
                    let text = s.chars().take(160).collect();
                    Err(InvalidName { kind: $kind, rule: $rule, text })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_type!($name, InvalidName);
        text_schema!($name, concat!("A ", $kind, ": ", $rule), $pattern);
    )*};
}

name_type! {
    /// A slot with its sub-slot, as in `0/1.2`. Without a sub-slot, it equals the slot (PMS 7.2).
    Slot: "slot", "[A-Za-z0-9+_.-], not beginning with - . +, optionally /SUBSLOT (PMS 3.1.3)",
        "^[A-Za-z0-9_][A-Za-z0-9+_.-]*(/[A-Za-z0-9_][A-Za-z0-9+_.-]*)?$", |s| {
        s.split('/').count() <= 2 && s.split('/').all(|part| is_name(part, "+.-", "-.+"))
    };
    /// A USE flag.
    UseFlag: "USE flag", "[A-Za-z0-9+_@-], beginning with a letter or digit (PMS 3.1.4)",
        "^[A-Za-z0-9][A-Za-z0-9+_@-]*$", |s| {
        is_name(s, "+@-", "+_@-")
    };
    /// An ebuild repository's name.
    RepoName: "repository name", "[A-Za-z0-9_-], not beginning with - (PMS 3.1.5)",
        "^[A-Za-z0-9_][A-Za-z0-9_-]*$", |s| is_name(s, "-", "-");
    /// A target's name: part of paths and URLs, so narrow on purpose.
    TargetName: "target name", "1 to 64 of [a-z0-9_-], beginning with a letter or digit",
        "^[a-z0-9][a-z0-9_-]{0,63}$", |s| {
        s.len() <= 64 && is_name(s, "-", "-_") && !s.chars().any(|c| c.is_ascii_uppercase())
    };
    /// A workstation's name: its host name in lower case, part of URLs.
    WorkstationName: "workstation name", "1 to 63 of [a-z0-9.-], as a host's, beginning with a letter or digit",
        "^[a-z0-9][a-z0-9.-]{0,62}$", |s| {
        s.len() <= 63 && is_name(s, ".-", ".-_") && !s.chars().any(|c| c.is_ascii_uppercase() || c == '_')
    };
}

impl Slot {
    /// `0`: the slot of what names none.
    #[must_use]
    pub fn zero() -> Self {
        Self("0".to_owned())
    }

    /// The slot without its sub-slot.
    #[must_use]
    pub fn slot(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(slot, _)| slot)
    }

    /// Whether a sub-slot is written.
    #[must_use]
    pub fn has_sub_slot(&self) -> bool {
        self.0.contains('/')
    }

    /// The sub-slot; the slot itself where none is written.
    #[must_use]
    pub fn sub_slot(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, sub)| sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots() {
        let slot: Slot = "0/1.2".parse().unwrap();
        assert_eq!((slot.slot(), slot.sub_slot()), ("0", "1.2"));
        let plain: Slot = "3.12".parse().unwrap();
        assert_eq!((plain.slot(), plain.sub_slot()), ("3.12", "3.12"));
        for wrong in ["", "/", "0/", "/1", "0/1/2", ".0", "0 ", "0\n", "-1", "a:b"] {
            assert!(wrong.parse::<Slot>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn target_names_are_safe_in_paths() {
        assert!("amd64-v3".parse::<TargetName>().is_ok());
        for wrong in ["", "..", ".", "a/b", "A", "-a", "a b", "a%2f", "a\u{e9}", &"a".repeat(65)] {
            assert!(wrong.parse::<TargetName>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn workstation_names_are_host_names() {
        assert!("ws-1.example.org".parse::<WorkstationName>().is_ok());
        for wrong in ["", ".", "..", "a_b", "WS", "-a", "a/b", &"a".repeat(64)] {
            assert!(wrong.parse::<WorkstationName>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn use_flags() {
        for right in ["static-libs", "python_targets_python3_12", "linguas_sr@latin", "c++"] {
            assert!(right.parse::<UseFlag>().is_ok(), "{right}");
        }
        for wrong in ["-nls", "+nls", "", "a b", "a/b"] {
            assert!(wrong.parse::<UseFlag>().is_err(), "{wrong:?}");
        }
    }
}
