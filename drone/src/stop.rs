//! Why an attempt does not come to its end.

use crate::failure::Failure;
use crate::report::Unreported;
use swarm_protocol::state::FailureClass;

/// Why an attempt does not come to its end.
#[derive(Debug)]
pub enum Stop {
    /// It failed, and that is to be reported.
    Failed(Box<Failure>),
    /// It was cancelled; [`crate::live::Live::cancelled`] says why.
    Cancelled,
    /// A report was refused; nothing more can be said of it.
    Refused(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<Unreported> for Stop {
    fn from(error: Unreported) -> Self {
        match error {
            Unreported::Cancelled => Self::Cancelled,
            Unreported::Refused(error) => Self::Refused(error.to_string()),
        }
    }
}

/// A fault of the drone's own machine.
impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Failure::new(FailureClass::Infrastructure, format!("{error:#}")).into()
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::new(error).context("a file of the drone's cannot be read or written").into()
    }
}

impl From<tokio::task::JoinError> for Stop {
    fn from(error: tokio::task::JoinError) -> Self {
        anyhow::Error::new(error).into()
    }
}
