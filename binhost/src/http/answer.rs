//! Answers with bytes: documents from memory, artifacts from disk, with their validators and ranges.

use super::App;
use super::conditions::{self, Validators};
use super::failure::Failure;
use super::range::{self, Range};
use crate::artifact::Artifact;
use crate::clock::system_time;
use crate::error::Doing;
use crate::index::Document;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::response::Builder;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use std::convert::Infallible;
use std::io::SeekFrom;
use std::path::Path;
use swarm_protocol::Code;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// How much of a file is read at a time.
const CHUNK: usize = 256 << 10;

/// What the client asked for, besides the path.
pub(super) struct Asked {
    method: Method,
    headers: HeaderMap,
}

impl FromRequestParts<App> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

/// Whether an answer may be kept, and compared with what the client has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caching {
    /// By everybody, if they ask before they use it.
    Public,
    /// By the client that asked.
    Private,
    /// Not at all.
    Never,
}

impl Caching {
    fn header(self) -> &'static str {
        match self {
            Self::Public => "public, no-cache",
            Self::Private => "private, no-cache",
            Self::Never => "no-store",
        }
    }
}

/// Bytes from memory.
pub(super) fn document(
    document: &Document,
    kind: &'static str,
    modified: i64,
    asked: &Asked,
    caching: Caching,
) -> Response<Body> {
    let validators = Validators { etag: document.etag.clone(), modified };
    if caching != Caching::Never && conditions::not_modified(&asked.headers, &validators) {
        return finish(builder(StatusCode::NOT_MODIFIED, &validators, caching), Body::empty());
    }
    let builder = builder(StatusCode::OK, &validators, caching)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, document.bytes.len());
    finish(builder, Body::from(document.bytes.clone()))
}

/// An artifact's file, whole or in part.
pub(super) async fn artifact(
    path: &Path,
    artifact: &Artifact,
    asked: &Asked,
    caching: Caching,
) -> Result<Response<Body>, Failure> {
    let validators = Validators { etag: format!("\"{}\"", artifact.published), modified: artifact.mtime };
    if caching != Caching::Never && conditions::not_modified(&asked.headers, &validators) {
        return Ok(finish(builder(StatusCode::NOT_MODIFIED, &validators, caching), Body::empty()));
    }
    // A range of a HEAD means nothing (RFC 9110, 14.2).
    let range =
        if asked.method == Method::GET { conditions::range(&asked.headers, &validators) } else { None };
    let (status, first, length) = match range::select(range, artifact.size) {
        Range::Whole => (StatusCode::OK, 0, artifact.size),
        Range::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Range::Unsatisfiable => return Ok(unsatisfiable(artifact.size)),
    };
    let mut builder = builder(status, &validators, caching)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {first}-{}/{}", first + length - 1, artifact.size);
        builder = builder.header(header::CONTENT_RANGE, part);
    }
    let body = if asked.method == Method::GET { file(path, first, length).await? } else { Body::empty() };
    Ok(finish(builder, body))
}

async fn file(path: &Path, first: u64, length: u64) -> crate::error::Result<Body> {
    let mut file = File::open(path).await.doing("open", path)?;
    if first > 0 {
        file.seek(SeekFrom::Start(first)).await.doing("seek in", path)?;
    }
    Ok(Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK)))
}

fn builder(status: StatusCode, validators: &Validators, caching: Caching) -> Builder {
    let modified = httpdate::fmt_http_date(system_time(validators.modified));
    Response::builder()
        .status(status)
        .header(header::ETAG, &validators.etag)
        .header(header::LAST_MODIFIED, modified)
        .header(header::CACHE_CONTROL, caching.header())
}

fn unsatisfiable(size: u64) -> Response<Body> {
    use axum::response::IntoResponse;
    let mut response = Failure::new(Code::InvalidValue, "the range lies behind the end").into_response();
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = format!("bytes */{size}").try_into() {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn finish(builder: Builder, body: Body) -> Response<Body> {
    // Every header above is plain ASCII, so there is always a response.
    builder.body(body).unwrap_or_default()
}
