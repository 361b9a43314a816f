//! What goes wrong between two machines, as one line that says what to do.
//!
//! ssh tells it only in words: those of OpenSSH's `sshconnect.c`, `sshconnect2.c` and `clientloop.c`, which have been the
//! same for many years. What is not recognized is passed on.

use crate::topology::Jump;
use openssh::Error;
use std::error::Error as _;
use std::time::Duration;

/// Why a machine was not reached, or a command there did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// There is no answer.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It, or a jump host, shows another key than the pinned one.
    #[error(
        "its host key is not the pinned one: somebody is in between, or it was installed anew; \
         if you know why, remove the old key with ssh-keygen -R"
    )]
    HostKeyChanged,
    /// Its key, or a jump host's, is pinned nowhere.
    #[error(
        "its host key is not known: compare it at the machine itself, then add it to the known hosts ({0})"
    )]
    HostKeyUnknown(String),
    /// A key is missing, or would need a passphrase.
    #[error("it takes none of our keys, and nobody is asked for a password: {0}")]
    Denied(String),
    /// The connection ended in the middle of a command.
    #[error("the connection was lost in the middle of a command")]
    Lost,
    /// It took too long.
    #[error("no end within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// Something else, in ssh's own words.
    #[error("ssh: {0}")]
    Other(String),
}

impl SshError {
    /// Its stable name, for scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::HostKeyChanged => "host_key_changed",
            Self::HostKeyUnknown(_) => "host_key_unknown",
            Self::Denied(_) => "denied",
            Self::Lost => "lost",
            Self::TimedOut(_) => "timed_out",
            Self::Other(_) => "ssh",
        }
    }

    /// Of connecting: ssh's log is in the error's source. What the ssh of a jump host says is not in it.
    pub(super) fn of_connect(error: &Error, jump: Option<&Jump>) -> Self {
        let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        match (Self::of_log(&text), jump) {
            (Self::Unreachable(why), Some(jump)) => {
                Self::Unreachable(format!("{why}; by way of {jump}, which may be what refuses"))
            }
            (error, _) => error,
        }
    }

    /// Of a command over a connection that stood.
    pub(super) fn of_command(error: &Error) -> Self {
        match error {
            // Of a command that was not found, the remote shell has said so; no command of ours ends so otherwise.
            Error::Remote(source) => Self::Other(source.to_string()),
            Error::Ssh(source) => Self::Other(format!("cannot run it here: {source}")),
            _ => Self::Lost,
        }
    }

    fn of_log(log: &str) -> Self {
        let line = |needle: &str| log.lines().map(str::trim).find(|line| line.contains(needle));
        if log.contains("IDENTIFICATION HAS CHANGED") {
            return Self::HostKeyChanged;
        }
        if let Some(line) = line("host key is known for").or_else(|| line("Host key verification failed")) {
            return Self::HostKeyUnknown(line.to_owned());
        }
        if let Some(line) = line("Permission denied (").or_else(|| line("Too many authentication failures")) {
            return Self::Denied(line.to_owned());
        }
        for silent in
            ["connect to host", "Could not resolve", "timed out", "Connection closed", "Connection reset"]
        {
            if let Some(line) = line(silent) {
                return Self::Unreachable(line.to_owned());
            }
        }
        Self::Other(log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no word").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::SshError;

    #[test]
    fn the_words_of_openssh() {
        for (log, code) in [
            ("connect to host 10.88.0.9 port 22: No route to host", "unreachable"),
            ("Could not resolve hostname izarr: Name or service not known", "unreachable"),
            ("connect to host izar port 22: Connection timed out", "unreachable"),
            (
                "Connection timed out during banner exchange\r\nConnection to 10.0.0.1 port 22 timed out",
                "unreachable",
            ),
            ("kex_exchange_identification: Connection closed by remote host", "unreachable"),
            (
                "No ED25519 host key is known for izar and you have requested strict checking.\r\nHost key verification failed.",
                "host_key_unknown",
            ),
            (
                "@@@\r\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.",
                "host_key_changed",
            ),
            ("root@izar: Permission denied (publickey,password).", "denied"),
            ("Bad owner or permissions on /root/.ssh/config", "ssh"),
            ("", "ssh"),
        ] {
            assert_eq!(SshError::of_log(log).code(), code, "{log}");
        }
    }
}
