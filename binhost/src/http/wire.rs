//! HTTP/1.1 as bytes: reading the plain questions that workstations ask, writing the head of an answer. Pure.
//!
//! Only what is asked a million times is understood: GET and HEAD of `/binhost/…`, without a body, without anything
//! that would need a protocol's finer points. Everything else is foreign, and hyper's.

use super::answer::{Answer, Asked};
use crate::clock::system_time;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// More header lines than any client of ours sends.
const LINES: usize = 32;

/// What the first bytes of a connection, or of what follows on it, turn out to be.
pub(super) enum Parsed<'b> {
    /// The beginning of something.
    Unfinished,
    /// For hyper to answer, or to refuse.
    Foreign,
    /// One of ours.
    Question(Question<'b>),
}

/// A GET or HEAD of something public.
pub(super) struct Question<'b> {
    pub(super) target: &'b str,
    pub(super) path: &'b str,
    pub(super) asked: Asked,
    /// The client wants no further answer on this connection.
    pub(super) last: bool,
    /// How many bytes it takes up.
    pub(super) length: usize,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            question(&request, length).map_or(Parsed::Foreign, Parsed::Question)
        }
        Ok(httparse::Status::Partial) => Parsed::Unfinished,
        Err(_) => Parsed::Foreign,
    }
}

fn question<'b>(request: &httparse::Request<'_, 'b>, length: usize) -> Option<Question<'b>> {
    let method = match request.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    let path = request.path?;
    // A path that needs decoding names nothing that we serve, or names it in a way that only a router should judge.
    let (target, path) =
        path.strip_prefix("/binhost/")?.split_once('/').filter(|_| !path.contains(['%', '?', '#']))?;
    let mut asked = Asked { method, headers: HeaderMap::new() };
    // The default of HTTP/1.1 is to go on; 1.0 is hyper's.
    let mut last = false;
    (request.version? == 1).then_some(())?;
    for line in request.headers.iter() {
        match known(line.name) {
            Known::Wanted(name) => {
                asked.headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
            }
            Known::Connection if line.value.eq_ignore_ascii_case(b"close") => last = true,
            Known::Connection if line.value.eq_ignore_ascii_case(b"keep-alive") => {}
            Known::Connection | Known::Foreign => return None,
            Known::Indifferent => {}
        }
    }
    Some(Question { target, path, asked, last, length })
}

/// What a header line means to us.
enum Known {
    /// The answer depends on it.
    Wanted(HeaderName),
    Connection,
    /// A body, or another protocol: where a request ends is then not for us to say.
    Foreign,
    Indifferent,
}

fn known(name: &str) -> Known {
    const WANTED: [HeaderName; 7] = [
        header::AUTHORIZATION,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::RANGE,
    ];
    const FOREIGN: [HeaderName; 4] =
        [header::CONTENT_LENGTH, header::EXPECT, header::TRANSFER_ENCODING, header::UPGRADE];
    let same = |known: &&HeaderName| known.as_str().eq_ignore_ascii_case(name);
    if let Some(name) = WANTED.iter().find(same) {
        Known::Wanted(name.clone())
    } else if name.eq_ignore_ascii_case(header::CONNECTION.as_str()) {
        Known::Connection
    } else if FOREIGN.iter().any(|known| same(&known)) {
        Known::Foreign
    } else {
        Known::Indifferent
    }
}

/// The head of an answer, as it goes over the wire.
pub(super) fn head(answer: &Answer, last: bool, now: i64) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let mut line = |parts: [&str; 4]| parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
    line(["HTTP/1.1 ", answer.status.as_str(), " ", answer.status.canonical_reason().unwrap_or_default()]);
    answer.headers(|name, value| line(["\r\n", name.as_str(), ": ", value]));
    line([
        "\r\ndate: ",
        &httpdate::fmt_http_date(system_time(now)),
        if last { "\r\nconnection: close" } else { "" },
        "\r\n\r\n",
    ]);
    head
}
