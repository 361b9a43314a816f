//! The daemon put together: the store opened, the address bound, requests served until told to stop.

use crate::clock::Clock;
use crate::config::Config;
use crate::http::{self, App};
use crate::server;
use crate::store::Store;
use anyhow::{Context, Result};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A binhost that holds its directory and its address.
pub struct Daemon {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    bounds: server::Bounds,
}

/// Opens the store and binds the address; nothing is answered before [`Daemon::run`].
pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Daemon> {
    let directory = config.directory.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(&directory)).await?;
    let store = store.with_context(|| format!("cannot open the store in {}", config.directory.display()))?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let bounds = server::Bounds {
        connections: config.limits.connections,
        header: config.limits.header_time(),
        stall: config.limits.stall_time(),
    };
    let app = App { store: Arc::new(store), tickets: config.ticket_key, clock, limits: config.limits };
    Ok(Daemon { listener, address, router: http::router(app), bounds })
}

impl Daemon {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled and the running requests have ended.
    pub async fn run(self, stop: CancellationToken) {
        server::serve(self.listener, self.router, self.bounds, stop).await;
    }
}
