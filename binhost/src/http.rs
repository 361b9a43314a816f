//! The HTTP interface.
//!
//! | call | who |
//! |---|---|
//! | `PUT /api/v1/uploads/{blake3}` | an attempt's ticket |
//! | `POST /api/v1/targets/{target}/runs/{run}/stage` | the control ticket |
//! | `PUT …/runs/{run}/inherited`, `DELETE …/runs/{run}` | the control ticket |
//! | `PUT /api/v1/targets/{target}/generations/{number}`, `POST …/missing` | the control ticket |
//! | `POST /api/v1/targets/{target}/promote`, `GET …/current` | the control ticket |
//! | `GET /api/v1/client`: what clients are set up with | the control ticket |
//! | `GET …/generations`, `PUT` and `DELETE …/generations/{number}/pin`, `GET …/diff` | the control ticket |
//! | `PUT`, `GET /api/v1/bundles/{blake3}` | a ticket for that bundle, or control |
//! | `POST /api/v1/bundles/missing`, `POST …/retain` | the control ticket |
//! | `PUT`, `GET /api/v1/distfiles/{blake2b}` | a ticket for source archives |
//! | `GET /staging/{target}/{run}/{path}` | a ticket of an attempt of that run, or control; never 304 |
//! | `GET /generations/{target}/{number}/{path}` | a ticket of that generation, or control: the gate, before anybody else sees it |
//! | `GET /binhost/{target}/{path}` | everybody, or the readers of that target: what workstations install from |
//! | `GET /binhost/{target}/key.asc`, `GET /binhost/{target}/binrepos.conf` | likewise: what a client is set up with |
//! | `GET /healthz`, `GET /readyz` | everybody |
//!
//! Every error is a problem+json, those of routing included. HEAD works wherever GET does.

mod answer;
mod body;
mod bundles;
mod client;
mod conditions;
mod control;
mod direct;
mod distfiles;
mod failure;
mod params;
mod range;
mod readers;
mod respond;
mod scatter;
mod tickets;
mod upload;
mod views;
mod wire;

pub(crate) use direct::{Begun, HandOver, Patience, at_once, serve as serve_directly};

use crate::access::Access;
use crate::clock::Clock;
use crate::config::{Limits, PublicUrl, Retention};
use crate::error::{Error, Result};
use crate::files::OpenFiles;
use crate::room;
use crate::signing::{self, Keyring};
use crate::store::Store;
use crate::upkeep::Upkeep;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use failure::Failure;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;
use swarm_protocol::Code;
use swarm_protocol::binhost::Ready;
use swarm_protocol::request_id::{self, RequestId};
use swarm_protocol::ticket::TicketVerifier;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use tracing::field::Empty;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    /// Where packages are signed.
    pub(crate) keyring: Option<Keyring>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) tickets: TicketVerifier,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) upkeep: Arc<Upkeep>,
    /// Who may read; none is everybody.
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) files: Arc<OpenFiles>,
}

/// How a client came here: the first part of the URL that it would use again.
#[derive(Clone, Copy)]
pub(crate) struct Scheme(pub(crate) &'static str);

/// All routes.
pub(crate) fn router(app: App, scheme: Scheme) -> Router {
    let target = Router::new()
        .route("/runs/{run}/stage", post(control::stage))
        .route("/runs/{run}/inherited", put(control::inherit))
        .route("/runs/{run}", delete(control::drop_run))
        .route("/missing", post(control::missing))
        .route("/generations", get(control::kept))
        .route("/generations/{number}", put(control::prepare))
        .route("/generations/{number}/pin", put(control::pin).delete(control::unpin))
        .route("/diff", get(control::diff))
        .route("/promote", post(control::promote))
        .route("/current", get(control::current));
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/api/v1/uploads/{digest}", put(upload::upload))
        .route("/api/v1/bundles/{digest}", put(bundles::upload).get(bundles::read))
        .route("/api/v1/bundles/missing", post(bundles::missing))
        .route("/api/v1/bundles/retain", post(bundles::retain))
        .route("/api/v1/distfiles/{blake2b}", put(distfiles::upload).get(distfiles::read))
        .route("/api/v1/client", get(client::side))
        .nest("/api/v1/targets/{target}", target)
        .route("/staging/{target}/{run}/{*path}", get(views::staging))
        .route("/generations/{target}/{number}/{*path}", get(views::generation))
        .route("/binhost/{target}/key.asc", get(client::key))
        .route("/binhost/{target}/binrepos.conf", get(client::binrepos))
        .route("/binhost/{target}/{*path}", get(views::public))
        .fallback(|| async { Failure::new(Code::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log))
        .layer(Extension(scheme))
        .with_state(app)
}

/// 200 when writes can be taken; what works less well, or will not for long, is named (law 12).
async fn ready(State(app): State<App>) -> Result<Json<Ready>, Failure> {
    let mut degraded = app.upkeep.degraded();
    let looked = blocking(move || {
        app.store.check_able()?;
        let now = app.clock.now();
        let keys = app.keyring.map(|keyring| signing::warnings(&keyring, now)).transpose()?;
        let free = room::free(app.store.root())?;
        let low = room::low(free, app.limits.disk_low_bytes);
        Ok((keys.into_iter().flatten().chain(low).collect::<Vec<_>>(), free))
    });
    let (warnings, disk_free_bytes) = looked.await?;
    degraded.extend(warnings);
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    Ok(Json(Ready { status: status.to_owned(), degraded, disk_free_bytes: Some(disk_free_bytes) }))
}

/// Gives each line of a request the request's id, and the swarm's own clients as well. One line says that it was answered,
/// for those who ask for it. Tickets travel in a header, so no line holds one.
async fn log(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = RequestId::of(request.headers().get(request_id::HEADER).map(HeaderValue::as_bytes));
    let (method, path) = (request.method().clone(), request.uri().path());
    // What clients read is answered without an id, by `direct` too: a proxy would hand one request's id to others.
    let is_public = path.starts_with("/binhost/");
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.path = path, attempt = Empty);
    let answered = async {
        let response = next.run(request).await;
        let (status, elapsed) = (response.status().as_u16(), start.elapsed());
        tracing::debug!(http.status = status, http.elapsed = ?elapsed, "answered");
        response
    };
    let mut response = answered.instrument(span).await;
    if !is_public && let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    response
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request ended in a panic");
    Failure::new(Code::Internal, "a defect; the binhost's log has more").into_response()
}

/// Runs file system work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    // What it logs belongs to the request.
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(done) => done,
        Err(error) => Err(Error::Damaged(format!("a task did not end: {error}"))),
    }
}
