//! Around every request: its id, which goes into each log line of it, on to the binhost and back to the client; how long it
//! took.

use super::Shared;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use swarm_protocol::id::AttemptId;
use swarm_protocol::request_id::{HEADER, RequestId, on_behalf};
use tracing::field::{Empty, display};
use tracing::{Instrument, debug, info_span};

/// Of a request that no route is for.
const NOWHERE: &str = "none";

/// The middleware.
pub async fn trace(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers().get(HEADER).map(HeaderValue::as_bytes));
    let route = request.extensions().get::<MatchedPath>().map_or(NOWHERE, MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let span =
        info_span!("request", request.id = %id, http.method = method, http.route = route, attempt = Empty);
    if let Some(attempt) = attempt(&route, request.uri().path()) {
        span.record("attempt", display(attempt));
    }
    let mut response = async {
        let response = on_behalf(id.clone(), next.run(request)).await;
        debug!(http.status = response.status().as_u16(), http.elapsed = ?began.elapsed(), "answered");
        response
    }
    .instrument(span)
    .await;
    app.metrics.request(method, &route, response.status().as_u16(), began.elapsed());
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// The methods that routes know: a label must not have as many values as clients have ideas.
fn method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The attempt that a route's path names.
fn attempt(route: &str, path: &str) -> Option<AttemptId> {
    let place = route.split('/').position(|part| part == "{attempt}")?;
    path.split('/').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_found_in_its_path() {
        let route = "/api/v1/drone/attempts/{attempt}/log";
        assert_eq!(attempt(route, "/api/v1/drone/attempts/31/log"), Some(AttemptId(31)));
        assert_eq!(attempt(route, "/api/v1/drone/attempts/x/log"), None);
        assert_eq!(attempt("/api/v1/runs/{run}", "/api/v1/runs/7"), None);
    }

    #[test]
    fn methods_are_few() {
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
