//! The daemon put together: the store opened, the address bound, requests served until told to stop.

use crate::access::Access;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::App;
use crate::server::{self, Port, Tls};
use crate::signing::{self, Keyring};
use crate::store::Store;
use crate::upkeep::Upkeep;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A binhost that holds its directory and its address.
pub struct Daemon {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    ports: Vec<Port>,
    app: App,
    bounds: server::Bounds,
    upkeep: Arc<Upkeep>,
    /// The keys to be watched, and the clock to do it by.
    keyring: Option<Keyring>,
    clock: Arc<dyn Clock>,
}

/// Opens the store and binds the address; nothing is answered before [`Daemon::run`].
pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Daemon> {
    let directory = config.directory.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(&directory)).await?;
    let store = store.with_context(|| format!("cannot open the store in {}", config.directory.display()))?;
    let keyring = config.signing.enabled.then(|| Keyring::of(&config.directory));
    if let Some(keyring) = &keyring {
        keyring.open(clock.now()).context("cannot sign packages")?;
    }
    let listener = bind(config.listen).await?;
    let address = listener.local_addr()?;
    let mut ports = vec![Port::new(listener, None)?];
    let mut tls_address = None;
    if let Some(tls) = &config.tls {
        let listener = bind(tls.listen).await?;
        tls_address = Some(listener.local_addr()?);
        ports.push(Port::new(listener, Some(Arc::new(Tls::open(&tls.certificate, &tls.key)?)))?);
    }
    let access = config.access.map(|access| Access::open(&access.readers)).transpose()?.map(Arc::new);
    let bounds = server::Bounds {
        connections: config.limits.connections,
        header: config.limits.header_time(),
        stall: config.limits.stall_time(),
        drain: config.limits.drain_time(),
    };
    let store = Arc::new(store);
    let upkeep =
        Arc::new(Upkeep::open(Arc::clone(&store), Arc::clone(&clock), config.retention, config.upkeep)?);
    let app = App {
        store,
        keyring: keyring.clone(),
        public_url: config.public_url,
        tickets: config.ticket_key,
        clock: Arc::clone(&clock),
        limits: config.limits,
        retention: config.retention,
        upkeep: Arc::clone(&upkeep),
        access,
        files: Arc::default(),
    };
    Ok(Daemon { address, tls_address, ports, app, bounds, upkeep, keyring, clock })
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

impl Daemon {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Serves until `stop` is cancelled and the running requests have ended.
    pub async fn run(self, stop: CancellationToken) {
        if let Some(keyring) = self.keyring {
            tokio::spawn(signing::watch(keyring, self.clock, stop.clone()));
        }
        let collecting = tokio::spawn(Arc::clone(&self.upkeep).collect(stop.clone()));
        let scrubbing = tokio::spawn(self.upkeep.scrub(stop.clone()));
        server::serve(self.ports, self.app, self.bounds, stop).await;
        // Both end at the token; a collection that has begun is finished. What goes wrong is logged where it does.
        let _ = tokio::join!(collecting, scrubbing);
    }
}
