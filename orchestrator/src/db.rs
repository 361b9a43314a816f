//! Postgres: one file per table or per act. Every change of a machine's state goes through [`transition`].

pub mod alarms;
pub mod attempts;
pub mod blame;
pub mod claims;
pub mod definitions;
pub mod destinations;
pub mod disks;
pub mod drones;
pub mod events;
pub mod gates;
pub mod generations;
pub mod history;
pub mod home;
pub mod invariants;
pub mod listing;
pub mod logs;
pub mod nightlies;
pub mod overdue;
pub mod packages;
pub mod plan;
pub mod progress;
pub mod prune;
pub mod pulse;
pub mod receive;
pub mod record;
pub mod repairs;
pub mod republish;
pub mod resolutions;
pub mod retention;
pub mod rules;
pub mod runs;
pub mod sessions;
pub mod snapshot;
pub mod status;
pub mod stuck;
pub mod succession;
pub mod targets;
pub mod timeline;
pub mod tokens;
pub mod toolchain;
pub mod transition;
pub mod unbrought;
pub mod withdraw;
pub mod workstations;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgExecutor, PgPool};
use std::str::FromStr;
use std::time::Duration;

/// The schema's migrations, forward and back.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Connects; fails after a few seconds when nothing answers.
pub async fn connect(url: &SecretString, connections: u32) -> sqlx::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.expose_secret())?.application_name("build-orchestrator");
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
}

/// The time by the one clock (law 5).
pub async fn now(db: impl PgExecutor<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT swarm_now() AS "now!""#).fetch_one(db).await
}

/// How often a transaction is tried again that Postgres ended to resolve a deadlock.
const TRIES: usize = 5;

/// True for errors after which the same transaction may succeed at once: a deadlock, a serialization failure.
#[must_use]
pub fn is_retryable(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "40P01" || code == "40001")
}

/// Runs `transaction`, again when Postgres chose it as a deadlock's victim.
pub async fn retrying<T, E, F>(mut transaction: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: RetryableError,
{
    let mut tries = 1;
    loop {
        match transaction().await {
            Err(error) if tries < TRIES && error.is_retryable() => tries += 1,
            outcome => return outcome,
        }
    }
}

/// An error that may come from Postgres.
pub trait RetryableError {
    /// See [`is_retryable`].
    fn is_retryable(&self) -> bool;
}

impl RetryableError for sqlx::Error {
    fn is_retryable(&self) -> bool {
        is_retryable(self)
    }
}
