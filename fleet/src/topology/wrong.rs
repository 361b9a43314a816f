//! What is wrong with a topology, and in which line.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why a topology cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It says something that makes no sense.
    #[error("{path}:{line}: {why}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there, in a sentence.
        why: String,
    },
}

/// A text with its origin, for messages.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) path: &'a Path,
}

impl Source<'_> {
    /// The line of a position, counted from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    /// Something is wrong at a position.
    pub(super) fn wrong(&self, span: &Range<usize>, why: impl Into<String>) -> TopologyError {
        TopologyError::Wrong { path: self.path.to_owned(), line: self.line(span), why: why.into() }
    }

    /// It is no TOML, or not of this form.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> TopologyError {
        let span = error.span().unwrap_or_default();
        self.wrong(&span, suggestion(error.message()).unwrap_or_else(|| error.message().to_owned()))
    }

    /// A path of the file, from where the file is. What begins with `~` is for ssh to resolve.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        if path.starts_with("~") {
            return path.to_owned();
        }
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// Of serde's "unknown field `x`, expected one of `a`, `b`" the short form, where something is nearly `x`.
fn suggestion(message: &str) -> Option<String> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once(", expected ")?;
    let wanted = unknown.split('`').nth(1)?;
    let known = expected.split('`').skip(1).step_by(2);
    let distance = |name: &&str| strsim::damerau_levenshtein(wanted, name);
    let near = known.min_by_key(distance).filter(|name| distance(name) <= 1 + wanted.len() / 3)?;
    Some(format!("unknown {unknown}; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn only_what_is_near_is_suggested() {
        let said = suggestion("unknown field `prot`, expected one of `name`, `port`").unwrap();
        assert_eq!(said, "unknown field `prot`; did you mean `port`?");
        assert_eq!(suggestion("unknown field `colour`, expected one of `name`, `port`"), None);
        assert_eq!(suggestion("unknown field `x`, there are no fields"), None);
        assert_eq!(suggestion("invalid type: integer"), None);
    }
}
