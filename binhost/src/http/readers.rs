//! Who reads: workstations, by the credentials in `access.readers` where there are such.

use super::App;
use super::answer::Caching;
use super::failure::Failure;
use crate::access::Denied;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use swarm_protocol::Code;

/// Judges a reader of `target`; and who may then keep the answer. A target that does not exist is judged like one that
/// does, so nobody learns which there are.
pub(super) fn check(app: &App, target: &str, headers: &HeaderMap) -> Result<Caching, Failure> {
    let Some(access) = &app.access else { return Ok(Caching::Public) };
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match access.check(target, authorization) {
        Ok(()) => Ok(Caching::Private),
        // wget sends nothing before it was asked for it, and takes the scheme that it knows.
        Err(Denied::Unknown) => Err(Failure::no_ticket("a reader's name and token are needed")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"binhost\", charset=\"UTF-8\""))),
        Err(Denied::Elsewhere) => {
            Err(Failure::new(Code::Forbidden, "this reader may read other targets only"))
        }
    }
}
