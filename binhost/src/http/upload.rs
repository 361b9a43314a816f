//! `PUT /api/v1/uploads/{blake3}`: a file comes in, hashed as it is written, in constant memory.

use super::body::Pieces;
use super::failure::Failure;
use super::params::{self, Params};
use super::tickets::Bearer;
use super::{App, blocking};
use crate::blobs::Upload;
use crate::error::Result as StoreResult;
use crate::store::Store;
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
pub(super) async fn receive(app: &App, digest: Digest, mut pieces: Pieces) -> Result<u64, Failure> {
    let store = Arc::clone(&app.store);
    let mut writer = Writer(tokio::task::spawn_blocking(move || store.blobs.upload(digest)));
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
    writer.finish(Arc::clone(&app.store)).await?;
    Ok(bytes)
}

/// Hands batches to the upload, one at a time: while one is hashed and written, the next is received. When the client
/// goes away, this is dropped, and with it, after the batch in work, the upload and its temporary file.
struct Writer(JoinHandle<StoreResult<Upload>>);

impl Writer {
    async fn ready(&mut self) -> StoreResult<Upload> {
        match (&mut self.0).await {
            Ok(upload) => upload,
            Err(error) => Err(crate::error::Error::Damaged(format!("an upload's task did not end: {error}"))),
        }
    }

    async fn write(&mut self, batch: Vec<u8>) -> StoreResult<()> {
        let mut upload = self.ready().await?;
        self.0 = tokio::task::spawn_blocking(move || upload.write(&batch).map(|()| upload));
        Ok(())
    }

    async fn finish(mut self, store: Arc<Store>) -> StoreResult<()> {
        let upload = self.ready().await?;
        blocking(move || upload.verified()?.finish(&store.blobs.hold())).await
    }
}
