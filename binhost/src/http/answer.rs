//! What is answered to a reader, decided before a byte is sent: status, headers, and which bytes. Pure.
//!
//! Two shells send it: [`super::respond`] through axum, and [`super::direct`] on the bare connection.

use super::App;
use super::conditions::{self, Validators, Verdict};
use super::failure::Failure;
use super::range::{self, Range};
use crate::artifact::Artifact;
use crate::clock::system_time;
use crate::index::Document;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use std::convert::Infallible;
use std::fs::File;
use std::sync::Arc;
use swarm_protocol::{Code, Digest};

/// What the client asked for, besides the path.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<App> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

/// Whether an answer may be kept, and compared with what the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What there is at a path.
pub(super) struct Resource<'a> {
    pub(super) validators: Validators,
    pub(super) kind: &'static str,
    pub(super) size: u64,
    pub(super) source: Source<'a>,
}

/// Where a resource's bytes are.
pub(super) enum Source<'a> {
    /// In memory.
    Memory(&'a Document),
    /// In memory, and in a file that is open.
    Open(&'a Document, &'a Arc<File>),
    /// In the blob with this digest.
    Blob(Digest),
}

impl Resource<'_> {
    /// A published artifact.
    pub(super) fn of(artifact: &Artifact) -> Self {
        Self {
            validators: Validators { etag: format!("\"{}\"", artifact.published), modified: artifact.mtime },
            kind: "application/octet-stream",
            size: artifact.size,
            source: Source::Blob(artifact.published),
        }
    }
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    validators: Validators,
    caching: Caching,
    about: Option<About>,
    pub(super) content: Content,
}

/// What the headers say of the body, whether it is sent or not.
#[derive(Debug)]
struct About {
    kind: &'static str,
    first: u64,
    length: u64,
    size: u64,
}

/// The bytes to send.
#[derive(Debug)]
pub(super) enum Content {
    /// None: what was asked is a HEAD, or not modified.
    Nothing,
    /// These.
    Memory(Vec<Bytes>),
    /// These, and where they are in a file that the kernel can send.
    Open {
        /// The bytes.
        pieces: Vec<Bytes>,
        /// The same, from `first` on.
        file: Arc<File>,
        /// Where they begin.
        first: u64,
        /// How many.
        length: u64,
    },
    /// A part of a blob, or all of it.
    Blob {
        /// Which.
        digest: Digest,
        /// The first byte.
        first: u64,
        /// How many.
        length: u64,
    },
}

/// Answers with a resource, whole or in part.
pub(super) fn answer(resource: &Resource<'_>, asked: &Asked, caching: Caching) -> Result<Answer, Failure> {
    let &Resource { ref validators, kind, size, ref source } = resource;
    let answer =
        |status, about, content| Answer { status, validators: validators.clone(), caching, about, content };
    // What may not be kept is not compared either, nor put together from parts of different answers.
    let keeps = caching != Caching::Never;
    if keeps {
        match conditions::judge(&asked.headers, validators) {
            Verdict::Go => {}
            Verdict::NotModified => return Ok(answer(StatusCode::NOT_MODIFIED, None, Content::Nothing)),
            Verdict::Failed => {
                return Err(Failure::new(
                    Code::PreconditionFailed,
                    "there is another version than the one wanted",
                ));
            }
        }
    }
    let get = asked.method == Method::GET;
    // A range of a HEAD means nothing (RFC 9110, 14.2).
    let ranged = get && (keeps || matches!(source, Source::Blob(_)));
    let range = if ranged { conditions::range(&asked.headers, validators) } else { None };
    let (status, first, length) = match range::select(range, size) {
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Range::Unsatisfiable => return Err(unsatisfiable(size)),
    };
    let content = match source {
        _ if !get => Content::Nothing,
        Source::Memory(document) => Content::Memory(document.part(first, length)),
        Source::Open(document, file) => {
            Content::Open { pieces: document.part(first, length), file: Arc::clone(file), first, length }
        }
        Source::Blob(digest) => Content::Blob { digest: *digest, first, length },
    };
    Ok(answer(status, Some(About { kind, first, length, size }), content))
}

fn unsatisfiable(size: u64) -> Failure {
    let failure =
        Failure::new(Code::RangeNotSatisfiable, format!("there are {size} bytes, and none in that range"));
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(range) => failure.with(header::CONTENT_RANGE, range),
        Err(_) => failure,
    }
}

impl Answer {
    /// Says each header, in one order for all shells. `Date` and `Connection` are the connection's.
    pub(super) fn headers(&self, mut say: impl FnMut(HeaderName, &str)) {
        say(header::ETAG, &self.validators.etag);
        say(header::LAST_MODIFIED, &httpdate::fmt_http_date(system_time(self.validators.modified)));
        say(header::CACHE_CONTROL, self.caching.header());
        let Some(&About { kind, first, length, size }) = self.about.as_ref() else { return };
        say(header::CONTENT_TYPE, kind);
        say(header::ACCEPT_RANGES, "bytes");
        say(header::CONTENT_LENGTH, &length.to_string());
        if self.status == StatusCode::PARTIAL_CONTENT {
            say(header::CONTENT_RANGE, &format!("bytes {first}-{}/{size}", first + length - 1));
        }
    }
}
