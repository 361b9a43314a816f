//! The embedded default (DESIGN 3): where no URL is given, a private Postgres and a private Redis, from the system's
//! installed binaries, in the state directory, on unix sockets. The rest of the orchestrator sees their URLs.
//!
//! ```text
//! serve        locks the state directory, adopts what runs there or starts it, keeps it running, stops it in order
//! kill -9      leaves both running; the next start adopts them
//! subcommands  use what runs; where nothing does, they lock, start, work and stop again
//! ```
//!
//! | module | what |
//! |---|---|
//! | `place` | the state directory, and where the sockets are |
//! | `lock` | one orchestrator at a time |
//! | `account` | whom the servers run as |
//! | `binaries` | which installed version |
//! | `settings` | what the servers are told |
//! | `initdb`, `stale`, `postgres`, `redis` | making, starting and stopping |
//! | `dump`, `nightly` | the way to another version, and back from a disaster |
//! | `command` | what subcommands do with all that |

mod account;
mod binaries;
mod child;
mod command;
mod dump;
mod initdb;
mod lock;
mod nightly;
mod place;
mod postgres;
mod redis;
mod settings;
mod stale;

use crate::app::App;
use crate::config::{self, Config};
use anyhow::Result;
pub use command::{check, dump, restore, with_database};
use futures::future::OptionFuture;
use lock::Lock;
use place::Place;
use postgres::Postgres;
use redis::Redis;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;
use tracing::{error, info, warn};

/// Between two looks whether the servers live.
const WATCH: Duration = Duration::from_secs(2);

/// How a server was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It ran.
    Running,
    /// It had to be started.
    Started,
}

/// The two servers of one orchestrator: given by URL, or private and ours to run.
pub struct Servers {
    database_url: SecretString,
    redis_url: String,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    settings: config::Embedded,
    _lock: Option<Lock>,
}

impl Servers {
    /// Reads where the servers are, and locks the state directory if any of them is ours. Nothing is started yet.
    pub async fn open(config: &Config) -> Result<Self> {
        let settings = config.embedded.clone();
        let redis_url = config.redis.as_ref().map(|redis| redis.url.clone());
        let (database_url, redis_url) = match (config.database.resolve()?, redis_url) {
            (Some(database_url), Some(redis_url)) => {
                return Ok(Self {
                    database_url,
                    redis_url,
                    postgres: None,
                    redis: None,
                    settings,
                    _lock: None,
                });
            }
            urls => urls,
        };
        let place = Place::open(config)?;
        let lock = Lock::take(&place)?;
        initdb::clear(&place).await?;
        nightly::clear(&place.dumps())?;
        let postgres = private_postgres(config, &place);
        let redis = Redis { place };
        Ok(Self {
            postgres: database_url.is_none().then(|| postgres.clone()),
            redis: redis_url.is_none().then(|| redis.clone()),
            database_url: database_url.unwrap_or_else(|| postgres.url()),
            redis_url: redis_url.unwrap_or_else(|| redis.url()),
            settings,
            _lock: Some(lock),
        })
    }

    /// The database's URL.
    #[must_use]
    pub const fn database_url(&self) -> &SecretString {
        &self.database_url
    }

    /// Redis's URL, whether it serves yet or not.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// Where those that are ours keep what they keep; `None`: both are given.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        let postgres = self.postgres.as_ref().map(|postgres| &postgres.place);
        let place = postgres.or(self.redis.as_ref().map(|redis| &redis.place))?;
        Some(place.state.clone())
    }

    /// Adopts what runs, starts what does not.
    pub async fn start(&self) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            let found = postgres.ensure().await?;
            postgres.ensure_database().await?;
            info!(directory = %postgres.place.data().display(), ?found, "the private Postgres serves");
        }
        if let Some(redis) = &self.redis {
            // It only helps (law 1): the watch tries again.
            match redis.ensure().await {
                Ok(found) => info!(?found, "the private Redis serves"),
                Err(error) => warn!(error = format!("{error:#}"), "there is no private Redis"),
            }
        }
        Ok(())
    }

    /// Starts again what died, until the process stops.
    pub async fn watch(&self, app: &App) {
        let mut said = [false; 2];
        while app.pause(WATCH).await {
            let postgres = OptionFuture::from(self.postgres.as_ref().map(Postgres::ensure));
            let redis = OptionFuture::from(self.redis.as_ref().map(Redis::ensure));
            let (postgres, redis) = tokio::select! {
                () = app.stop.cancelled() => return,
                looked = async { tokio::join!(postgres, redis) } => looked,
            };
            report("Postgres", postgres, &mut said[0]);
            report("Redis", redis, &mut said[1]);
        }
    }

    /// Makes the nightly dumps, until the process stops.
    pub async fn dump_nightly(&self, app: &App) {
        match &self.postgres {
            Some(postgres) => nightly::run(app, postgres, &self.settings).await,
            None => app.stop.cancelled().await,
        }
    }

    /// Stops the servers in order.
    pub async fn stop(&self) {
        if let Some(redis) = &self.redis
            && let Err(error) = redis.stop().await
        {
            warn!(error = format!("{error:#}"), "the private Redis could not be stopped");
        }
        if let Some(postgres) = &self.postgres {
            stop(postgres).await;
        }
    }
}

async fn stop(postgres: &Postgres) {
    match postgres.stop().await {
        Ok(true) => info!("the private Postgres is stopped"),
        Ok(false) => {}
        Err(error) => warn!(error = format!("{error:#}"), "the private Postgres could not be stopped"),
    }
}

/// Says what a look found; a trouble that lasts is said once.
fn report(server: &str, looked: Option<Result<Found>>, said: &mut bool) {
    match looked {
        None => {}
        Some(Ok(Found::Running)) => *said = false,
        Some(Ok(Found::Started)) => {
            warn!(server, "a private server was gone and is started again");
            *said = false;
        }
        Some(Err(_)) if *said => {}
        Some(Err(error)) => {
            error!(server, error = format!("{error:#}"), "a private server is gone; it is tried again");
            *said = true;
        }
    }
}

fn private_postgres(config: &Config, place: &Place) -> Postgres {
    Postgres { place: place.clone(), connections: config.database.connections }
}
