//! An orchestrator, a binhost and a Redis: real processes on loopback, in a directory that ends with the test.

use crate::database::Database;
use crate::port::Port;
use crate::process::{Process, binary};
use crate::wait;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use swarm_protocol::admin::{NewJoinToken, NewRun, NewTarget, Package, Run};
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::AdminClient;
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{PackageState, RunState};
use tempfile::TempDir;

/// A whole swarm but for its drones.
pub struct Swarm {
    /// The database.
    pub database: Database,
    /// An admin's client.
    pub admin: AdminClient,
    /// The orchestrator, while it runs.
    pub orchestrator: Option<Process>,
    /// The binhost, while it runs.
    pub binhost: Option<Process>,
    /// Redis, while it runs.
    pub redis: Option<Process>,
    /// An admin's token.
    pub token: String,
    /// Where the orchestrator listens.
    pub orchestrator_address: SocketAddr,
    /// Where the binhost listens.
    pub binhost_address: SocketAddr,
    directory: TempDir,
    _ports: [Port; 2],
}

/// Another orchestrator of the same swarm.
pub struct Second {
    /// Its base URL.
    pub url: String,
    /// An admin's client of it.
    pub admin: AdminClient,
    /// The process.
    pub process: Process,
    _port: Port,
}

/// How a swarm is set up.
pub struct Settings {
    /// The address that the daemons listen on.
    pub address: IpAddr,
    /// Lines of `[times]`.
    pub times: &'static str,
    /// Lines of `[retries]`.
    pub retries: &'static str,
    /// Lines of `[gate]`.
    pub gate: &'static str,
    /// Tables at the end, such as `[[notify]]`.
    pub tables: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            times: "heartbeat_seconds = 1\ngrace_seconds = 30\nmaintenance_seconds = 1\n",
            retries: "first_pause_seconds = 0\n",
            gate: "",
            tables: String::new(),
        }
    }
}

impl Settings {
    /// A drone that is not heard for four seconds is silent. Elsewhere a busy machine shall make none so.
    #[must_use]
    pub fn soon_silent() -> Self {
        Self {
            times: "heartbeat_seconds = 1\ngrace_seconds = 4\nmaintenance_seconds = 1\n",
            ..Self::default()
        }
    }
}

/// The target that tests build for.
#[must_use]
pub fn target() -> TargetName {
    "box".parse().unwrap()
}

impl Swarm {
    /// A running swarm with one target.
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    /// The same with other settings.
    pub async fn start_with(settings: Settings) -> Self {
        let database = Database::migrated().await;
        let directory = tempfile::Builder::new().prefix("swarm-test.").tempdir().unwrap();
        let ports = [Port::reserve(settings.address), Port::reserve(settings.address)];
        let [orchestrator_address, binhost_address] = [ports[0].address, ports[1].address];
        let config = format!(
            "listen = \"{orchestrator_address}\"\nticket_key_file = \"{0}/ticket.key\"\n\
             [database]\nurl = \"{1}\"\n[redis]\nurl = \"redis+unix://{0}/redis.sock\"\n\
             [binhost]\nurl = \"http://{binhost_address}\"\n[times]\n{2}[retries]\n{3}[gate]\n{4}\n{5}",
            directory.path().display(),
            database.url,
            settings.times,
            settings.retries,
            settings.gate,
            settings.tables,
        );
        std::fs::write(directory.path().join("orchestrator.toml"), config).unwrap();
        let key = output(&["ticket-key"], directory.path());
        let token = output(&["token"], directory.path());
        let binhost = format!(
            "listen = \"{binhost_address}\"\ndirectory = \"{}/binhost\"\nticket_key = \"{key}\"\n",
            directory.path().display()
        );
        std::fs::write(directory.path().join("binhost.toml"), binhost).unwrap();
        let admin = AdminClient::new(&format!("http://{orchestrator_address}"), token.clone());
        let mut swarm = Self {
            database,
            admin,
            orchestrator: None,
            binhost: None,
            redis: None,
            token,
            orchestrator_address,
            binhost_address,
            directory,
            _ports: ports,
        };
        swarm.start_redis().await;
        swarm.start_binhost().await;
        swarm.start_orchestrator().await;
        swarm
            .admin
            .create_target(&NewTarget { name: target(), world: vec![], provided: Provided::default() })
            .await
            .unwrap();
        swarm
    }

    /// The directory of the swarm's files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The binhost's directory.
    #[must_use]
    pub fn binhost_directory(&self) -> PathBuf {
        self.path().join("binhost")
    }

