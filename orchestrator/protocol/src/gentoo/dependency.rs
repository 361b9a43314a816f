//! A package dependency specification (PMS 8.3), called atom by Portage, and what it matches.
//!
//! ```text
//! >=dev-libs/icu-74:0/74=        bound to a slot and sub-slot, as a built package stores `:=`
//! =dev-lang/python-3.12*         a prefix that ends between two parts of a version
//! dev-libs/foo:2::overlay[static-libs,-nls,icu(+)]
//! !<sys-apps/old-2  !!app/other  a weak and a strong blocker
//! ```
//!
//! What is read here is evaluated already: USE conditionals (`foo?`, `foo=`) are refused. Matching is Portage's
//! (`dep/__init__.py`, `match_from_list`), which the tests compare it with. Like Portage, and unlike PMS, it reads `~`
//! with a revision, which it ignores. Portage's own atoms with a BUILD_ID (`=a/b-1-2`) are none.

use super::{Cpv, RepoName, Slot, UseFlag};
use std::{fmt, str::FromStr};

/// A validated atom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    text: String,
    blocker: Option<Blocker>,
    cp: String,
    version: Option<Versioned>,
    slot: Option<Slot>,
    slot_operator: Option<SlotOperator>,
    repository: Option<RepoName>,
    flags: Vec<FlagDependency>,
}

/// What is to be absent, and when (PMS 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// `!`: may be uninstalled after the package that says so was installed.
    Weak,
    /// `!!`: must be gone before.
    Strong,
}

/// What follows the slot (PMS 8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOperator {
    /// `*`: any slot will do.
    Any,
    /// `=`: the package breaks when slot or sub-slot change.
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    Prefix,
    AnyRevision,
    GreaterOrEqual,
    Greater,
}

/// How a version is compared, and with which.
type Versioned = (Operator, Cpv);

/// One USE dependency; `default` holds for packages that do not have the flag (PMS 8.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
struct FlagDependency {
    flag: UseFlag,
    on: bool,
    default: Option<bool>,
}

/// Why a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no atom: {why}")]
pub struct InvalidDependency {
    text: String,
    why: &'static str,
}

const LONGEST: usize = 400;

impl Atom {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `category/name`.
    #[must_use]
    pub fn cp(&self) -> &str {
        &self.cp
    }

    /// Whether and how it blocks what it matches.
    #[must_use]
    pub fn blocker(&self) -> Option<Blocker> {
        self.blocker
    }

    /// The slot, with a sub-slot where one is written.
    #[must_use]
    pub fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// Whether `=` or `*` stands behind the slot.
    #[must_use]
    pub fn slot_operator(&self) -> Option<SlotOperator> {
        self.slot_operator
    }

    /// Whether it is bound to a slot and a sub-slot, as `:0/74=` is.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.slot_operator == Some(SlotOperator::Equal) && self.slot.as_ref().is_some_and(Slot::has_sub_slot)
    }

    /// Whether it is `~` with a revision, which PMS 8.3.1 does not know.
    pub(super) fn has_idle_revision(&self) -> bool {
        self.version.as_ref().is_some_and(|(operator, cpv)| {
            *operator == Operator::AnyRevision && without_revision(cpv.version()) != cpv.version()
        })
    }

    /// Whether name and version match.
    #[must_use]
    pub fn matches_version(&self, cpv: &Cpv) -> bool {
        if !cpv.is_of(&self.cp) {
            return false;
        }
        let Some((operator, wanted)) = &self.version else { return true };
        let ordering = || cpv.compare_version(wanted);
        match operator {
            Operator::Less => ordering().is_lt(),
            Operator::LessOrEqual => ordering().is_le(),
            Operator::Equal => ordering().is_eq(),
            Operator::GreaterOrEqual => ordering().is_ge(),
            Operator::Greater => ordering().is_gt(),
            Operator::AnyRevision => without_revision(cpv.version()) == without_revision(wanted.version()),
            Operator::Prefix => has_prefix(cpv.version(), wanted.version()),
        }
    }

    /// Whether the slot matches, whatever the sub-slot.
    #[must_use]
    pub fn matches_main_slot(&self, slot: &Slot) -> bool {
        self.slot.as_ref().is_none_or(|wanted| wanted.slot() == slot.slot())
    }

    /// Whether slot and sub-slot match.
    #[must_use]
    pub fn matches_slot(&self, slot: &Slot) -> bool {
        let sub_slot = |wanted: &Slot| !wanted.has_sub_slot() || wanted.sub_slot() == slot.sub_slot();
        self.matches_main_slot(slot) && self.slot.as_ref().is_none_or(sub_slot)
    }

    /// Whether the repository matches.
    #[must_use]
    pub fn matches_repository(&self, repository: &str) -> bool {
        self.repository.as_ref().is_none_or(|wanted| wanted.as_str() == repository)
    }

    /// Whether the USE dependencies hold for a package of which `has` says whether it has a flag, `on` whether the flag
    /// is enabled.
    pub fn matches_use(&self, has: impl Fn(&str) -> bool, on: impl Fn(&str) -> bool) -> bool {
        self.flags.iter().all(|dependency| {
            let flag = dependency.flag.as_str();
            let state = match dependency.default {
                Some(default) if !has(flag) => default,
                _ => on(flag),
            };
            state == dependency.on
        })
    }
}

