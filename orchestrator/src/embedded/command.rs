//! What subcommands do with the private servers: they use those that run. Where none does, they lock the state directory,
//! start Postgres, work, and stop it again.

use super::account::Account;
use super::lock::{Lock, LockError};
use super::place::Place;
use super::postgres::{Answer, Postgres};
use super::settings::DATABASE;
use super::{Found, binaries, initdb, nightly, private_postgres, redis, stop};
use crate::config::Config;
use crate::db;
use anyhow::{Context, Result, ensure};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a subcommand waits for the servers of a daemon that is just starting.
const BORROW_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks.
const BORROW_LOOK: Duration = Duration::from_millis(200);

/// What `--check-config` can say without starting anything: an error, or what will work less well.
pub fn check(config: &Config) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if config.database.resolve()?.is_none() {
        let data = if config.state_dir.exists() {
            Place::existing(config)?.data()
        } else {
            if rustix::process::geteuid().is_root() {
                Account::named(&config.embedded.account)?;
            }
            config.state_dir.join("postgres")
        };
        binaries::choose(binaries::installed(), &data, binaries::made_by(&data)?)?;
    }
    if config.redis.is_none() && binaries::program(redis::PROGRAM).is_none() {
        warnings.push(redis::MISSING.to_owned());
    }
    Ok(warnings)
}

/// Runs `act` with the database's URL, wherever that database is. A private Postgres that does not run is started for
/// it and stopped again.
pub async fn with_database<T>(
    config: &Config,
    act: impl AsyncFnOnce(SecretString) -> Result<T>,
) -> Result<T> {
    if let Some(url) = config.database.resolve()? {
        return act(url).await;
    }
    with_postgres(config, async |postgres| {
        postgres.ensure_database().await?;
        act(postgres.url()).await
    })
    .await
}

/// Runs `act` with the private Postgres: the one that runs, or one started for this.
async fn with_postgres<T>(config: &Config, act: impl AsyncFnOnce(&Postgres) -> Result<T>) -> Result<T> {
    let place = Place::open(config)?;
    let postgres = private_postgres(config, &place);
    let looked = async {
        loop {
            if place.has_sockets()? && postgres.answer().await == Answer::Up {
                return Ok(None);
            }
            match Lock::take(&place) {
                Ok(lock) => return Ok(Some(lock)),
                // Its holder is starting the server, or has just stopped it.
                Err(LockError::Held { .. }) => tokio::time::sleep(BORROW_LOOK).await,
                Err(LockError::Other(error)) => return Err(error),
            }
        }
    };
    let looked = tokio::time::timeout(BORROW_LIMIT, looked).await;
    match looked.context("another build-orchestrator runs, but its Postgres does not serve")?? {
        None => act(&postgres).await,
        Some(lock) => borrow(&lock, &postgres, act).await,
    }
}

/// Runs `act` with the private Postgres of a state directory that we have locked, and leaves that as it was found.
async fn borrow<T>(
    _: &Lock,
    postgres: &Postgres,
    act: impl AsyncFnOnce(&Postgres) -> Result<T>,
) -> Result<T> {
    initdb::clear(&postgres.place).await?;
    let found = postgres.ensure().await?;
    let outcome = act(postgres).await;
    if found == Found::Started {
        stop(postgres).await;
    }
    outcome
}

/// `build-orchestrator dump`: writes a dump to `file`, or beside the nightly ones. Returns its name.
pub async fn dump(config: &Config, file: Option<PathBuf>) -> Result<PathBuf> {
    only_private(config, "pg_dump")?;
    with_postgres(config, async |postgres| {
        let file = match file {
            Some(file) => file,
            None => nightly::file(&postgres.place, db::now(&mut postgres.connect(DATABASE).await?).await?)?,
        };
        postgres.dump(&file).await?;
        Ok(file)
    })
    .await
}

/// `build-orchestrator restore`: puts the dump's data in place of the database. The daemon must not run.
pub async fn restore(config: &Config, file: &Path, replace: bool) -> Result<()> {
    only_private(config, "pg_restore")?;
    let place = Place::open(config)?;
    let lock = Lock::take(&place).context("a restore needs the state directory for itself")?;
    let postgres = private_postgres(config, &place);
    borrow(&lock, &postgres, async |postgres| postgres.restore(file, replace).await).await
}

fn only_private(config: &Config, program: &str) -> Result<()> {
    ensure!(
        config.database.resolve()?.is_none(),
        "this is for the private Postgres; use {program} for a database given by its URL"
    );
    Ok(())
}
