//! What a world file holds: a package dependency specification (PMS 8.3) or the name of a set.
//!
//! ```text
//! app-misc/jq            any version
//! >=dev-lang/python-3.12:3.12
//! =sys-apps/grep-3.8*    an operator needs a version, a version an operator
//! dev-libs/foo::overlay[static-libs,-nls]
//! @my-tools              a package set (/etc/portage/sets)
//! ```
//!
//! An atom becomes a line of a file that Portage reads as root, so what is not exactly one is refused: Portage's own
//! words on a mistake would come an hour later and from another machine.

use super::{dependency, text_type};
use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A validated line of a world file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorldAtom(String);

/// Why a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no atom for a world file: {why}")]
pub struct InvalidAtom {
    text: String,
    why: &'static str,
}

const LONGEST: usize = 400;

impl WorldAtom {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.starts_with('@')
    }
}

impl FromStr for WorldAtom {
    type Err = InvalidAtom;

    fn from_str(text: &str) -> Result<Self, InvalidAtom> {
        let judged = match text.strip_prefix('@') {
            _ if text.len() > LONGEST => Err("it is longer than 400 bytes"),
            Some(set) => is_set(set).then_some(()).ok_or("a set's name is of [A-Za-z0-9_.-]"),
            None => atom(text),
        };
        match judged {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(why) => Err(InvalidAtom { text: text.chars().take(LONGEST).collect(), why }),
        }
    }
}

impl fmt::Display for WorldAtom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(WorldAtom, InvalidAtom);
text_schema!(WorldAtom, "A line of a world file: an atom (PMS 8.3), or a set as in `@tools`");

fn is_set(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// An atom as a person writes one: nothing that only ebuilds and built packages say.
fn atom(text: &str) -> Result<(), &'static str> {
    let atom = dependency::parse(text)?;
    if atom.has_idle_revision() {
        return Err("the operator ~ takes no revision (PMS 8.3.1)");
    }
    match (atom.blocker(), atom.slot_operator()) {
        (Some(_), _) => Err("a world file blocks nothing"),
        (None, Some(_)) => Err("a slot operator is for ebuilds (PMS 8.3.3)"),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_world_files_hold() {
        for right in [
            "app-misc/jq",
            "dev-lang/python:3.12",
            "dev-lang/python:3.12/3.12",
            ">=dev-lang/python-3.12:3.12",
            "=sys-apps/grep-3.8*",
            "~sys-apps/grep-3.8",
            "=sys-apps/grep-3.8-r1",
            "dev-libs/foo::overlay[static-libs,-nls,a(+),-b(-)]",
            "dev-libs/libpcre2",
            "x11-libs/gtk+:3",
            "@my-tools",
        ] {
            assert_eq!(right.parse::<WorldAtom>().unwrap().as_str(), right);
        }
    }

    #[test]
    fn what_they_do_not() {
        for wrong in [
            "",
            "jq",
            "app-misc/jq-1.6",
            ">=app-misc/jq",
            "~sys-apps/grep-3.8-r1",
            ">=sys-apps/grep-3.8*",
            "app-misc/jq:",
            "app-misc/jq:0/",
            "app-misc/jq::",
            "app-misc/jq[]",
            "app-misc/jq[a",
            "app-misc/jq]",
            "!app-misc/jq",
            "app-misc/jq\n@system",
            " app-misc/jq",
            "app-misc/*",
            "../../etc",
            "@",
            "@../x",
            "@a b",
        ] {
            assert!(wrong.parse::<WorldAtom>().is_err(), "{wrong:?}");
        }
        assert!(format!("a/{}", "b".repeat(400)).parse::<WorldAtom>().is_err());
    }
}
