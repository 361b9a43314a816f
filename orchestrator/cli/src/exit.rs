//! The exit codes: what a script branches on without reading a word.

use std::process::ExitCode;
use swarm_protocol::Code;
use swarm_protocol::state::RunState;

/// How `swarm` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It was done.
    Ok = 0,
    /// The server refused it, or was not reached.
    Failed = 1,
    /// The command line, or a file that it names, is not what the command takes. Clap's own code for it.
    Usage = 2,
    /// The run that was watched is frozen.
    Frozen = 3,
    /// The run that was watched is over, and was not promoted.
    Over = 4,
    /// There is no such thing.
    NotFound = 5,
    /// There is no token, or it may not do this.
    NotAllowed = 6,
    /// Of several machines, some are done and some are not.
    Partial = 7,
    /// `swarm doctor` found something broken.
    Unwell = 8,
    /// A workstation needs what the binhost does not have.
    Lacking = 10,
    /// emerge said that all is well, and left something out; or Portage refuses the update as a whole.
    LeftOut = 11,
    /// emerge failed.
    Emerge = 12,
    /// A key is not one that is trusted.
    Untrusted = 13,
    /// The binhost was not reached.
    NoBinhost = 14,
}

impl Exit {
    /// All of them, in their order.
    const ALL: &[Self] = &[
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Frozen,
        Self::Over,
        Self::NotFound,
        Self::NotAllowed,
        Self::Partial,
        Self::Unwell,
        Self::Lacking,
        Self::LeftOut,
        Self::Emerge,
        Self::Untrusted,
        Self::NoBinhost,
    ];

    const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; of a run that was watched: promoted",
            Self::Failed => "the server refused it, or was not reached; the message says what to do",
            Self::Usage => "wrong usage, or a value or file that is not what the command takes",
            Self::Frozen => "the run that was watched is frozen: a person has to look",
            Self::Over => "the run that was watched failed, or was cancelled or superseded",
            Self::NotFound => "there is no such run, package, drone, …",
            Self::NotAllowed => "not allowed: no token, an unknown one, or one whose role may not do this",
            Self::Partial => {
                "of several machines, some are as they shall be and some are not; the table says which"
            }
            Self::Unwell => "the doctor found something broken; each finding says what to do",
            Self::Lacking => {
                "update: the binhost lacks something that would have to be compiled; the rest is done"
            }
            Self::LeftOut => {
                "update: emerge left out what the binhost has, or Portage refuses the update as a whole"
            }
            Self::Emerge => "update: emerge failed; what it said stands above",
            Self::Untrusted => "a key that packages are signed with is not trusted, or not the expected one",
            Self::NoBinhost => "update: the binhost was not reached; nothing more was installed",
        }
    }

    /// The section of `--help`.
    pub(crate) fn help() -> String {
        let lines = Self::ALL.iter().map(|exit| format!("\n  {:<2} {}", *exit as u8, exit.meaning()));
        format!("Exit codes:{}", lines.collect::<String>())
    }

    /// What a problem of the server's means for the exit code.
    pub(crate) const fn of_code(code: Code) -> Self {
        match code {
            Code::NotFound => Self::NotFound,
            Code::Unauthenticated | Code::Forbidden => Self::NotAllowed,
            // An argument or a file that only the server could judge: a plan with a cycle, a cursor that is none.
            Code::InvalidValue | Code::InvalidBody | Code::TooLarge | Code::PlanCycle => Self::Usage,
            _ => Self::Failed,
        }
    }

    /// What watching a run ends with; `None` while there is something to wait for.
    pub(crate) const fn of_run(state: RunState) -> Option<Self> {
        match state {
            RunState::Resolving | RunState::Building | RunState::Validating | RunState::Promoting => None,
            RunState::Promoted => Some(Self::Ok),
            RunState::Frozen => Some(Self::Frozen),
            RunState::Failed | RunState::Cancelled | RunState::Superseded => Some(Self::Over),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_documented() {
        insta::assert_snapshot!(Exit::help());
    }

    #[test]
    fn watching_ends_when_a_run_is_over_or_needs_a_person() {
        for &state in RunState::ALL {
            assert_eq!(
                Exit::of_run(state).is_some(),
                state.is_over() || state == RunState::Frozen,
                "{state}"
            );
        }
    }
}
