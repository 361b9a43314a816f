//! The accept loop: bounded connections, `TCP_NODELAY`, bounded patience, a bounded drain at the end.
//!
//! hyper is driven directly since `axum::serve` bounds neither the header's time nor the number of connections.
//! Without `TCP_NODELAY`, the kernel holds back the last packet of a small answer until the one before is acknowledged:
//! 48 ms instead of 2.8 ms at the 99th percentile (STACK).

mod linger;
mod stall;
mod tls;

pub(crate) use tls::Tls;

use crate::http::{self, App, Begun, HandOver, Patience, Scheme};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use linger::Linger;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SocketFlags, accept_with};
use stall::StallGuard;
use std::future::poll_fn;
use std::io::{self, Cursor};
use std::net;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest request header; tickets are a few hundred bytes.
const HEADER_BYTES: usize = 32 << 10;
/// How long to wait after a failed accept; it fails for want of file descriptors, and those come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at the same time.
    pub(crate) connections: usize,
    /// For a request's header, and between two requests; for a TLS handshake.
    pub(crate) header: Duration,
    /// Without progress while we send.
    pub(crate) stall: Duration,
    /// For the running requests, when we stop.
    pub(crate) drain: Duration,
}

/// An address, and the TLS that is spoken there.
pub(crate) struct Port {
    /// A listening socket in tokio's type for connected ones: its own type for listeners makes each accepted socket known
    /// to epoll, which costs as much as a small answer.
    listener: TcpStream,
    tls: Option<Arc<Tls>>,
}

impl Port {
    pub(crate) fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let listener = listener.into_std()?;
        // What is accepted inherits it.
        set_tcp_nodelay(&listener, true)?;
        let listener = TcpStream::from_std(OwnedFd::from(listener).into())?;
        Ok(Self { listener, tls })
    }

    /// A connection that waits; its socket does not block, and is not yet known to epoll.
    fn poll(&self, context: &mut Context<'_>) -> Option<(io::Result<net::TcpStream>, Option<Arc<Tls>>)> {
        loop {
            let Poll::Ready(ready) = self.listener.poll_read_ready(context) else { return None };
            let accept = || {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                Ok(net::TcpStream::from(accept_with(&self.listener, flags)?))
            };
            match ready.and_then(|()| self.listener.try_io(Interest::READABLE, accept)) {
                // There is none, and the next look registers us.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Some((accepted, self.tls.clone())),
            }
        }
    }
}

/// What every connection shares.
struct Server {
    app: App,
    /// Of connections without TLS, and of those with it.
    plain: Router,
    secure: Router,
    bounds: Bounds,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    stop: CancellationToken,
}

/// Serves until `stop`, then lets the running requests end, as long as that is allowed to take.
pub(crate) async fn serve(ports: Vec<Port>, app: App, bounds: Bounds, stop: CancellationToken) {
    let server = Arc::new(Server {
        plain: http::router(app.clone(), Scheme("http")),
        secure: http::router(app.clone(), Scheme("https")),
        app,
        bounds,
        slots: Arc::new(Semaphore::new(bounds.connections)),
        connections: TaskTracker::new(),
        stop,
    });
    // A task of its own, so that it runs on a worker, and what it spawns begins there: from the thread that called
    // us, each connection would have to wake one.
    let accepting = tokio::spawn(Arc::clone(&server).accept_all(ports));
    // It ends by `stop`, and lets go of the addresses.
    let _ = accepting.await;
    server.connections.close();
    if timeout(bounds.drain, server.connections.wait()).await.is_err() {
        tracing::warn!(connections = server.connections.len(), "left the requests that did not end in time");
    }
}

impl Server {
    async fn accept_all(self: Arc<Self>, mut ports: Vec<Port>) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.accept(&ports) => accepted,
            };
            let Some((stream, tls, slot)) = accepted else { continue };
            // The next one to be looked at first is another address.
            ports.rotate_left(1);
            let begun = match tls {
                Some(_) => Begun::default(),
                None => match http::at_once(&self.app, &stream, self.keeps()) {
                    Some(begun) => begun,
                    None => continue,
                },
            };
            let server = Arc::clone(&self);
            self.connections.spawn(async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => server.connection(stream, begun, tls).await,
                    Err(error) => tracing::warn!(%error, "cannot wait for a connection"),
                }
                drop(slot);
            });
        }
    }

    /// Takes a slot first: while all are taken, clients wait in the kernel's queue. It is one for all addresses: a loop
    /// for each would sit on a slot for each.
    async fn accept(
        &self,
        ports: &[Port],
    ) -> Option<(net::TcpStream, Option<Arc<Tls>>, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        match poll_fn(|context| {
            ports.iter().find_map(|port| port.poll(context)).map_or(Poll::Pending, Poll::Ready)
        })
        .await
        {
            (Ok(stream), tls) => Some((stream, tls, slot)),
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    /// While others wait for a slot, none is held by a client that might ask something later.
    fn keeps(&self) -> bool {
        !self.stop.is_cancelled() && self.slots.available_permits() > 0
    }

    async fn connection(&self, stream: TcpStream, begun: Begun, tls: Option<Arc<Tls>>) {
        match tls {
            None => self.plain(stream, begun).await,
            Some(tls) => match timeout(self.bounds.header, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => Box::pin(self.hyper(stream, &self.secure)).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn plain(&self, stream: TcpStream, begun: Begun) {
        let Bounds { header, stall, .. } = self.bounds;
        let patience = Patience { header_bytes: HEADER_BYTES, header, stall };
        let rest =
            http::serve_directly(&self.app, stream, begun, patience, &self.stop, || self.keeps()).await;
        if let Some(HandOver(stream, read)) = rest {
            let (reader, writer) = stream.into_split();
            let stream = tokio::io::join(Cursor::new(read).chain(reader), writer);
            Box::pin(self.hyper(stream, &self.plain)).await;
        }
    }

    /// Boxed by its callers: most connections never come here, and should not pay for its size.
    async fn hyper(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: &Router) {
        let io = TokioIo::new(Linger::new(StallGuard::new(stream, self.bounds.stall)));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.bounds.header).max_header_size(HEADER_BYTES);
        let service = TowerToHyperService::new(router.clone());
        let mut connection = pin!(http.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}
