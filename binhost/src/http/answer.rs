//! Answers with bytes: documents from memory, artifacts from disk, with their validators and ranges.

use super::App;
use super::conditions::{self, Validators};
use super::failure::Failure;
use super::range::{self, Range};
use super::scatter::Scatter;
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

/// Bytes from memory, whole or in part.
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
    match select(asked, &validators, document.length()) {
        Ok(part) => {
            let builder = partial(builder(part.status, &validators, caching), kind, part, document.length());
            let scatter = || Scatter::of(document.part(part.first, part.length));
            let body = if asked.method == Method::GET { Body::new(scatter()) } else { Body::empty() };
            finish(builder, body)
        }
        Err(unsatisfiable) => unsatisfiable,
    }
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
    let part = match select(asked, &validators, artifact.size) {
        Ok(part) => part,
        Err(unsatisfiable) => return Ok(unsatisfiable),
    };
    let builder = builder(part.status, &validators, caching);
    let builder = partial(builder, "application/octet-stream", part, artifact.size);
    let get = asked.method == Method::GET;
    let body = if get { file(path, part.first, part.length).await? } else { Body::empty() };
    Ok(finish(builder, body))
}

/// What of something is sent.
#[derive(Clone, Copy)]
struct Part {
    status: StatusCode,
    first: u64,
    length: u64,
}

/// What of `size` bytes is asked for, or the answer to a range that lies behind them.
#[expect(clippy::result_large_err, reason = "it is the answer, and is not passed on")]
fn select(asked: &Asked, validators: &Validators, size: u64) -> Result<Part, Response<Body>> {
    // A range of a HEAD means nothing (RFC 9110, 14.2).
    let range =
        if asked.method == Method::GET { conditions::range(&asked.headers, validators) } else { None };
    match range::select(range, size) {
        Range::Whole => Ok(Part { status: StatusCode::OK, first: 0, length: size }),
        Range::Part { first, last } => {
            Ok(Part { status: StatusCode::PARTIAL_CONTENT, first, length: last - first + 1 })
        }
        Range::Unsatisfiable => Err(unsatisfiable(size)),
    }
}

fn partial(builder: Builder, kind: &'static str, part: Part, size: u64) -> Builder {
    let Part { status, first, length } = part;
    let builder = builder
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length);
    if status != StatusCode::PARTIAL_CONTENT {
        return builder;
    }
    builder.header(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", first + length - 1))
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