fn without_revision(version: &str) -> &str {
    version.rsplit_once("-r").map_or(version, |(version, _)| version)
}

/// `=*` compares texts, but for leading zeros, and ends only between two parts: `1*` does not match `10`.
fn has_prefix(version: &str, prefix: &str) -> bool {
    let trim = |text: &str| {
        let trimmed = text.trim_start_matches('0');
        let begins_with_digit = trimmed.starts_with(|c: char| c.is_ascii_digit());
        if begins_with_digit { trimmed.to_owned() } else { format!("0{trimmed}") }
    };
    let (version, prefix) = (trim(version), trim(prefix));
    let Some(rest) = version.strip_prefix(&prefix) else { return false };
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match rest.chars().next() {
        None | Some('.' | '_' | '-') => true,
        next => is_digit(next) != is_digit(prefix.chars().next_back()),
    }
}

impl FromStr for Atom {
    type Err = InvalidDependency;

    fn from_str(text: &str) -> Result<Self, InvalidDependency> {
        parse(text).map_err(|why| InvalidDependency { text: text.chars().take(LONGEST).collect(), why })
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads an atom, or says which rule it breaks.
pub(super) fn parse(text: &str) -> Result<Atom, &'static str> {
    if text.len() > LONGEST {
        return Err("it is longer than 400 bytes");
    }
    let (blocker, rest) = match (text.strip_prefix("!!"), text.strip_prefix('!')) {
        (Some(rest), _) => (Some(Blocker::Strong), rest),
        (None, Some(rest)) => (Some(Blocker::Weak), rest),
        (None, None) => (None, text),
    };
    let (rest, flags) = match rest.split_once('[') {
        Some((rest, flags)) => (
            rest,
            use_dependencies(flags.strip_suffix(']').ok_or("the USE dependencies do not end with ']'")?)?,
        ),
        None => (rest, vec![]),
    };
    let (rest, repository) = match rest.split_once("::") {
        Some((rest, name)) => {
            (rest, Some(name.parse().map_err(|_| "the repository's name breaks PMS 3.1.5")?))
        }
        None => (rest, None),
    };
    let (name, slot, slot_operator) = match rest.split_once(':') {
        Some((name, text)) => {
            let (slot, operator) = slot(text)?;
            (name, slot, operator)
        }
        None => (rest, None, None),
    };
    let (cp, version) = package(name)?;
    Ok(Atom { text: text.to_owned(), blocker, cp, version, slot, slot_operator, repository, flags })
}

fn slot(text: &str) -> Result<(Option<Slot>, Option<SlotOperator>), &'static str> {
    let (slot, operator) = match (text, text.strip_suffix('=')) {
        ("*", _) => return Ok((None, Some(SlotOperator::Any))),
        ("=", _) => return Ok((None, Some(SlotOperator::Equal))),
        (_, Some(slot)) => (slot, Some(SlotOperator::Equal)),
        (slot, None) => (slot, None),
    };
    Ok((Some(slot.parse().map_err(|_| "the slot breaks PMS 3.1.3")?), operator))
}

/// `cat/name`, or an operator with `cat/name-version`.
fn package(text: &str) -> Result<(String, Option<Versioned>), &'static str> {
    const OPERATORS: [(&str, Operator); 6] = [
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("~", Operator::AnyRevision),
        ("=", Operator::Equal),
    ];
    let operator =
        OPERATORS.into_iter().find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, operator)));
    let Some((cpv, operator)) = operator else {
        // A cpv of it with any version is one exactly when the name is one.
        let name = format!("{text}-0");
        return match name.parse::<Cpv>() {
            Ok(cpv) if cpv.cp() == text => Ok((text.to_owned(), None)),
            _ => Err("without an operator it is category/name (PMS 3.1.1, 3.1.2), without a version"),
        };
    };
    let (cpv, operator) = match (operator, cpv.strip_suffix('*')) {
        (Operator::Equal, Some(prefix)) => (prefix, Operator::Prefix),
        (operator, _) => (cpv, operator),
    };
    let cpv: Cpv = cpv.parse().map_err(|_| "with an operator it is category/name-version (PMS 8.3.1)")?;
    Ok((cpv.cp(), Some((operator, cpv))))
}

