//! Why something is not done on one machine: a stable code for scripts, a line for people.

use crate::desired::DesiredError;
use crate::facts::FactsError;
use crate::ssh::SshError;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use swarm_protocol::client::ClientError;

/// Why something is not done on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What kind.
    pub code: &'static str,
    /// What happened, in a sentence.
    pub says: String,
}

impl Trouble {
    /// A trouble of that kind.
    pub fn new(code: &'static str, says: impl Into<String>) -> Self {
        Self { code, says: says.into() }
    }
}

impl Trouble {
    /// Whether it was the way to the machine, so that nobody knows what became of a command.
    #[must_use]
    pub fn is_of_the_way(&self) -> bool {
        [SshError::Lost.code(), SshError::TimedOut(Duration::ZERO).code()].contains(&self.code)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl From<SshError> for Trouble {
    fn from(error: SshError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<FactsError> for Trouble {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Ssh(error) => error.into(),
            error @ FactsError::Script { .. } => Self::new("facts", error.to_string()),
        }
    }
}

impl From<DesiredError> for Trouble {
    fn from(error: DesiredError) -> Self {
        Self::new("desired", error.to_string())
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::new("swarm", format!("the orchestrator: {error}"))
    }
}
