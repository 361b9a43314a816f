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

use super::{Cpv, RepoName, Slot, UseFlag, text_type};
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

fn is_set(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn atom(text: &str) -> Result<(), &'static str> {
    let (rest, flags) = match text.split_once('[') {
        Some((rest, flags)) => (rest, Some(flags)),
        None => (text, None),
    };
    if let Some(flags) = flags {
        use_dependencies(flags.strip_suffix(']').ok_or("the USE dependencies do not end with ']'")?)?;
    }
    let (rest, repository) = match rest.split_once("::") {
        Some((rest, repository)) => (rest, Some(repository)),
        None => (rest, None),
    };
    if repository.is_some_and(|name| name.parse::<RepoName>().is_err()) {
        return Err("the repository's name breaks PMS 3.1.5");
    }
    let (name, slot) = match rest.split_once(':') {
        Some((name, slot)) => (name, Some(slot)),
        None => (rest, None),
    };
    if slot.is_some_and(|slot| slot.parse::<Slot>().is_err()) {
        return Err("the slot breaks PMS 3.1.3");
    }
    package(name)
}

/// `cat/name`, or an operator with `cat/name-version`.
fn package(text: &str) -> Result<(), &'static str> {
    const OPERATORS: [&str; 6] = [">=", "<=", ">", "<", "~", "="];
    let operator = OPERATORS.into_iter().find(|operator| text.starts_with(operator));
    let Some(operator) = operator else {
        // A cpv of it with any version is one exactly when the name is one.
        let name = format!("{text}-0");
        return match name.parse::<Cpv>() {
            Ok(cpv) if cpv.cp() == text => Ok(()),
            _ => Err("without an operator it is category/name (PMS 3.1.1, 3.1.2), without a version"),
        };
    };
    let cpv = &text[operator.len()..];
    let cpv = if operator == "=" { cpv.strip_suffix('*').unwrap_or(cpv) } else { cpv };
    let cpv: Cpv = cpv.parse().map_err(|_| "with an operator it is category/name-version (PMS 8.3.1)")?;
    if operator == "~" && cpv.version().contains("-r") {
        return Err("the operator ~ takes no revision (PMS 8.3.1)");
    }
    Ok(())
}

/// The 4-style USE dependencies that make sense outside an ebuild: `flag`, `-flag`, each with an optional default.
fn use_dependencies(list: &str) -> Result<(), &'static str> {
    let good = list.split(',').all(|flag| {
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let flag = flag.strip_suffix("(+)").or_else(|| flag.strip_suffix("(-)")).unwrap_or(flag);
        flag.parse::<UseFlag>().is_ok()
    });
    good.then_some(()).ok_or("its USE dependencies are not flag or -flag, separated by commas (PMS 8.3.4)")
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
