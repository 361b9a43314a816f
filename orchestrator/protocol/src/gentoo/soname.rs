//! The name of a shared library within the architecture and ABI that it is for, as in `x86_64: libz.so.1`.
//!
//! The first part is Portage's multilib category (`dep/soname/multilib_category.py`): a library of `x86_32` is none for
//! a program of `x86_64`.

use super::text_type;
use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A validated soname.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Soname {
    category: String,
    name: String,
}

/// Why a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no soname: it is CATEGORY: NAME, as in \"x86_64: libz.so.1\"")]
pub struct InvalidSoname(String);

impl Soname {
    /// The multilib category, as in `x86_64`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// The library's name, as in `libz.so.1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Soname {
    type Err = InvalidSoname;

    fn from_str(text: &str) -> Result<Self, InvalidSoname> {
        let is_word = |part: &str| {
            let good = |c: char| !c.is_whitespace() && !c.is_control() && c != ':';
            (1..=200).contains(&part.len()) && part.chars().all(good)
        };
        match text.split_once(": ") {
            Some((category, name)) if is_word(category) && is_word(name) => {
                Ok(Self { category: category.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidSoname(text.chars().take(200).collect())),
        }
    }
}

impl fmt::Display for Soname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.category, self.name)
    }
}

text_type!(Soname, InvalidSoname);
text_schema!(Soname, "A soname with its multilib category, as in `x86_64: libz.so.1`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_and_a_name() {
        let soname: Soname = "x86_64: libstdc++.so.6".parse().unwrap();
        assert_eq!((soname.category(), soname.name()), ("x86_64", "libstdc++.so.6"));
        assert_eq!(soname.to_string(), "x86_64: libstdc++.so.6");
        for wrong in
            ["", "libz.so.1", "x86_64:libz.so.1", ": a", "x86_64: ", "x86_64: a b", "a: b: c", "a\n: b"]
        {
            assert!(wrong.parse::<Soname>().is_err(), "{wrong:?}");
        }
    }
}
