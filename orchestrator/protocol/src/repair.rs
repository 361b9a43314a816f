//! What the orchestrator may ask of a node over SSH to revive its drone, and what `build-drone repair` answers there.
//!
//! The orchestrator's key is good for nothing else on the node, by a line in `authorized_keys`:
//!
//! ```text
//! restrict,command="/usr/bin/build-drone repair" ssh-ed25519 AAAA… orchestrator
//! ```
//!
//! The command line of the SSH session is a [`Verb`]: `status`, `restart MACHINE_ID` or `reboot MACHINE_ID`. The answer is
//! JSON, one [`Line`] a line; the last one counts. What restarts or reboots names the machine that it means, and the machine
//! compares: an address, a port behind NAT or a DNS name may lead elsewhere than they did (law 13).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What identifies a machine for good: the contents of its `/etc/machine-id`, as a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(String);

/// A text that identifies no machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a machine's id is 1 to 128 visible ASCII characters, without quotes and backslashes")]
pub struct InvalidMachineId;

impl FromStr for MachineId {
    type Err = InvalidMachineId;

    fn from_str(text: &str) -> Result<Self, InvalidMachineId> {
        // It becomes a word of a command line, which a shell may read on its way.
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+=@/".contains(&byte));
        let fits = (1..=128).contains(&text.len()) && !text.starts_with('-');
        (plain && fits).then(|| Self(text.to_owned())).ok_or(InvalidMachineId)
    }
}

impl TryFrom<String> for MachineId {
    type Error = InvalidMachineId;
    fn try_from(text: String) -> Result<Self, InvalidMachineId> {
        text.parse()
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A step of the ladder on the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The drone's service is started anew.
    Restart,
    /// The machine is.
    Reboot,
}

impl Step {
    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reboot => "reboot",
        }
    }

    /// The step of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Restart, Self::Reboot].into_iter().find(|step| step.as_str() == text)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Who it is, and how the drone's service does. Changes nothing.
    Status,
    /// The step, on that machine and no other.
    Do(Step, MachineId),
}

/// A command line that is none of the verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the commands are `status`, `restart MACHINE_ID` and `reboot MACHINE_ID`")]
pub struct UnknownVerb;

impl FromStr for Verb {
    type Err = UnknownVerb;

    /// Exactly what [`Verb`]'s `Display` writes: one space, nothing before, nothing after.
    fn from_str(text: &str) -> Result<Self, UnknownVerb> {
        if text == "status" {
            return Ok(Self::Status);
        }
        let (step, machine) = text.split_once(' ').ok_or(UnknownVerb)?;
        let machine = machine.parse().map_err(|_| UnknownVerb)?;
        Step::parse(step).map(|step| Self::Do(step, machine)).ok_or(UnknownVerb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Do(step, machine) => write!(f, "{step} {machine}"),
        }
    }
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Line {
    /// How things stand.
    Status {
        /// The machine.
        machine_id: MachineId,
        /// What starts services there: `openrc`, `systemd`.
        init: Option<String>,
        /// What it says of the drone's service.
        service: Option<String>,
        /// The version of the program that answers.
        version: String,
    },
    /// The machine is the right one, and the step begins. A machine that reboots may say nothing after this.
    Begun {
        /// Which.
        step: Step,
    },
    /// The step is done.
    Done,
    /// The step was begun, and failed.
    Failed {
        /// Why, in a sentence.
        detail: String,
    },
    /// Nothing was done.
    Refused {
        /// Why, for programs.
        reason: Refusal,
        /// Why, in a sentence.
        detail: String,
    },
}

/// Why a node does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It is another machine than the one that was meant.
    OtherMachine,
    /// It knows no such command.
    UnknownVerb,
    /// It does not know itself, or nothing that starts services.
    Unable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_verbs() {
        assert_eq!("status".parse(), Ok(Verb::Status));
        for text in ["restart 0123456789abcdef0123456789abcdef", "reboot a"] {
            assert_eq!(text.parse::<Verb>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "status ",
            " status",
            "status x",
            "restart",
            "restart ",
            "restart  a",
            "restart a b",
            "reboot a\n",
            "Reboot a",
            "reboot -f",
            "restart a;reboot",
            "restart $(reboot)",
            "restart `id`",
            "restart a|b",
            "restart ä",
            "rm -rf /",
            "bash",
            "restart\ta",
            "reboot a\0",
        ] {
            assert_eq!(text.parse::<Verb>(), Err(UnknownVerb), "{text:?}");
        }
        assert!(format!("reboot {}", "a".repeat(129)).parse::<Verb>().is_err());
    }

    proptest! {
        /// What is understood is exactly what would be said: there is one way to say a thing.
        #[test]
        fn nothing_is_understood_loosely(text in "(status|restart|reboot)?[ -~]{0,40}") {
            if let Ok(verb) = text.parse::<Verb>() {
                prop_assert_eq!(verb.to_string(), text);
            }
        }
    }

    #[test]
    fn a_line_of_the_answer() {
        let line = Line::Refused { reason: Refusal::OtherMachine, detail: "no".to_owned() };
        let text = r#"{"is":"refused","reason":"other_machine","detail":"no"}"#;
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        assert_eq!(serde_json::from_str::<Line>(text).unwrap(), line);
    }
}
