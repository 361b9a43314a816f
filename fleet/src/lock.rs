//! One deploy at a time on a machine: a lock there, which ends with the connection of whoever holds it. So no lock is ever
//! left behind, whatever happens to the holder; its file only says who that is.

use crate::facts::one_line;
use crate::ssh::{Connection, Held, SshError};
use std::time::Duration;

const SCRIPT: &str = r#"
umask 077
mkdir -p /var/lib/build-swarm-fleet && cd /var/lib/build-swarm-fleet && exec 9<>lock || exit 1
# Whoever has just gone is given the moment in which sshd notices it.
if flock -w 2 9; then
	printf '%s, process %s there\n' "$1" "$$" >lock
	echo held
	exec cat >/dev/null
fi
printf 'busy %s\n' "$(cat lock)"
"#;
const LIMIT: Duration = Duration::from_secs(20);

/// The lock, until it is dropped.
pub struct Lock<'a> {
    _held: Held<'a>,
}

/// Why there is no lock.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another deploy is at work there: {0}")]
    Busy(String),
    /// There can be none.
    #[error("no lock can be had there: {0}")]
    Refused(String),
    /// The way there.
    #[error(transparent)]
    Ssh(#[from] SshError),
}

impl LockError {
    /// Its stable name, for scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "locked",
            Self::Refused(_) => "lock",
            Self::Ssh(error) => error.code(),
        }
    }
}

impl<'a> Lock<'a> {
    /// Takes it, at once or not at all; others are told of `holder`.
    pub async fn take(connection: &'a Connection, holder: &str) -> Result<Self, LockError> {
        let (line, held) = connection.hold(SCRIPT, &[holder], LIMIT).await?;
        match line.split_once(' ') {
            None if line == "held" => Ok(Self { _held: held }),
            Some(("busy", holder)) => Err(LockError::Busy(holder.to_owned())),
            _ => Err(LockError::Refused(one_line(&held.end(LIMIT).await?))),
        }
    }
}
