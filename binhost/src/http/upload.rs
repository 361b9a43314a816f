//! `PUT /api/v1/uploads/{blake3}`: a file comes in, hashed as it is written, in constant memory.

use super::body::Pieces;
use super::failure::Failure;
use super::params::{self, Params};
use super::tickets::Bearer;
use super::{App, blocking};
use crate::blobs::Upload;
use crate::error::Result as StoreResult;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use swarm_protocol::Digest;
use tokio::task::JoinHandle;

/// Pieces are gathered to this size before a thread that may block takes them.
const BATCH: usize = 1 << 20;

pub(super) async fn upload(
    bearer: Bearer,
    State(app): State<App>,
    Params(digest): Params<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let allowed = bearer.upload()?.min(app.limits.upload_bytes);
    let digest: Digest = params::parse("digest", &digest)?;
    let pieces = Pieces::new(body, &headers, allowed, app.limits.stall_time())?;
    let store = Arc::clone(&app.store);
    if blocking(move || store.blobs.touch(digest, &store.blobs.hold())).await? {
        pieces.skip().await?;
        return Ok(StatusCode::OK);
    }
    let bytes = receive(&app, digest, pieces).await?;
    tracing::info!(artifact.digest = %digest, artifact.bytes = bytes, "uploaded");
    Ok(StatusCode::CREATED)
}

/// Takes bytes to their address.
pub(super) async fn receive(app: &App, digest: Digest, pieces: Pieces) -> Result<u64, Failure> {
    let (begin, end) = (Arc::clone(&app.store), Arc::clone(&app.store));
    let finish = move |upload: Upload| upload.verified()?.finish(&end.blobs.hold());
    take(pieces, move || begin.blobs.upload(digest), Upload::write, finish).await
}

/// Brings a body into what `begin` makes, in constant memory; says how many bytes it had.
pub(super) async fn take<T: Send + 'static>(
    mut pieces: Pieces,
    begin: impl FnOnce() -> StoreResult<T> + Send + 'static,
    write: fn(&mut T, &[u8]) -> StoreResult<()>,
    finish: impl FnOnce(T) -> StoreResult<()> + Send + 'static,
) -> Result<u64, Failure> {
    let mut writer = Writer { running: tokio::task::spawn_blocking(begin), write };
    let mut bytes = 0;
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(piece) = pieces.next().await? {
        bytes += piece.len() as u64;
        batch.extend_from_slice(&piece);
        if batch.len() >= BATCH {
            writer.write(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await?;
        }
    }
    writer.write(batch).await?;
    let whole = writer.ready().await?;
    blocking(move || finish(whole)).await?;
    Ok(bytes)
}

/// Hands batches to the upload, one at a time: while one is hashed and written, the next is received. When the client
/// goes away, this is dropped, and with it, after the batch in work, the upload and its temporary file.
struct Writer<T> {
    running: JoinHandle<StoreResult<T>>,
    write: fn(&mut T, &[u8]) -> StoreResult<()>,
}

impl<T: Send + 'static> Writer<T> {
    async fn ready(&mut self) -> StoreResult<T> {
        match (&mut self.running).await {
            Ok(upload) => upload,
            Err(error) => Err(crate::error::Error::Damaged(format!("an upload's task did not end: {error}"))),
        }
    }

    async fn write(&mut self, batch: Vec<u8>) -> StoreResult<()> {
        let (mut upload, write) = (self.ready().await?, self.write);
        self.running = tokio::task::spawn_blocking(move || write(&mut upload, &batch).map(|()| upload));
        Ok(())
    }
}