/// The 4-style USE dependencies that are left after evaluation: `flag`, `-flag`, each with an optional default.
fn use_dependencies(list: &str) -> Result<Vec<FlagDependency>, &'static str> {
    let one = |text: &str| {
        let (on, text) = text.strip_prefix('-').map_or((true, text), |text| (false, text));
        let (flag, default) = match (text.strip_suffix("(+)"), text.strip_suffix("(-)")) {
            (Some(flag), _) => (flag, Some(true)),
            (None, Some(flag)) => (flag, Some(false)),
            (None, None) => (text, None),
        };
        Some(FlagDependency { flag: flag.parse().ok()?, on, default })
    };
    let all: Option<Vec<_>> = list.split(',').map(one).collect();
    all.ok_or("its USE dependencies are not flag or -flag, separated by commas (PMS 8.3.4)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(atom: &str, cpv: &str, slot: &str) -> bool {
        let (atom, slot): (Atom, Slot) = (atom.parse().unwrap(), slot.parse().unwrap());
        atom.matches_version(&cpv.parse().unwrap()) && atom.matches_slot(&slot)
    }

    #[test]
    fn versions_and_slots() {
        for (atom, cpv, slot, right) in [
            ("a/b", "a/b-1", "0", true),
            ("a/b", "a/bc-1", "0", false),
            (">=a/b-1.2:0/3=", "a/b-1.2", "0/3", true),
            (">=a/b-1.2:0/3=", "a/b-1.2", "0/4", false),
            ("a/b:0=", "a/b-1", "0/9", true),
            ("a/b:0", "a/b-1", "1/0", false),
            ("a/b:3/3", "a/b-1", "3", true),
            ("a/b:*", "a/b-1", "7", true),
            ("a/b:=", "a/b-1", "7", true),
            ("=a/b-1*", "a/b-1.2-r3", "0", true),
            ("=a/b-1*", "a/b-10", "0", false),
            ("=a/b-1*", "a/b-1a", "0", true),
            ("=a/b-01*", "a/b-1.5", "0", true),
            ("~a/b-1.2", "a/b-1.2-r5", "0", true),
            ("~a/b-1.2", "a/b-1.20", "0", false),
            ("=a/b-1.2-r0", "a/b-1.2", "0", true),
            ("<a/b-2", "a/b-2_rc1", "0", true),
            (">a/b-2-r0", "a/b-2", "0", false),
        ] {
            assert_eq!(matches(atom, cpv, slot), right, "{atom} {cpv}:{slot}");
        }
    }

    #[test]
    fn use_dependencies_and_their_defaults() {
        let holds = |atom: &str| {
            let atom: Atom = atom.parse().unwrap();
            atom.matches_use(|flag| ["on", "off"].contains(&flag), |flag| flag == "on")
        };
        for right in ["a/b[on]", "a/b[-off]", "a/b[on,-off]", "a/b[new(+)]", "a/b[-new(-)]", "a/b[on(-)]"] {
            assert!(holds(right), "{right}");
        }
        for wrong in ["a/b[off]", "a/b[-on]", "a/b[on,off]", "a/b[new(-)]", "a/b[-new(+)]", "a/b[off(+)]"] {
            assert!(!holds(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_stands_around_the_name() {
        let read = |text: &str| text.parse::<Atom>().unwrap();
        assert_eq!(read("!a/b").blocker(), Some(Blocker::Weak));
        assert_eq!(read("!!<a/b-1").blocker(), Some(Blocker::Strong));
        assert!(read("a/b:0/1=").is_bound() && !read("a/b:0/1").is_bound() && !read("a/b:=").is_bound());
        assert!(read("a/b::r").matches_repository("r") && !read("a/b::r").matches_repository("s"));
        for wrong in
            ["", "!", "!!!a/b", "a/b[x?]", "a/b[x=]", "a/b[!x?]", "a/b:0==", "a/b:0*", "=a/b", "a/b[]"]
        {
            assert!(wrong.parse::<Atom>().is_err(), "{wrong}");
        }
    }
}
