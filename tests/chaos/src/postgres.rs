//! A Postgres of one world's own, since it will be killed.

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_tests::process::Process;
use swarm_tests::wait;

/// The server, while it runs, and its directory.
pub struct Postgres {
    directory: PathBuf,
    process: Option<Process>,
}

/// The directory of the newest server that Debian has installed.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Postgres is installed");
    let newest = versions.map(|entry| entry.unwrap().path()).max().expect("Postgres is installed");
    newest.join("bin")
}

/// As the account of Debian's package: Postgres refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--pdeathsig", "KILL"]);
    command.arg(program);
    command
}

/// Runs a command that must succeed.
fn ok(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Postgres {
    /// A running server in a new directory below `path`.
    pub async fn start(path: &Path) -> Self {
        let directory = path.join("postgres");
        std::fs::create_dir(&directory).unwrap();
        ok(Command::new("chown").arg("postgres").arg(&directory));
        let mut initdb = as_postgres(&binaries().join("initdb"));
        ok(initdb.args(["--no-sync", "-A", "trust", "-U", "swarm", "-D"]).arg(directory.join("data")));
        let mut postgres = Self { directory, process: None };
        postgres.resume().await;
        let mut connection = PgConnection::connect_with(&postgres.options("postgres")).await.unwrap();
        sqlx::query("CREATE DATABASE swarm").execute(&mut connection).await.unwrap();
        postgres
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new().socket(&self.directory).username("swarm").database(database)
    }

    /// As daemons are given it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://swarm@localhost/swarm?host={}", self.directory.display())
    }

    /// A pool of the harness's own.
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(4).connect_with(self.options("swarm")).await.unwrap()
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Ends it without a word to anybody: what is not in its log is lost.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::QUIT);
            process.ended(30).await;
        }
    }

    /// Starts it, again or for the first time, and waits until it answers.
    pub async fn resume(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = as_postgres(&binaries().join("postgres"));
        command.arg("-D").arg(self.directory.join("data")).arg("-k").arg(&self.directory);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        self.process = Some(Process::start(&mut command, &self.directory.join("log")));
        wait::until(60, "Postgres to answer", async || {
            PgConnection::connect_with(&self.options("postgres")).await.ok().map(drop)
        })
        .await;
    }
}
