//! The daemon: its parts, its named tasks, its polite end (law 14).

use crate::api;
use crate::app::App;
use crate::config::Config;
use crate::embedded::Servers;
use crate::notify::{self, Notifier};
use crate::{dashboard, db, heartbeat, maintenance, planner, repair};
use anyhow::{Context, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::ticket::TicketSigner;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long requests in progress may take after the stop signal.
const DRAIN: Duration = Duration::from_secs(20);
/// How long the pool may take to close.
const CLOSE: Duration = Duration::from_secs(2);

/// Serves until a signal, or until a task fails. An orderly stop stops the private servers as well; a second signal
/// leaves them to the next start, as `kill -9` does.
pub async fn serve(config: &Config) -> Result<()> {
    let mut signals = Signals::new()?;
    let servers = Arc::new(Servers::open(config).await?);
    let started = tokio::select! {
        started = servers.start() => started.map(|()| true),
        () = signals.next() => Ok(false),
    };
    let outcome = match started {
        Ok(true) => serve_on(&servers, config, &mut signals).await,
        started => started.map(drop),
    };
    stop_servers(&servers, &mut signals).await;
    outcome
}

/// Everything but the private servers, from its start to its end.
async fn serve_on(servers: &Arc<Servers>, config: &Config, signals: &mut Signals) -> Result<()> {
    let database = db::connect(servers.database_url(), config.database.connections)
        .await
        .context("cannot connect to the database")?;
    db::MIGRATIONS.run(&database).await.context("cannot migrate the database")?;
    if db::home::arrive(&database).await? {
        warn!(
            "the database is not where it was: ids go on far behind those of the dump, and none is given twice"
        );
    }
    db::logs::rotate(&database, config.times.log_retention_days).await?;
    let (client, connection) = redis(servers.redis_url())?;
    let signer = TicketSigner::new(&ticket_key(&config.ticket_key_file)?);
    let stop = CancellationToken::new();
    let notifier = Notifier::new(&config.notify)?;
    let app = App::new(config, database, connection, signer, notifier, servers.state_dir(), stop.clone());
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    info!(address = %listener.local_addr()?, "the orchestrator is listening");

    let mut tasks = JoinSet::new();
    let shared = app.clone();
    tasks.spawn(async move {
        ("heartbeats", {
            let _: () = heartbeat::write_batches(&shared).await;
            Ok::<_, anyhow::Error>(())
        })
    });
    let shared = app.clone();
    tasks.spawn(async move {
        ("planner", {
            let _: () = planner::run(&shared).await;
            Ok(())
        })
    });
    let shared = app.clone();
    tasks.spawn(async move {
        ("maintenance", {
            let _: () = maintenance::run(&shared).await;
            Ok(())
        })
    });
    let shared = app.clone();
    tasks.spawn(async move {
        ("repairs", {
            let _: () = repair::run(&shared).await;
            Ok(())
        })
    });
    let shared = app.clone();
    tasks.spawn(async move {
        ("notifications", {
            let _: () = notify::run(&shared).await;
            Ok(())
        })
    });
    let (shared, stopped) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        ("wake-ups", {
            let _: () = shared.wake.listen(client, stopped).await;
            Ok(())
        })
    });
    let shared = app.clone();
    tasks.spawn(async move {
        ("dashboard", {
            let _: () = dashboard::run(&shared).await;
            Ok(())
        })
    });
    let (shared, watched) = (app.clone(), servers.clone());
    tasks.spawn(async move {
        ("private servers", {
            let _: () = watched.watch(&shared).await;
            Ok(())
        })
    });
    let (shared, dumped) = (app.clone(), servers.clone());
    tasks.spawn(async move {
        ("nightly dumps", {
            let _: () = dumped.dump_nightly(&shared).await;
            Ok(())
        })
    });
    let router = api::router(app.clone())?;
    let drained = stop.clone();
    tasks.spawn(async move {
        // Small answers must not wait for the peer's acknowledgement.
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            if let Err(error) = stream.set_nodelay(true) {
                warn!(%error, "TCP_NODELAY cannot be set");
            }
        });
        // The connections share one router. A bare one would be copied for each, all its routes, and thousands of
        // drones and viewers are connected.
        let router = router.into_make_service();
        let served = axum::serve(listener, router).with_graceful_shutdown(drained.cancelled_owned()).await;
        ("api", served.map_err(anyhow::Error::from))
    });
    let outcome = supervise(tasks, &stop, signals).await;
    // Whoever still holds a connection loses it by the servers' stop.
    let _ = tokio::time::timeout(CLOSE, app.db.close()).await;
    outcome
}

async fn stop_servers(servers: &Servers, signals: &mut Signals) {
    if signals.seen > 1 {
        return;
    }
    tokio::select! {
        biased;
        () = signals.next() => warn!("told to stop again: the private servers are left as they are"),
        () = servers.stop() => {}
    }
}

/// Waits for a signal or for the first task to end, then ends all of them in order.
async fn supervise(
    mut tasks: JoinSet<(&'static str, Result<()>)>,
    stop: &CancellationToken,
    signals: &mut Signals,
) -> Result<()> {
    let mut outcome = Ok(());
    tokio::select! {
        () = signals.next() => info!("told to stop"),
        Some(ended) = tasks.join_next() => {
            let (name, ended) = ended.context("a task panicked")?;
            outcome = Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the task {name} ended")));
        }
    }
    stop.cancel();
    let drained = async {
        while let Some(ended) = tasks.join_next().await {
            if let Ok((name, Err(error))) = ended {
                warn!(task = name, %error, "a task failed while stopping");
            }
        }
    };
    tokio::select! {
        () = drained => info!("stopped"),
        () = tokio::time::sleep(DRAIN) => warn!("requests took too long; stopping without them"),
        () = signals.next() => warn!("told to stop again: stopping now"),
    }
    outcome
}

/// The signals that mean stop, and how many of them came.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    seen: u32,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, seen: 0 })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.seen += 1;
    }
}

/// A Redis that does not answer at the start is tried again in the background: it only helps.
fn redis(url: &str) -> Result<(redis::Client, ConnectionManager)> {
    let client = redis::Client::open(url).context("redis.url")?;
    let options = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_millis(500)))
        .set_response_timeout(Some(Duration::from_millis(500)));
    let manager = ConnectionManager::new_lazy_with_config(client.clone(), options).context("redis.url")?;
    Ok((client, manager))
}

/// The key that signs tickets, made on first use.
pub fn ticket_key(file: &Path) -> Result<[u8; TicketSigner::SECRET_LENGTH]> {
    use std::io::{ErrorKind, Write};
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read(file) {
        Ok(key) => {
            key.try_into().map_err(|_| anyhow::anyhow!("{} does not hold a ticket key", file.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key =
                TicketSigner::generate_secret().map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
            // Whole or not at all: a half-written key would lock the binhost out.
            let temporary = file.with_extension("new");
            let mut open = std::fs::OpenOptions::new();
            let mut opened = open
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)
                .with_context(|| format!("cannot write {}", temporary.display()))?;
            opened.write_all(&key)?;
            opened.sync_all()?;
            std::fs::rename(&temporary, file)?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}
