//! `category/name-version`, parsed strictly by PMS 3.1.1 (categories), 3.1.2 (names) and 3.2 (versions).
//!
//! A cpv becomes part of file paths and of emerge's arguments, so what is not exactly one is refused:
//!
//! ```text
//! sys-libs/zlib-1.3.1-r2
//! ^category ^name ^version (with revision)
//! ```

use super::text_type;
use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A category, a package name and a version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpv {
    category: String,
    name: String,
    version: String,
}

/// Why a text is no cpv.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no category/name-version: {why}")]
pub struct InvalidCpv {
    text: String,
    why: &'static str,
}

impl Cpv {
    /// Category, name and version of a text, however long: an index may name what the swarm would not build.
    #[must_use]
    pub fn split(text: &str) -> Option<(&str, &str, &str)> {
        parts(text).ok()
    }

    /// The category, as in `sys-libs`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// The package name (Portage's `PN`), as in `zlib`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version with its revision (Portage's `PVR`, but with a written `-r0` kept), as in `1.3.1-r2`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How its version stands to another one's (PMS 3.3).
    #[must_use]
    pub fn compare_version(&self, other: &Self) -> std::cmp::Ordering {
        super::version::compare(&self.version, &other.version)
    }

    /// Name and version (Portage's `PF`), as in `zlib-1.3.1-r2`.
    #[must_use]
    pub fn pf(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Whether `cp` is its category and name.
    #[must_use]
    pub fn is_of(&self, cp: &str) -> bool {
        cp.split_once('/') == Some((&self.category, &self.name))
    }

    /// Category and name (Portage's `CP`), as in `sys-libs/zlib`.
    #[must_use]
    pub fn cp(&self) -> String {
        format!("{}/{}", self.category, self.name)
    }
}

/// The longest cpv that is accepted; file names end at 255 bytes and carry a BUILD_ID and a suffix as well.
const LONGEST: usize = 200;

impl FromStr for Cpv {
    type Err = InvalidCpv;

    fn from_str(text: &str) -> Result<Self, InvalidCpv> {
        let refuse = |why| InvalidCpv { text: text.chars().take(LONGEST).collect(), why };
        if text.len() > LONGEST {
            return Err(refuse("it is longer than 200 bytes"));
        }
        let (category, name, version) = parts(text).map_err(refuse)?;
        Ok(Self { category: category.to_owned(), name: name.to_owned(), version: version.to_owned() })
    }
}

impl fmt::Display for Cpv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}-{}", self.category, self.name, self.version)
    }
}

impl fmt::Debug for Cpv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpv({self})")
    }
}

text_type!(Cpv, InvalidCpv);
text_schema!(
    Cpv,
    "A category, a package name and a version (PMS 3.1 and 3.2), as in `dev-libs/expat-2.5.0-r1`"
);

fn parts(text: &str) -> Result<(&str, &str, &str), &'static str> {
    let (category, pf) = text.split_once('/').ok_or("there is no '/'")?;
    if !is_word(category, "+_.-", "-.+") {
        return Err("the category breaks PMS 3.1.1");
    }
    let (name, version) = split_version(pf).ok_or("there is no version (PMS 3.2)")?;
    if !is_word(name, "+_-", "-+") || split_version(name).is_some() {
        return Err("the package name breaks PMS 3.1.2");
    }
    Ok((category, name, version))
}

fn is_word(text: &str, also: &str, not_first: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        && text.chars().next().is_some_and(|c| !not_first.contains(c))
}

/// Splits `name-version`, where the version is the last one or, with a revision, last two dashed parts.
fn split_version(pf: &str) -> Option<(&str, &str)> {
    let (head, last) = pf.rsplit_once('-')?;
    if is_version(last) {
        return (!head.is_empty()).then_some((head, last));
    }
    let digits = last.strip_prefix('r')?;
    if !is_number(digits) {
        return None;
    }
    let (name, version) = head.rsplit_once('-')?;
    (is_version(version) && !name.is_empty()).then(|| (name, &pf[name.len() + 1..]))
}

