//! OpenSSH's own client, driven: the user's configuration, agent and known hosts count, as when a person types `ssh`.
//!
//! What is not left to them, for this machine and every jump host on the way: nobody is asked anything (`BatchMode`), a host
//! key that is unknown or another one ends it (`StrictHostKeyChecking`), and a peer that says nothing is given up in bounded
//! time. A configuration file of our own says so before it includes the user's, since ssh takes the first value it meets, and
//! hands its `-F` on to the ssh of a jump host.
//!
//! Each connection is one `ssh` in the background (`ControlMaster`), and each command a channel of it.

mod failure;
mod quote;

pub use failure::SshError;
pub use quote::quote;

use crate::content::Hash;
use crate::topology::Route;
use openssh::{Child, ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How long a machine may take to answer at all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the whole of a connection may take: jump hosts, keys, agents.
const ESTABLISH: Duration = Duration::from_secs(30);
/// After so long without a word, and twice more, the connection is lost.
const ALIVE: Duration = Duration::from_secs(5);
/// A connection in the background that nobody uses ends by itself, in case that we were killed.
const IDLE_MINUTES: usize = 15;

/// What all connections of this process share: the options, and a place for their sockets.
pub struct Ssh {
    directory: TempDir,
    config: PathBuf,
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// What a command is given on standard input.
pub type Input<'a> = Option<&'a [u8]>;

impl Ssh {
    /// `known_hosts` is the only file of pinned keys that counts; without it, those of the user and of this machine do.
    pub fn new(known_hosts: Option<&Path>) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("swarm-ssh.")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let config = directory.path().join("config");
        std::fs::write(&config, options(known_hosts))?;
        Ok(Self { directory, config })
    }

    /// Connects.
    pub async fn connect(&self, route: &Route) -> Result<Connection, SshError> {
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .connect_timeout(CONNECT)
            .server_alive_interval(ALIVE)
            .control_persist(ControlPersist::IdleFor(idle()))
            .control_directory(self.directory.path())
            .config_file(self.config(route).map_err(|error| SshError::Other(error.to_string()))?);
        if let Some(user) = &route.user {
            builder.user(user.to_string());
        }
        if let Some(port) = route.port {
            builder.port(port);
        }
        if let Some(key) = &route.key {
            builder.keyfile(key);
        }
        if let Some(jump) = &route.jump {
            builder.jump_hosts([jump.to_string()]);
        }
        let connected = tokio::time::timeout(ESTABLISH, builder.connect(route.host.as_str())).await;
        match connected {
            Ok(Ok(session)) => Ok(Connection { session, lost: AtomicBool::new(false) }),
            Ok(Err(error)) => Err(SshError::of_connect(&error, route.jump.as_ref())),
            Err(_) => Err(SshError::TimedOut(ESTABLISH)),
        }
    }
}

impl Ssh {
    /// The configuration file for a route. Of what the command line says ssh hands nothing on to a jump host, not even the key.
    fn config(&self, route: &Route) -> io::Result<PathBuf> {
        let (Some(_), Some(key)) = (&route.jump, &route.key) else { return Ok(self.config.clone()) };
        let line = format!("IdentityFile \"{}\"\n", key.display());
        let name = format!("config-{}", Hash::of(line.as_bytes()).short());
        let file = self.directory.path().join(name);
        std::fs::write(&file, line + &std::fs::read_to_string(&self.config)?)?;
        Ok(file)
    }
}

/// The file that every `ssh` of ours is given.
fn options(known_hosts: Option<&Path>) -> String {
    let known_hosts = known_hosts.map_or_else(String::new, |file| {
        format!("    UserKnownHostsFile \"{}\"\n    GlobalKnownHostsFile /dev/null\n", file.display())
    });
    format!(
        "Host *\n    BatchMode yes\n    StrictHostKeyChecking yes\n    UpdateHostKeys no\n    LogLevel INFO\n    \
         ConnectTimeout {}\n    ServerAliveInterval {}\n    ServerAliveCountMax 3\n    ClearAllForwardings yes\n    \
         PermitLocalCommand no\n{known_hosts}Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n",
        CONNECT.as_secs(),
        ALIVE.as_secs(),
    )
}

/// A connection to one machine.
pub struct Connection {
    session: Session,
    /// Each further command would try, and wait, to connect anew.
    lost: AtomicBool,
}

impl Connection {
    /// Runs a command line: the remote shell reads it, or the forced command of the key does. `limit` bounds all of it.
    pub async fn run(&self, line: &str, input: Input<'_>, limit: Duration) -> Result<Said, SshError> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(SshError::Lost);
        }
        match tokio::time::timeout(limit, self.run_unbounded(line, input)).await {
            Ok(said) => {
                self.lost.fetch_or(matches!(said, Err(SshError::Lost)), Ordering::Relaxed);
                said
            }
            Err(_) => Err(SshError::TimedOut(limit)),
        }
    }

    async fn run_unbounded(&self, line: &str, input: Input<'_>) -> Result<Said, SshError> {
        let mut command = self.session.raw_command(line);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().await.map_err(|error| SshError::of_command(&error))?;
        let stdin = child.stdin().take();
        let feed = async move {
            if let (Some(mut stdin), Some(bytes)) = (stdin, input) {
                // A command that ends early, as on a full disk, says why; that the pipe broke says nothing.
                let _ = stdin.write_all(bytes).await;
                let _ = stdin.shutdown().await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.map_err(|error| SshError::of_command(&error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        Ok(Said { status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs a POSIX shell script, whatever the account's own shell is.
    pub async fn script(
        &self,
        script: &str,
        arguments: &[&str],
        input: Input<'_>,
        limit: Duration,
    ) -> Result<Said, SshError> {
        self.run(&shell(script, arguments), input, limit).await
    }

    /// Starts a script that stays until its input ends, and reads its first line.
    pub async fn hold(
        &self,
        script: &str,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<(String, Held<'_>), SshError> {
        let started = async {
            let mut command = self.session.raw_command(shell(script, arguments));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().await.map_err(|error| SshError::of_command(&error))?;
            let mut line = String::new();
            if let Some(stdout) = child.stdout().take() {
                let read = BufReader::new(stdout).read_line(&mut line).await;
                read.map_err(|_| SshError::Lost)?;
            }
            Ok((line.trim().to_owned(), Held { child }))
        };
        tokio::time::timeout(limit, started).await.unwrap_or(Err(SshError::TimedOut(limit)))
    }

    /// Ends it. What is dropped instead ends too, but blocks meanwhile.
    pub async fn close(self) {
        // Nothing is left to be done with it, whatever went wrong.
        let _ = self.session.close().await;
    }
}

/// A script that runs. When this is dropped its input ends, and so does it.
pub struct Held<'a> {
    child: Child<&'a Session>,
}

impl Held<'_> {
    /// Ends it; what it has said on standard error.
    pub async fn end(self, limit: Duration) -> Result<String, SshError> {
        let mut child = self.child;
        drop(child.stdin().take());
        match tokio::time::timeout(limit, child.wait_with_output()).await {
            Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stderr).into_owned()),
            Ok(Err(error)) => Err(SshError::of_command(&error)),
            Err(_) => Err(SshError::TimedOut(limit)),
        }
    }
}

/// A script as a line that any shell takes. `ssh` itself ends with 255, and 127 is taken for a command that is not there: of
/// a script, neither would tell what it has said.
fn shell(script: &str, arguments: &[&str]) -> String {
    let script = format!("(\n{script}\n)\nstatus=$?\n[ $status -lt 126 ] || status=125\nexit $status");
    let arguments = arguments.iter().map(|word| format!(" {}", quote(word)));
    format!("exec sh -c {} sh{}", quote(&script), arguments.collect::<String>())
}

fn idle() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::MIN.saturating_add(IDLE_MINUTES * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_went_wrong_whatever_its_status() {
        for (script, status) in
            [("exit 3", 3), ("exit 255", 125), ("nothing-of-that-name", 125), ("echo $2", 0)]
        {
            let output =
                std::process::Command::new("sh").args(["-c", &shell(script, &["a b", "it's"])]).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(status), "{script}");
            assert_eq!(output.stdout, if status == 0 { b"it's\n".as_slice() } else { b"" });
        }
    }

    #[test]
    fn ours_come_before_the_users() {
        let text = options(Some(Path::new("/etc/swarm/known hosts")));
        assert!(text.find("StrictHostKeyChecking yes").unwrap() < text.find("Include").unwrap());
        assert!(text.contains("UserKnownHostsFile \"/etc/swarm/known hosts\"\n"));
        assert!(!options(None).contains("KnownHostsFile"));
    }
}
