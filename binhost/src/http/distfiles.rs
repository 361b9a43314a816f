//! `PUT` and `GET /api/v1/distfiles/{blake2b}`: the source archives that drones share. Never public.

use super::body::Pieces;
use super::failure::Failure;
use super::params::{self, Params};
use super::respond::CHUNK;
use super::tickets::Bearer;
use super::upload;
use super::{App, blocking};
use crate::distfiles::Incoming;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use swarm_protocol::distfile::Blake2b;
use tokio_util::io::ReaderStream;

/// `PUT /api/v1/distfiles/{blake2b}`
pub(super) async fn upload(
    bearer: Bearer,
    State(app): State<App>,
    Params(distfile): Params<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let digest: Blake2b = params::parse("distfile", &distfile)?;
    // One that is larger than the room for all of them would drive them all out, and then itself.
    let room = app.limits.upload_bytes.min(app.retention.distfile_bytes);
    let pieces = Pieces::new(body, &headers, bearer.send_distfile()?.min(room), app.limits.stall_time())?;
    let (store, now) = (Arc::clone(&app.store), app.clock.now());
    if blocking(move || store.distfiles.is_whole(digest, now)).await? {
        pieces.skip().await?;
        return Ok(StatusCode::OK);
    }
    let (begin, end, retention) = (Arc::clone(&app.store), Arc::clone(&app.store), app.retention);
    let bytes = upload::take(
        pieces,
        move || begin.distfiles.receive(digest),
        Incoming::write,
        move |incoming| end.distfiles.keep(incoming, retention, now),
    )
    .await?;
    tracing::info!(distfile.digest = %digest, distfile.bytes = bytes, "a source archive was uploaded");
    Ok(StatusCode::CREATED)
}

/// `GET /api/v1/distfiles/{blake2b}`
pub(super) async fn read(
    bearer: Bearer,
    State(app): State<App>,
    Params(distfile): Params<String>,
) -> Result<Response, Failure> {
    let digest: Blake2b = params::parse("distfile", &distfile)?;
    bearer.read_distfiles()?;
    let (file, size) = blocking(move || app.store.distfiles.read(digest, app.clock.now())).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_LENGTH, &size.to_string()),
    ];
    let file = tokio::fs::File::from_std(file);
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, CHUNK))).into_response())
}
