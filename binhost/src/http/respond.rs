//! Sends an [`Answer`] through axum: on connections under TLS, and in the views that need a ticket.

use super::answer::{Answer, Content};
use super::failure::Failure;
use super::scatter::Scatter;
use crate::blobs::Blobs;
use crate::error::{Doing, Result};
use axum::body::Body;
use axum::http::{HeaderValue, Response};
use std::io::SeekFrom;
use std::path::Path;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// How much of a file is read at a time.
pub(super) const CHUNK: usize = 256 << 10;

pub(super) async fn respond(answer: Answer, blobs: &Blobs) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    answer.headers(|name, value| {
        // They are plain ASCII, all of them.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(name, value);
        }
    });
    *response.body_mut() = match answer.content {
        Content::Nothing => Body::empty(),
        Content::Open { pieces, .. } | Content::Memory(pieces) => Body::new(Scatter::of(pieces)),
        Content::Blob { digest, first, length } => file(&blobs.path(digest), first, length).await?,
    };
    Ok(response)
}

async fn file(path: &Path, first: u64, length: u64) -> Result<Body> {
    let mut file = File::open(path).await.doing("open", path)?;
    if first > 0 {
        file.seek(SeekFrom::Start(first)).await.doing("seek in", path)?;
    }
    Ok(Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK)))
}
