//! Why a call fails: refusals that the client reads, and faults of the machine that only the log reads in full.

use crate::signing::KeyError;
use std::fmt::Display;
use std::io;
use std::path::Path;
use swarm_protocol::{Code, Problem};

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The client asked for what may not be; nothing has changed.
    #[error("{0}")]
    Refused(Problem),
    /// The file system did not do what it was asked.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, with its path.
        doing: String,
        /// What came of it.
        source: io::Error,
    },
    /// There is no key to sign with, or it cannot.
    #[error("{0}")]
    Key(KeyError),
    /// The store is not as this program leaves it.
    #[error("{0}")]
    Damaged(String),
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Problem::new(code, detail))
    }

    /// What the client is told. Paths and causes stay in the log, which is written here and nowhere else.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Io { doing, source } if is_full(&source) => {
                tracing::error!(error = %source, "{doing}");
                Problem::new(Code::DiskFull, "there is no room left to write")
            }
            Self::Io { doing, source } => {
                tracing::error!(error = %source, "{doing}");
                Problem::new(Code::Internal, "the binhost's file system failed; its log says how")
            }
            Self::Key(KeyError::Io(error)) => error.into_problem(),
            Self::Key(error) => {
                tracing::error!(%error, "packages cannot be signed");
                Problem::new(Code::SigningKey, "the binhost cannot sign packages; its log says why")
            }
            Self::Damaged(what) => {
                tracing::error!("{what}");
                Problem::new(Code::Internal, "the binhost's directory is damaged; its log says where")
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Says what was being done when an I/O error came.
pub(crate) trait Doing<T> {
    /// `verb` as in "cannot rename", with the path it was done to.
    fn doing(self, verb: impl Display, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, verb: impl Display, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            doing: format!("cannot {verb} {}", path.display()),
            source: source.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_and_paths_are_not() {
        for (kind, code) in [
            (io::ErrorKind::StorageFull, Code::DiskFull),
            (io::ErrorKind::QuotaExceeded, Code::DiskFull),
            (io::ErrorKind::PermissionDenied, Code::Internal),
        ] {
            let failed: Result<(), io::Error> = Err(kind.into());
            let problem = failed.doing("write", Path::new("/secret/place")).unwrap_err().into_problem();
            assert_eq!(problem.code, code);
            assert!(!problem.detail.contains("secret"));
        }
    }
}