/// `1.2.3b_alpha4_p5`: numbers joined by dots, an optional letter, any count of suffixes (PMS 3.2).
fn is_version(text: &str) -> bool {
    let mut parts = text.split('_');
    let numbers = parts.next().unwrap_or_default();
    let numbers = numbers.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(numbers);
    numbers.split('.').all(is_number)
        && parts.all(|suffix| {
            ["alpha", "beta", "pre", "rc", "p"].iter().any(|kind| {
                suffix.strip_prefix(kind).is_some_and(|number| number.is_empty() || is_number(number))
            })
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (String, String, String) {
        let cpv: Cpv = text.parse().unwrap();
        assert_eq!(cpv.to_string(), text);
        (cpv.category, cpv.name, cpv.version)
    }

    #[test]
    fn splits_as_portage_does() {
        for (text, category, name, version) in [
            ("sys-libs/zlib-1.3.1", "sys-libs", "zlib", "1.3.1"),
            ("sys-libs/zlib-1.3.1-r2", "sys-libs", "zlib", "1.3.1-r2"),
            ("dev-libs/libsigc++-2.12.1-r1", "dev-libs", "libsigc++", "2.12.1-r1"),
            ("app-misc/c7-1-foo-2_p20240101", "app-misc", "c7-1-foo", "2_p20240101"),
            ("media-fonts/font-adobe-100dpi-1.0.4", "media-fonts", "font-adobe-100dpi", "1.0.4"),
            ("x11-libs/gtk+-3.24.43", "x11-libs", "gtk+", "3.24.43"),
            ("sys-devel/gcc-14.2.1_p20241221", "sys-devel", "gcc", "14.2.1_p20241221"),
            ("a/b-1a_alpha_beta2_rc-r0", "a", "b", "1a_alpha_beta2_rc-r0"),
        ] {
            assert_eq!(parts(text), (category.into(), name.into(), version.into()));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for wrong in [
            "",
            "/",
            "zlib-1",
            "sys-libs/zlib",
            "sys-libs/-1",
            "../etc-1",
            "../../etc/passwd-1",
            "./a-1",
            "sys-libs/..-1",
            "sys-libs/a/../b-1",
            "sys-libs/zlib-1.3/../x-1",
            ".hidden/a-1",
            "-x/a-1",
            "a/-b-1",
            "a/+b-1",
            "a/b-1-2",
            "a/b-1-r1-r2",
            "a/b-1-r",
            "a/b-1.",
            "a/b-.1",
            "a/b-1_gamma",
            "a/b-1ab",
            "a/b-1\n",
            "a/b -1",
            "a/b-1\0",
            "=a/b-1",
            "a/b-1:0",
            "a/b-1[x]",
            "a/b.c-1",
            "a/b-1_alpha1.2",
        ] {
            assert!(wrong.parse::<Cpv>().is_err(), "{wrong:?}");
        }
        assert!(format!("a/{}-1", "b".repeat(300)).parse::<Cpv>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_what_parses_is_one_safe_path(text in ".{0,40}") {
            if let Ok(cpv) = text.parse::<Cpv>() {
                prop_assert_eq!(cpv.to_string(), text.clone());
                prop_assert_eq!(text.matches('/').count(), 1);
                prop_assert!(text.split('/').all(|part| part != "." && part != ".."));
            }
        }

        #[test]
        fn what_is_put_together_comes_apart(
            category in "[a-z][a-z0-9+_.-]{0,8}", name in "[a-z][a-z0-9+_]{0,8}", version in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}[a-z]?(_(alpha|beta|pre|rc|p)[0-9]{0,2}){0,2}(-r[0-9]{1,2})?"
        ) {
            let cpv: Cpv = format!("{category}/{name}-{version}").parse().unwrap();
            prop_assert_eq!((cpv.category(), cpv.name(), cpv.version()), (&*category, &*name, &*version));
        }
    }
}
