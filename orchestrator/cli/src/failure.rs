//! What went wrong. Whoever found it — the server, the network, this program — it is said as a [`Problem`], so that
//! a script reads one shape.

use crate::exit::Exit;
use std::io;
use swarm_protocol::client::ClientError;
use swarm_protocol::{Code, Problem};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to be told.
    Problem {
        /// The exit code.
        exit: Exit,
        /// What is told.
        problem: Problem,
    },
    /// Whoever read the output has gone, as `head` does: there is nobody to tell.
    ReaderGone,
}

impl Failure {
    fn new(exit: Exit, code: Code, detail: impl Into<String>) -> Self {
        Self::Problem { exit, problem: Problem::new(code, detail) }
    }

    /// A file that the command line names is not what the command takes.
    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Code::InvalidValue, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, Code::NotFound, detail)
    }

    /// There is no usable token.
    pub(crate) fn no_token(detail: impl Into<String>) -> Self {
        Self::new(Exit::NotAllowed, Code::Unauthenticated, detail)
    }

    /// A key is not one that is trusted.
    pub(crate) fn untrusted(detail: impl Into<String>) -> Self {
        Self::new(Exit::Untrusted, Code::PreconditionFailed, detail)
    }

    /// The binhost was not reached.
    pub(crate) fn no_binhost(detail: impl Into<String>) -> Self {
        Self::new(Exit::NoBinhost, Code::Unavailable, detail)
    }

    /// The server did not answer.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Exit::Failed, Code::Unavailable, detail)
    }

    /// This machine, or a program that does not keep to the protocol, is at fault.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(Exit::Failed, Code::Internal, detail)
    }

    /// What is told.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Problem { problem, .. } => problem.detail.clone(),
            Self::ReaderGone => "whoever read its output has gone".to_owned(),
        }
    }

    /// True when what was asked about is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem { problem, .. } if problem.code == Code::NotFound)
    }

    /// True when the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => matches!(problem.code, Code::Unavailable | Code::Internal),
            Self::ReaderGone => false,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Problem(problem) => Self::Problem { exit: Exit::of_code(problem.code), problem },
            ClientError::Unexpected { status, url } if status.is_server_error() => Self::unavailable(
                format!("{url} answered {status}; try again, or look at the orchestrator's log"),
            ),
            ClientError::Unexpected { status, url } => Self::internal(format!(
                "{url} answered {status}, which no orchestrator of this version says; is --url (SWARM_URL) right?"
            )),
            ClientError::Transport(error) if error.is_builder() => {
                Self::usage(format!("--url (SWARM_URL) is no usable URL: {text}"))
            }
            ClientError::Transport(error) if error.is_decode() => Self::internal(format!(
                "the answer was not understood; are swarm and the orchestrator of one version? {text}"
            )),
            ClientError::Transport(_) => Self::unavailable(format!(
                "the orchestrator was not reached; is it running, and is --url (SWARM_URL) right? {text}"
            )),
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ReaderGone
        } else {
            Self::internal(format!("cannot write to standard output: {error}"))
        }
    }
}