    /// The orchestrator's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.orchestrator_address)
    }

    /// The binhost's base URL.
    #[must_use]
    pub fn binhost_url(&self) -> String {
        format!("http://{}", self.binhost_address)
    }

    /// Starts the orchestrator and waits until it can serve.
    pub async fn start_orchestrator(&mut self) {
        let mut command = Command::new(binary("build-orchestrator"));
        command.arg("--config").arg(self.path().join("orchestrator.toml"));
        self.orchestrator = Some(Process::start(&mut command, &self.path().join("orchestrator.log")));
        answers(&format!("{}/readyz", self.url()), 60).await;
    }

    /// Starts another orchestrator on the same Postgres, Redis and binhost.
    pub async fn second_orchestrator(&self) -> Second {
        let port = Port::reserve(self.orchestrator_address.ip());
        let first = std::fs::read_to_string(self.path().join("orchestrator.toml")).unwrap();
        let config = self.path().join("second.toml");
        let listen = |address| format!("listen = \"{address}\"");
        std::fs::write(&config, first.replace(&listen(self.orchestrator_address), &listen(port.address)))
            .unwrap();
        let mut command = Command::new(binary("build-orchestrator"));
        command.arg("--config").arg(&config);
        let process = Process::start(&mut command, &self.path().join("second.log"));
        let url = format!("http://{}", port.address);
        answers(&format!("{url}/readyz"), 60).await;
        Second { admin: AdminClient::new(&url, self.token.clone()), url, process, _port: port }
    }

    /// Starts the binhost and waits until it can serve.
    pub async fn start_binhost(&mut self) {
        let mut command = Command::new(binary("build-binhost"));
        command.arg("serve").arg("--config").arg(self.path().join("binhost.toml"));
        self.binhost = Some(Process::start(&mut command, &self.path().join("binhost.log")));
        answers(&format!("{}/readyz", self.binhost_url()), 60).await;
    }

    /// Starts Redis and waits for its socket.
    pub async fn start_redis(&mut self) {
        let socket = self.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        self.redis = Some(Process::start(&mut command, &self.path().join("redis.log")));
        wait::until(30, "Redis to listen", async || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(())
        })
        .await;
    }

    /// Empties Redis, as somebody might by hand.
    pub async fn flush_redis(&self) {
        let _: () = redis::cmd("FLUSHALL").query_async(&mut self.redis_connection().await).await.unwrap();
    }

    /// A connection to the swarm's Redis.
    pub async fn redis_connection(&self) -> redis::aio::MultiplexedConnection {
        let url = format!("redis+unix://{}", self.path().join("redis.sock").display());
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// A join token for one drone.
    pub async fn join_token(&self) -> String {
        let new = NewJoinToken { trusted: true, ttl_seconds: 600, ..NewJoinToken::default() };
        self.admin.create_join_token(&new).await.unwrap().token
    }

    /// Begins a run of `plan` under `epoch`.
    pub async fn run(&self, epoch: Epoch, plan: Plan) -> RunId {
        self.admin.start_run(&target(), &NewRun { epoch: Some(epoch), plan: Some(plan) }).await.unwrap().id
    }

    /// Begins a run that a drone has to resolve.
    pub async fn unresolved_run(&self) -> RunId {
        self.admin.start_run(&target(), &NewRun { epoch: None, plan: None }).await.unwrap().id
    }

    /// Waits until the run stands in `state`.
    pub async fn run_reaches(&self, run: RunId, state: RunState, seconds: u64) -> Run {
        wait::until(seconds, &format!("run {run} to be {state}"), async || {
            let run = self.admin.run(run).await.ok()?;
            (run.state == state).then_some(run)
        })
        .await
    }

    /// The package with this cpv.
    pub async fn package(&self, run: RunId, cpv: &str) -> Package {
        let packages = self.admin.packages(run).await.unwrap();
        packages.into_iter().find(|package| package.cpv.to_string() == cpv).unwrap()
    }

    /// Waits until the package with this cpv stands in `state`.
    pub async fn package_reaches(&self, run: RunId, cpv: &str, state: PackageState) {
        wait::until(30, &format!("{cpv} to be {state}"), async || {
            (self.package(run, cpv).await.state == state).then_some(())
        })
        .await;
    }

    /// Shifts the one clock.
    pub async fn shift_clock(&self, by: Duration) {
        sqlx::query("UPDATE clock_shift SET shift = shift + make_interval(secs => $1)")
            .bind(by.as_secs_f64())
            .execute(&self.database.pool)
            .await
            .unwrap();
    }
}

/// What the orchestrator's command prints; its configuration is `orchestrator.toml` in the directory.
#[must_use]
pub fn output(arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(binary("build-orchestrator"))
        .args(arguments)
        .arg("--config")
        .arg(directory.join("orchestrator.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits until `url` answers with success.
pub async fn answers(url: &str, seconds: u64) {
    let client = reqwest::Client::new();
    wait::until(seconds, &format!("{url} to answer"), async || {
        let response = client.get(url).timeout(Duration::from_secs(2)).send().await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
}
