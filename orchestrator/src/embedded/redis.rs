//! The private Redis: without persistence, since nothing in it must outlive it. Found running, or started; it is asked
//! over its socket to end, so nobody needs its pid.

use super::Found;
use super::binaries;
use super::child::{self, Log};
use super::place::Place;
use super::settings::percent_encoded;
use anyhow::{Context, Result, bail, ensure};
use redis::{AsyncConnectionConfig, Client, RedisResult};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// The server.
pub(super) const PROGRAM: &str = "redis-server";
/// What it means that there is none.
pub(super) const MISSING: &str = "redis-server is not installed (Gentoo: dev-db/redis; Debian: redis-server): \
                                  drones will be woken by looking every few seconds";
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The private Redis.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    pub(super) place: Place,
}

impl Redis {
    fn socket(&self) -> PathBuf {
        self.place.sockets.join("redis.sock")
    }

    /// The URL by which the orchestrator reaches it.
    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", percent_encoded(&self.socket()))
    }

    /// Returns when it serves: at once, or after a start.
    pub(super) async fn ensure(&self) -> Result<Found> {
        self.place.make_sockets()?;
        match self.ask("PING").await {
            Ok(()) => return Ok(Found::Running),
            // A second one would take the socket away from a first that only hangs, and leave that behind.
            Err(error) if error.is_timeout() => bail!("the private Redis hangs"),
            Err(_) => {}
        }
        self.start().await?;
        Ok(Found::Started)
    }

    async fn start(&self) -> Result<()> {
        let program = binaries::program(PROGRAM).context(MISSING)?;
        let log = Log::create(self.place.state.join("redis.log"))?;
        let mut command = self.command(&program);
        log.take(&mut command)?;
        let mut child = command.spawn().context("redis-server cannot be started")?;
        self.started(&mut child).await.with_context(|| format!("redis-server says {:?}", log.tail()))
    }

    async fn started(&self, child: &mut Child) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while self.ask("PING").await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("the private Redis ended as it started ({status})");
            }
            ensure!(Instant::now() < deadline, "the private Redis does not answer");
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// It is not waited for: it goes on when this process ends.
    fn command(&self, program: &Path) -> Command {
        let mut command = child::command(program, &self.place);
        command
            .args(["--port", "0", "--unixsocketperm", "700", "--save", "", "--appendonly", "no"])
            // It holds locks of seconds; a warning in the log is worth more than its chatter.
            .args(["--maxmemory", "64mb", "--loglevel", "warning"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(&self.place.sockets);
        command
    }

    /// Ends it, if it runs, and waits for its end.
    pub(super) async fn stop(&self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        // It answers by closing the connection.
        let _ = self.ask("SHUTDOWN").await;
        while std::os::unix::net::UnixStream::connect(self.socket()).is_ok() {
            ensure!(Instant::now() < deadline, "the private Redis does not end");
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn ask(&self, command: &str) -> RedisResult<()> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd(command).exec_async(&mut connection).await
    }
}
