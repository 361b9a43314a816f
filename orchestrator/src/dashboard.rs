//! The dashboard: what people see of the swarm in a browser, at `/`.
//!
//! It has no truths of its own. Pages read through the functions that the API's calls read through, and a form calls the
//! very handler of the API's call. All of it can be read without scripts; `assets/live.js` only renews what has changed
//! and follows logs.
//!
//! | room | what |
//! |---|---|
//! | [`visitor`], [`forms`], [`sign_in`] | who looks, who may act |
//! | [`page`], [`assets`], [`error`], [`extract`], [`words`] | what all pages share |
//! | [`overview`] with [`forecast`], [`runs`], [`timeline`], [`packages`], [`log`], [`drones`], [`generations`], [`health`], [`events`] | the pages |
//! | [`acts`] | what the forms do |
//! | [`live`] | one subscription to the event log for all viewers |
//!
//! **What comes from outside is text.** Names, reasons and logs are written by packages and drones; maud escapes them, and
//! nothing here hands it anything as markup. Should something slip through, the policy that every answer carries lets no
//! script run but our own file.

mod acts;
mod assets;
mod drones;
mod error;
mod events;
mod extract;
mod forecast;
mod forms;
mod generations;
mod health;
mod live;
mod log;
mod overview;
mod packages;
mod page;
mod runs;
mod sign_in;
mod timeline;
mod visitor;
mod words;

pub use live::{Feed, run};

use crate::api::Shared;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use error::PageError;

/// Its routes.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::show))
        .route("/runs/{run}/timeline", get(timeline::show))
        .route("/runs/{run}/thaw", post(acts::thaw))
        .route("/runs/{run}/cancel", post(acts::cancel))
        .route("/packages/{package}", get(packages::show))
        .route("/packages/{package}/retry", post(acts::retry))
        .route("/packages/{package}/release", post(acts::release))
        .route("/packages/{package}/priority", post(acts::prioritise))
        .route("/attempts/{attempt}/log", get(log::show))
        .route("/attempts/{attempt}/log/live", get(log::follow))
        .route("/drones", get(drones::list))
        .route("/drones/{name}", get(drones::show).post(acts::order_drone))
        .route("/generations", get(generations::targets))
        .route("/targets/{target}/generations", get(generations::list).post(acts::republish))
        .route("/targets/{target}/diff", get(generations::diff))
        .route("/health", get(health::show))
        .route("/events", get(events::show))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::serve))
        .layer(middleware::from_fn(guarded))
}

/// What a page may load and who may frame it: its own files, nobody.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Every answer of the dashboard carries these; what is not an asset is not kept either, since it is for one reader.
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
];

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = if request.uri().query().is_some_and(has_token) {
        PageError::token_in_address().into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a query carries what looks like a token of ours. Addresses end in histories, proxies' logs and bookmarks.
fn has_token(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| {
        let secret = value.strip_prefix("swarm-").and_then(|rest| rest.split_once('-'));
        name == "token" || secret.is_some_and(|(_, secret)| secret.len() > 20)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_seen_in_addresses() {
        let secret = "A".repeat(43);
        assert!(has_token("token=x"));
        assert!(has_token(&format!("q=1&next=swarm-admin-{secret}")));
        assert!(has_token(&format!("q=swarm%2Dviewer%2D{secret}")));
        assert!(!has_token("q=swarm-admin&state=needed"));
    }
}
