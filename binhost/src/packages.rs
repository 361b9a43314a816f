//! The text of Portage's `Packages` index (`portage/getbinpkg.py`, `PackageIndex`; `dbapi/bintree.py`, `_pkgindex_*`).
//!
//! # The format
//!
//! UTF-8 text: blocks of `KEY: value` lines, each ended by an empty line. The first block is the header, every other
//! one an entry. A line is split at its first colon, and one character behind it is dropped; there is no escape.
//!
//! ```text
//! ARCH: amd64
//! CHOST: x86_64-pc-linux-gnu
//! PACKAGES: 1
//! TIMESTAMP: 1700000000
//! VERSION: 0
//!
//! BUILD_ID: 2
//! BUILD_TIME: 1699990000
//! CPV: sys-libs/zlib-1.3.1
//! DEFINED_PHASES: compile configure install
//! EAPI: 8
//! KEYWORDS: ~amd64
//! MD5: 0cc175b9c0f1b6a831c399e269772661
//! PATH: sys-libs/zlib/zlib-1.3.1-2.gpkg.tar
//! SHA1: 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8
//! SIZE: 122880
//! SLOT: 0/1
//! MTIME: 1699990012
//! REPO: gentoo
//!
//! ```
//!
//! * **Header.** `VERSION` above 0 makes Portage ignore the whole index; `TIMESTAMP` orders indexes; `TTL` keeps clients
//!   from asking again; `URI` says where the files are; the rest (`PROFILE`, `USE_EXPAND`, …) serves clients without a
//!   profile of their own.
//! * **Inherited keys.** An entry that has no [`INHERITED`] key has the header's; a written entry leaves out what it
//!   would inherit.
//! * **Defaults.** A key whose value is the default, empty for most, `0` for `EAPI` and `SLOT`, is left out.
//! * **Translated keys.** `_mtime_`, `repository` and `DESCRIPTION` are written `MTIME`, `REPO` and `DESC`. Keys are
//!   sorted by their names *before* translation.
//! * **Order.** Entries are sorted by CPV as text; among equal ones Portage keeps the order in which it met them, we
//!   sort by BUILD_ID and path.
//! * **Unknown keys** of an entry are ignored, those of the header are kept.
//!
//! Portage writes no `Packages` that it would not read back the same, but reads much: lines without a colon are
//! skipped, a second empty line or a block without a known key ends the index. [`Index::read`] takes the same and
//! says what it skipped.

mod lines;
mod reader;

pub use reader::{Fault, Index, Skipped};

use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// A block: values by key, by the names before translation.
pub type Values = BTreeMap<String, String>;

/// The keys that come from a package's metadata (`bintree.py`, `_aux_cache_keys`, without what is known of the file).
pub(crate) const METADATA_KEYS: &[&str] = &[
    "BDEPEND",
    "BUILD_TIME",
    "CHOST",
    "DEFINED_PHASES",
    "DEPEND",
    "EAPI",
    "IDEPEND",
    "IUSE",
    "KEYWORDS",
    "LICENSE",
    "PDEPEND",
    "PROPERTIES",
    "PROVIDES",
    "RDEPEND",
    "REQUIRES",
    "RESTRICT",
    "SLOT",
    "USE",
    "USER_PATCHES",
    "repository",
];

/// The keys of the file itself.
const FILE_KEYS: &[&str] = &["BUILD_ID", "CPV", "MD5", "PATH", "SHA1", "SIZE", "_mtime_"];

/// The keys that an entry may have besides, which no package has: an index that has them keeps them.
pub(crate) const KEPT_KEYS: &[&str] =
    &["BASE_URI", "DESCRIPTION", "FETCHCOMMAND", "PKGINDEX_URI", "RESUMECOMMAND"];

/// The keys that entries inherit from the header.
pub const INHERITED: &[&str] = &["CHOST", "repository"];

/// Names as they are written, where they differ.
const TRANSLATED: &[(&str, &str)] = &[("DESCRIPTION", "DESC"), ("_mtime_", "MTIME"), ("repository", "REPO")];

/// The value that an absent key has.
fn default(key: &str) -> &'static str {
    if matches!(key, "EAPI" | "SLOT") { "0" } else { "" }
}

fn is_known(key: &str) -> bool {
    [METADATA_KEYS, FILE_KEYS, KEPT_KEYS].iter().any(|keys| keys.contains(&key))
}

fn written(key: &str) -> &str {
    TRANSLATED.iter().find(|(name, _)| *name == key).map_or(key, |(_, written)| written)
}

fn read_as(key: &str) -> &str {
    TRANSLATED.iter().find(|(_, written)| *written == key).map_or(key, |(name, _)| name)
}

/// Appends the header.
pub fn push_header(text: &mut String, header: &Values) {
    push(text, header.iter().map(|(key, value)| (key.as_str(), value.as_str())));
}

/// Appends an entry of an index with this header.
pub fn push_entry<'a>(
    text: &mut String,
    header: &Values,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let inherits = |key: &str, value: &str| {
        INHERITED.contains(&key) && header.get(key).is_some_and(|inherited| inherited == value)
    };
    let mut lines: Vec<_> = values.into_iter().filter(|(key, value)| *value != default(key)).collect();
    lines.retain(|(key, value)| !inherits(key, value));
    lines.sort_unstable();
    push(text, lines);
}

fn push<'a>(text: &mut String, lines: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (key, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}: {value}", written(key));
    }
    text.push('\n');
}

/// `Packages.gz`, or a part of it: one member without a name, whose time is TIMESTAMP, as Portage writes it.
pub(crate) fn gzip(timestamp: i64, text: &[u8]) -> Vec<u8> {
    let time = u32::try_from(timestamp).unwrap_or(0);
    let mut encoder = GzBuilder::new().mtime(time).write(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let header = values(&[("CHOST", "a-b-c"), ("URI", ""), ("VERSION", "0"), ("USE", "x y")]);
        let entry = values(&[
            ("CHOST", "a-b-c"),
            ("CPV", "a/b-1"),
            ("DESCRIPTION", "of: it"),
            ("EAPI", "0"),
            ("SLOT", "0"),
            ("USE", ""),
            ("_mtime_", "7"),
            ("repository", "r"),
        ]);
        let mut text = String::new();
        push_header(&mut text, &header);
        push_entry(&mut text, &header, entry.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        assert_eq!(
            text,
            "CHOST: a-b-c\nUSE: x y\nVERSION: 0\n\nCPV: a/b-1\nDESC: of: it\nMTIME: 7\nREPO: r\n\n"
        );
        let mut index = Index::read(text.as_bytes()).unwrap();
        assert_eq!(index.header().get("USE").map(String::as_str), Some("x y"));
        let read = index.next().unwrap().unwrap();
        for (key, value) in entry {
            assert_eq!(read.get(&key).cloned().unwrap_or_default(), value, "{key}");
        }
        assert!(index.next().is_none() && index.skipped().is_empty());
    }

    #[test]
    fn another_chost_is_written_out() {
        let mut text = String::new();
        push_entry(&mut text, &values(&[("CHOST", "a")]), [("CPV", "a/b-1"), ("CHOST", "b")]);
        assert_eq!(text, "CHOST: b\nCPV: a/b-1\n\n");
    }
}
