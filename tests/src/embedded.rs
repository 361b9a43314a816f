//! An orchestrator that runs its own Postgres and Redis, in a state directory that ends with the test, as they do.

use crate::port::Port;
use crate::process::{Process, binary};
use crate::{swarm, wait};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use swarm_protocol::client::AdminClient;
use tempfile::TempDir;

/// Making a cluster syncs some thousand files; the machine may be busy.
const START_SECONDS: u64 = 90;

/// An orchestrator with its private servers.
pub struct Embedded {
    /// The orchestrator, while it runs.
    pub orchestrator: Option<Process>,
    /// Its state directory.
    pub state: PathBuf,
    /// The account that starts it, where that is not ours.
    account: Option<u32>,
    port: Port,
    directory: TempDir,
}

impl Embedded {
    /// An orchestrator that never ran, with its state below a directory of this test's own.
    #[must_use]
    pub fn new(state: &str) -> Self {
        Self::with(state, "")
    }

    /// The same with lines of `[embedded]`.
    #[must_use]
    pub fn with(state: &str, settings: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("swarm-embedded.").tempdir().unwrap();
        // The servers' account has to get through.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let state = directory.path().join(state);
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into());
        let config = format!(
            "listen = \"{}\"\nticket_key_file = \"{}/ticket.key\"\nstate_dir = \"{1}\"\n\
             [binhost]\nurl = \"http://127.0.0.1:9\"\n[embedded]\n{settings}",
            port.address,
            state.display()
        );
        fs::write(directory.path().join("orchestrator.toml"), config).unwrap();
        Self { orchestrator: None, state, account: None, port, directory }
    }

    /// Makes the orchestrator run as somebody else, who owns the state directory.
    pub fn run_as(&mut self, uid: u32) {
        fs::create_dir_all(&self.state).unwrap();
        std::os::unix::fs::chown(&self.state, Some(uid), Some(uid)).unwrap();
        // The workspace may be where only root can go.
        fs::copy(binary("build-orchestrator"), self.path().join("build-orchestrator")).unwrap();
        self.account = Some(uid);
    }

    /// The directory around the state directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The orchestrator's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// The program, told where its configuration is.
    fn command(&self) -> Command {
        let mut command = match self.account {
            None => Command::new(binary("build-orchestrator")),
            Some(uid) => {
                let mut command = Command::new(self.path().join("build-orchestrator"));
                command.uid(uid).gid(uid);
                command
            }
        };
        command.arg("--config").arg(self.path().join("orchestrator.toml"));
        command
    }

    /// Another process with the same configuration; its output goes to `log`.
    #[must_use]
    pub fn another(&self, log: &str) -> Process {
        Process::start(&mut self.command(), &self.path().join(log))
    }

    /// Starts the orchestrator.
    pub fn spawn(&mut self) {
        self.orchestrator = Some(self.another("orchestrator.log"));
    }

    /// Starts the orchestrator and waits until it can serve.
    pub async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Waits until the orchestrator can serve.
    pub async fn ready(&self) {
        swarm::answers(&format!("{}/readyz", self.url()), START_SECONDS).await;
    }

    /// What `/readyz` says is degraded, but for the binhost, of which there is none; `None`: it does not serve.
    pub async fn degraded(&self) -> Option<Vec<String>> {
        let response = reqwest::get(format!("{}/readyz", self.url())).await.ok()?.error_for_status().ok()?;
        let ready: Value = response.json().await.ok()?;
        let degraded = ready["degraded"].as_array()?.iter().map(ToString::to_string);
        Some(degraded.filter(|trouble| !trouble.contains("the binhost")).collect())
    }

    /// Ends the orchestrator in order.
    pub async fn stop(&mut self) {
        let mut orchestrator = self.orchestrator.take().unwrap();
        orchestrator.signal(Signal::TERM);
        assert!(orchestrator.ended(60).await.success());
    }

    /// Runs a subcommand as root to its end.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("build-orchestrator"));
        command.arg("--config").arg(self.path().join("orchestrator.toml")).args(arguments);
        command.output().unwrap()
    }

    /// What a subcommand prints; it must succeed.
    #[must_use]
    pub fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What a subcommand complains of; it must fail.
    #[must_use]
    pub fn complains(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// An admin's client with a new token.
    #[must_use]
    pub fn admin(&self) -> AdminClient {
        AdminClient::new(&self.url(), self.prints(&["token"]))
    }

    /// The cluster's directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.state.join("postgres")
    }

    /// Directories of clusters in the making.
    #[must_use]
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("initdb")).collect()
    }

    /// A line of the cluster's `postmaster.pid`, counted from 0; `None`: Postgres does not run.
    fn postmaster_line(&self, line: usize) -> Option<String> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().nth(line).map(str::to_owned)
    }

    /// Postgres's process, as its cluster names it.
    #[must_use]
    pub fn postmaster(&self) -> Option<Pid> {
        Pid::from_raw(self.postmaster_line(0)?.parse().ok()?)
    }

    /// The sockets' directory, as the running Postgres names it.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.postmaster_line(4).map_or_else(|| self.state.join("run"), PathBuf::from)
    }

    /// A connection to the orchestrator's database.
    pub async fn database(&self) -> PgConnection {
        let options = PgConnectOptions::new().socket(self.sockets()).username("swarm").database("swarm");
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Redis's answer to a command.
    #[must_use]
    pub fn redis(&self, command: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.sockets().join("redis.sock")).ok()?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        // QUIT ends the answer.
        write!(socket, "{command}\r\nQUIT\r\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Redis's process, as it says itself; `None`: it does not run.
    #[must_use]
    pub fn redis_server(&self) -> Option<Pid> {
        let info = self.redis("INFO server")?;
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:"))?;
        Pid::from_raw(pid.trim().parse().ok()?)
    }
}

impl Drop for Embedded {
    /// Ends what the orchestrator left running.
    fn drop(&mut self) {
        drop(self.orchestrator.take());
        // Whatever is wrong with one, the rest is cleared too.
        let _ = self.redis("SHUTDOWN");
        let sockets = self.sockets();
        let _ = stop_postgres(&self.data());
        if !sockets.starts_with(self.path()) {
            let _ = fs::remove_dir_all(sockets);
        }
    }
}

/// With the programs that the cluster was started with.
fn stop_postgres(data: &Path) -> std::io::Result<()> {
    let options = fs::read_to_string(data.join("postmaster.opts"))?;
    let postgres = Path::new(options.split_whitespace().next().unwrap_or_default());
    let owner = data.metadata()?;
    let mut stop = Command::new(postgres.with_file_name("pg_ctl"));
    stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(data).uid(owner.uid()).gid(owner.gid());
    stop.current_dir("/").output().map(drop)
}

/// Whether there is such a process.
#[must_use]
pub fn lives(pid: Pid) -> bool {
    // The dead stay in the table until they are waited for.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    test_kill_process(pid).is_ok() && !zombie
}

/// `kill -9`, and its end awaited.
pub async fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
    wait::until(30, "a killed process to end", async || (!lives(pid)).then_some(())).await;
}

/// The user id that a process runs as.
#[must_use]
pub fn uid_of(pid: Pid) -> u32 {
    fs::metadata(format!("/proc/{}", pid.as_raw_nonzero())).unwrap().uid()
}
