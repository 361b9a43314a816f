//! Dump and restore, as `pg_dump` and `pg_restore` do it: the way to a new major version, and back from a disaster.
//!
//! A dump holds a snapshot as long as it takes, and dead rows stay that long. Claims do not mind: they take rows by id.
//! A restore goes into a database of its own, which takes the old one's place in one transaction.

use super::child;
use super::place::sync;
use super::postgres::Postgres;
use super::settings::{DATABASE, USER};
use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How a dump is called while it is being written.
pub(super) const UNFINISHED: &str = ".dump.";
/// How long either may take.
const LIMIT: Duration = Duration::from_hours(6);
/// The database that is being restored.
const INCOMING: &str = "swarm_incoming";
/// The database that is being replaced.
const OUTGOING: &str = "swarm_outgoing";

impl Postgres {
    /// Writes a dump to `file`, whole or not at all, for its owner only: it holds the hashes of all tokens.
    pub(super) async fn dump(&self, file: &Path) -> Result<()> {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(directory)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let mut command = self.program("pg_dump")?;
        command
            .args(["--format=custom", "--no-owner", "--dbname", DATABASE])
            // It must not stand in a queue of locks for long: others would queue behind it.
            .arg("--lock-wait-timeout=5000")
            .stdout(temporary.as_file().try_clone()?);
        child::run(&mut command, "pg_dump", LIMIT).await?;
        temporary.as_file().sync_all()?;
        let kept = temporary.persist_noclobber(file);
        kept.with_context(|| format!("cannot name the dump {}", file.display()))?;
        sync(directory)
    }

    /// Puts a dump's data in place of the orchestrator's database; one that is not empty only if `replace`.
    pub(super) async fn restore(&self, file: &Path, replace: bool) -> Result<()> {
        let dump = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(
            replace || self.is_empty().await?,
            "the database is not empty: restore with --replace throws away what it holds"
        );
        let mut admin = self.connect("postgres").await?;
        for leftover in [INCOMING, OUTGOING] {
            admin.execute(sql(format!("DROP DATABASE IF EXISTS {leftover}"))).await?;
        }
        admin.execute(sql(format!("CREATE DATABASE {INCOMING}"))).await?;
        let mut command = self.program("pg_restore")?;
        command
            .args(["--exit-on-error", "--single-transaction", "--no-owner", "--dbname", INCOMING])
            .stdin(dump)
            .stdout(Stdio::null());
        child::run(&mut command, "pg_restore", LIMIT).await?;
        let mut tx = admin.begin().await?;
        if self.exists(&mut tx).await? {
            tx.execute(sql(format!("ALTER DATABASE {DATABASE} RENAME TO {OUTGOING}"))).await?;
        }
        tx.execute(sql(format!("ALTER DATABASE {INCOMING} RENAME TO {DATABASE}"))).await?;
        tx.commit().await?;
        admin.execute(sql(format!("DROP DATABASE IF EXISTS {OUTGOING}"))).await?;
        Ok(())
    }

    /// True when the orchestrator's database is missing or has no tables.
    async fn is_empty(&self) -> Result<bool> {
        if !self.exists(&mut self.connect("postgres").await?).await? {
            return Ok(true);
        }
        let query = "SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public')";
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connect(DATABASE).await?).await?)
    }

    fn program(&self, name: &str) -> Result<Command> {
        let mut command = child::command(&self.installed()?.bin.join(name), &self.place);
        command.arg("--host").arg(&self.place.sockets).args(["--username", USER, "--no-password"]);
        Ok(command)
    }
}

/// Statements made of the constants above.
fn sql(statement: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(statement)
}
