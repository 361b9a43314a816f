//! The private Postgres: found running, or started; ended in order.
//!
//! `pg_ctl` starts it in a session of its own, so it outlives an orchestrator that was killed, and the next one adopts
//! it: whatever answers on the socket, in a directory that nobody else can enter, is ours.

use super::binaries::{self, Installed};
use super::child::{self, Log};
use super::place::Place;
use super::{Found, account, initdb, settings, stale};
use anyhow::{Context, Result, bail, ensure};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// How long a start may take, a recovery after a power cut included.
const START_LIMIT: Duration = Duration::from_mins(5);
/// How often a start is tried in a row. Right after a crash the former server's last children may be in the way.
const START_TRIES: u32 = 10;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an orderly stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The private Postgres.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    pub(super) place: Place,
    /// The connections of the orchestrator's pool.
    pub(super) connections: u32,
}

/// What the socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It serves.
    Up,
    /// It is starting, recovering or stopping.
    Busy,
    /// Nobody is there.
    Down,
}

impl Postgres {
    /// The URL of the orchestrator's database.
    pub(super) fn url(&self) -> SecretString {
        settings::url(&self.place.sockets, settings::DATABASE).into()
    }

    /// A connection to one of its databases.
    pub(super) async fn connect(&self, database: &str) -> sqlx::Result<PgConnection> {
        let url = settings::url(&self.place.sockets, database);
        let options = PgConnectOptions::from_str(&url)?.application_name("build-orchestrator");
        PgConnection::connect_with(&options).await
    }

    /// Asks whether it serves.
    pub(super) async fn answer(&self) -> Answer {
        let asked = async {
            let mut connection = self.connect("postgres").await?;
            sqlx::query("SELECT 1").execute(&mut connection).await?;
            connection.close().await
        };
        match timeout(PATIENCE, asked).await {
            // cannot_connect_now
            Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("57P03") => Answer::Busy,
            // A server that refuses us for another reason, such as too many connections, is there.
            Ok(Ok(()) | Err(sqlx::Error::Database(_))) => Answer::Up,
            Ok(Err(_)) => Answer::Down,
            Err(_) => Answer::Busy,
        }
    }

    /// Returns when it serves: at once, or after a start.
    pub(super) async fn ensure(&self) -> Result<Found> {
        self.place.make_sockets()?;
        let deadline = Instant::now() + START_LIMIT;
        let mut found = Found::Running;
        let mut failures = 0;
        loop {
            match self.answer().await {
                Answer::Up => break,
                Answer::Busy => {}
                Answer::Down => match self.start(&self.prepare().await?).await {
                    Ok(()) => found = Found::Started,
                    Err(_) if failures < START_TRIES => failures += 1,
                    Err(error) => return Err(error),
                },
            }
            ensure!(Instant::now() < deadline, "Postgres did not serve within {} s", START_LIMIT.as_secs());
            sleep(LOOK).await;
        }
        if binaries::made_by(&self.place.data())?.is_none() {
            bail!(
                "a Postgres serves on {}, but its cluster {} is gone: stop that Postgres first",
                self.place.sockets.display(),
                self.place.data().display()
            );
        }
        Ok(found)
    }

    /// Makes the orchestrator's database in a new cluster.
    pub(super) async fn ensure_database(&self) -> Result<()> {
        let mut connection = self.connect("postgres").await.context("the private Postgres")?;
        if !self.exists(&mut connection).await? {
            let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {}", settings::DATABASE));
            sqlx::query(create).execute(&mut connection).await?;
        }
        Ok(())
    }

    /// Whether the orchestrator's database is there.
    pub(super) async fn exists(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
        sqlx::query_scalar(query).bind(settings::DATABASE).fetch_one(connection).await
    }

    /// The programs that serve the cluster.
    pub(super) fn installed(&self) -> Result<Installed> {
        let data = self.place.data();
        Ok(binaries::choose(binaries::installed(), &data, binaries::made_by(&data)?)?)
    }

    /// The programs, and a cluster that is the servers' own.
    async fn prepare(&self) -> Result<Installed> {
        let installed = self.installed()?;
        let data = self.place.data();
        if binaries::made_by(&data)?.is_none() {
            initdb::make(&self.place, &installed).await?;
        }
        let (owner, expected) = (data.metadata()?.uid(), account::uid(&self.place));
        ensure!(
            owner == expected,
            "the cluster {} belongs to uid {owner}, but its server would run as uid {expected}: \
             set embedded.account, or chown it",
            data.display()
        );
        Ok(installed)
    }

    async fn start(&self, installed: &Installed) -> Result<()> {
        stale::clear(&self.place).context("cannot remove a lock file of Postgres")?;
        let log = Log::create(self.place.state.join("postgres.log"))?;
        let mut command = self.pg_ctl(installed, "start", START_LIMIT);
        command.arg("-o").arg(settings::options(&self.place, self.connections));
        log.take(&mut command)?;
        let status = command.status().await.context("pg_ctl cannot be started")?;
        ensure!(status.success(), "the private Postgres does not start: {}", log.tail());
        Ok(())
    }

    /// Stops it in order: sessions end, a checkpoint is written. `false`: it did not run.
    pub(super) async fn stop(&self) -> Result<bool> {
        if !self.place.data().join("postmaster.pid").exists() {
            return Ok(false);
        }
        let mut command = self.pg_ctl(&self.installed()?, "stop", STOP_LIMIT);
        command.args(["-m", "fast"]).stdout(Stdio::null());
        child::run(&mut command, "pg_ctl stop", STOP_LIMIT + PATIENCE).await?;
        Ok(true)
    }

    fn pg_ctl(&self, installed: &Installed, act: &str, limit: Duration) -> Command {
        let mut command = child::command(&installed.bin.join("pg_ctl"), &self.place);
        command.arg(act).arg("-D").arg(self.place.data()).args(["-w", "-t", &limit.as_secs().to_string()]);
        command
    }
}
