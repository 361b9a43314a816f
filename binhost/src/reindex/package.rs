//! Whether Portage takes a file into its index, and with which values (`bintree.py`, `_populate_local`). Pure.
//!
//! What decides is the metadata: the file must be named and placed as its CATEGORY and PF say.
//!
//! | file | must be | BUILD_ID in its name |
//! |---|---|---|
//! | `.tbz2` | `CATEGORY/PF.tbz2`, `All/PF.tbz2` | never |
//! | `.xpak` | `CATEGORY/PN/PF-N.xpak` | always |
//! | `.gpkg.tar` | `CATEGORY/PN/PF-N.gpkg.tar`, `CATEGORY/PF.gpkg.tar`, `All/PF.gpkg.tar` | or not |
//!
//! The entry's BUILD_ID is the metadata's. The number in the name is only that: no one compares the two.

use super::LeftOut;
use super::walk::{Format, format};
use crate::evaluate::{EvaluateError, evaluate};
use crate::packages::{METADATA_KEYS, Values};
use std::collections::BTreeSet;
use swarm_protocol::gentoo::Cpv;

/// Why a file is not in the index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It changed while it was read.
    #[error("it changes while it is read; run this again when it is complete")]
    Changing,
    /// It is no package of its format.
    #[error("it is no valid package: {0}")]
    Invalid(String),
    /// A key that every package has is not there.
    #[error("its metadata has no {0}; it should be deleted")]
    Missing(&'static str),
    /// CATEGORY and PF are no name and version.
    #[error("its metadata says it is {0:?}, which is no category/name-version")]
    Cpv(String),
    /// The file's name is not the package's.
    #[error("its name is not that of {0}")]
    Name(String),
    /// The file's directory is not the package's.
    #[error("it should be in {0}/")]
    Place(String),
    /// The metadata's BUILD_ID is no number.
    #[error("its BUILD_ID {0:?} is no number")]
    BuildId(String),
    /// A value with USE conditionals cannot be evaluated.
    #[error("its {key}: {fault}")]
    Evaluation {
        /// The key.
        key: String,
        /// What is wrong with the value.
        fault: EvaluateError,
    },
    /// Another file cannot be told from it in an index.
    #[error("another file has its name, BUILD_ID, BUILD_TIME, size and modification time")]
    Shadowed,
}

impl Refusal {
    /// A stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Changing => "changing",
            Self::Invalid(_) => "invalid_package",
            Self::Missing(_) => "missing_key",
            Self::Cpv(_) => "invalid_cpv",
            Self::Name(_) => "wrong_name",
            Self::Place(_) => "wrong_place",
            Self::BuildId(_) => "invalid_build_id",
            Self::Evaluation { .. } => "invalid_dependency",
            Self::Shadowed => "shadowed",
        }
    }

    pub(super) fn left_out(&self, path: &str) -> LeftOut {
        LeftOut { path: path.to_owned(), code: self.code(), reason: self.to_string() }
    }
}

/// The keys that are read from a package.
pub(super) fn keys() -> Vec<&'static str> {
    METADATA_KEYS.iter().copied().chain(["BUILD_ID", "CATEGORY", "PF"]).collect()
}

/// A value as Portage reads it: what is no UTF-8 replaced, words joined by single spaces (`_read_metadata`).
pub(super) fn value(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    // Python's `split` takes four separators for white space that Unicode does not.
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The entry of the package at `path` with this metadata, but for what the file itself tells.
pub(super) fn entry(path: &str, mut metadata: Values) -> Result<Values, Refusal> {
    let mut take = |key: &'static str| metadata.remove(key).filter(|value| !value.is_empty());
    let category = take("CATEGORY").ok_or(Refusal::Missing("CATEGORY"))?;
    let pf = take("PF").ok_or(Refusal::Missing("PF"))?;
    let build_id = take("BUILD_ID");
    if metadata.get("SLOT").is_none_or(String::is_empty) {
        return Err(Refusal::Missing("SLOT"));
    }
    let cpv = format!("{category}/{pf}");
    let (_, name, _) = Cpv::split(&cpv).ok_or_else(|| Refusal::Cpv(cpv.clone()))?;
    check_path(path, &category, name, &pf)?;
    if let Some(build_id) = build_id {
        let number = integer(&build_id).ok_or(Refusal::BuildId(build_id))?;
        metadata.insert("BUILD_ID".to_owned(), number.to_string());
    }
    evaluate_all(&mut metadata)?;
    metadata.insert("CPV".to_owned(), cpv);
    Ok(metadata)
}

fn check_path(path: &str, category: &str, name: &str, pf: &str) -> Result<(), Refusal> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let wrong_name = || Refusal::Name(format!("{category}/{pf}"));
    let (kind, stem) = format(file).ok_or_else(wrong_name)?;
    let numbered = match (kind, stem.strip_prefix(pf)) {
        (_, Some("")) => false,
        (_, Some(rest)) if rest.strip_prefix('-').is_some_and(is_build_id) => true,
        _ => return Err(wrong_name()),
    };
    let fits = match kind {
        Format::Gpkg => true,
        Format::Xpak => numbered,
        Format::Tbz2 => !numbered,
    };
    if !fits {
        return Err(wrong_name());
    }
    let place = if numbered { format!("{category}/{name}") } else { category.to_owned() };
    if directory == place || !numbered && directory == "All" { Ok(()) } else { Err(Refusal::Place(place)) }
}

/// A number above 0 without leading zeros.
fn is_build_id(text: &str) -> bool {
    !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An integer as Python's `int` reads it.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let grouped =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if grouped { text.replace('_', "").parse().ok() } else { None }
}

fn evaluate_all(metadata: &mut Values) -> Result<(), Refusal> {
    let flags = metadata.get("USE").cloned().unwrap_or_default();
    let enabled: BTreeSet<&str> = flags.split(' ').collect();
    for (key, value) in metadata {
        *value = evaluate(key, value, &enabled)
            .map_err(|fault| Refusal::Evaluation { key: key.clone(), fault })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(path: &str, other: &[(&str, &str)]) -> Result<Values, String> {
        let known = [("CATEGORY", "sys-libs"), ("PF", "zlib-1.3-r1"), ("SLOT", "0/1"), ("BUILD_ID", "2")];
        let values = known.iter().chain(other).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        entry(path, values.collect()).map_err(|refusal| format!("{}: {refusal}", refusal.code()))
    }

    #[test]
    fn places_and_names() {
        for (path, code) in [
            ("sys-libs/zlib/zlib-1.3-r1-2.gpkg.tar", ""),
            ("sys-libs/zlib/zlib-1.3-r1-7.gpkg.tar", ""),
            ("sys-libs/zlib/zlib-1.3-r1-2.xpak", ""),
            ("sys-libs/zlib-1.3-r1.gpkg.tar", ""),
            ("sys-libs/zlib-1.3-r1.tbz2", ""),
            ("All/zlib-1.3-r1.tbz2", ""),
            ("All/zlib-1.3-r1.gpkg.tar", ""),
            ("sys-libs/zlib-1.3-r1.xpak", "wrong_name"),
            ("sys-libs/zlib/zlib-1.3-r1-2.tbz2", "wrong_name"),
            ("sys-libs/zlib/zlib-1.3-r1-02.gpkg.tar", "wrong_name"),
            ("sys-libs/zlib/zlib-1.3-r1-0.gpkg.tar", "wrong_name"),
            ("sys-libs/zlib-1.3.gpkg.tar", "wrong_name"),
            ("zlib-1.3-r1.gpkg.tar", "wrong_place"),
            ("All/zlib-1.3-r1-2.xpak", "wrong_place"),
            ("sys-libs/zlib-1.3-r1-2.gpkg.tar", "wrong_place"),
            ("sys-libs/zlib/zlib-1.3-r1.gpkg.tar", "wrong_place"),
            ("sys-devel/zlib-1.3-r1.gpkg.tar", "wrong_place"),
        ] {
            let said = with(path, &[]).err().unwrap_or_default();
            assert!(said.starts_with(code) && code.is_empty() == said.is_empty(), "{path}: {said}");
        }
    }

    #[test]
    fn metadata_is_judged() {
        let path = "sys-libs/zlib-1.3-r1.gpkg.tar";
        for (key, value, code) in [
            ("SLOT", "", "missing_key"),
            ("CATEGORY", "", "missing_key"),
            ("PF", "", "missing_key"),
            ("PF", "zlib", "invalid_cpv"),
            ("CATEGORY", ".sys", "invalid_cpv"),
            ("BUILD_ID", "one", "invalid_build_id"),
            ("RDEPEND", "( x/y", "invalid_dependency"),
            ("LICENSE", "a? MIT", "invalid_dependency"),
        ] {
            let said = with(path, &[(key, value)]).unwrap_err();
            assert!(said.starts_with(code), "{key}={value}: {said}");
        }
        let entry = with(path, &[("BUILD_ID", "+1_0"), ("USE", "a"), ("RDEPEND", "a? ( x/y ) b? ( x/z )")]);
        let entry = entry.unwrap();
        assert_eq!(
            (&*entry["CPV"], &*entry["BUILD_ID"], &*entry["RDEPEND"]),
            ("sys-libs/zlib-1.3-r1", "10", "x/y")
        );
        assert!(!entry.contains_key("PF") && !entry.contains_key("CATEGORY"));
    }

    #[test]
    fn values_are_joined_as_by_python() {
        assert_eq!(value(b" a\n\tb\x1c\xc2\xa0c\x01\xff \n"), "a b c\u{1}\u{fffd}");
    }
}
