//! Who looks at a page: the bearer of a token, which the sign-in has put into a cookie.
//!
//! The cookie holds the token itself. A session of our own would be a second secret of the same power, with a table, an
//! expiry and a revocation to keep in step; so a token that is revoked is out with the next request, on every
//! orchestrator. Scripts cannot read the cookie (`HttpOnly`), other sites cannot have it sent (`SameSite=Strict`), it
//! goes over TLS only where the sign-in did (`Secure`), and nothing here writes it into a page, an address or a log.
//! Browsers do not tell ports of one host apart: whoever runs a web server beside this one can read it. There should be
//! nobody else on the orchestrator's host.

use super::error::PageError;
use crate::api::Shared;
use crate::db::tokens::{self, Caller};
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use swarm_protocol::state::Role;
use tokio::sync::OwnedSemaphorePermit;

/// The cookie's name.
pub(super) const NAME: &str = "swarm_token";

/// Somebody who may read: an admin or a viewer.
pub(super) struct Visitor {
    role: Role,
    form_token: String,
    /// What the live stream had told when the request came: what the page reads is not older.
    version: String,
    /// Their turn among those for whom a page is made.
    turn: Option<OwnedSemaphorePermit>,
}

impl Visitor {
    fn new(role: Role, token: &str, version: String) -> Self {
        let form_token = blake3::derive_key("build-swarm dashboard 1 form token", token.as_bytes());
        Self {
            role,
            form_token: blake3::Hash::from_bytes(form_token).to_hex().to_string(),
            version,
            turn: None,
        }
    }

    /// Lets others have their turn: what comes next waits for another daemon.
    pub(super) fn waits(&mut self) {
        drop(self.turn.take());
    }

    /// From where on the live stream has news for the page that they get.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether forms are of use to them.
    pub(super) fn may_act(&self) -> bool {
        self.role == Role::Admin
    }

    /// What their forms carry: only who has the cookie can know it, and it gives nothing of the cookie away.
    pub(super) fn form_token(&self) -> &str {
        &self.form_token
    }

    /// Whether a form that carries `token` is one of theirs.
    pub(super) fn made(&self, token: &str) -> bool {
        // Their hashes are compared, in constant time.
        blake3::hash(token.as_bytes()) == blake3::hash(self.form_token.as_bytes())
    }
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Response> {
        let version = app.feed.version();
        let Some(token) = cookie(&parts.headers) else { return Err(sign_in_first(parts)) };
        match tokens::caller(&app.db, token).await {
            Ok(Some(Caller { role: role @ (Role::Admin | Role::Viewer), .. })) => {
                Ok(Self { turn: app.feed.turn().await, ..Self::new(role, token, version) })
            }
            Ok(_) => Err(sign_in_first(parts)),
            Err(error) => Err(PageError::from(error).into_response()),
        }
    }
}

/// The page that was asked for is what they see after the sign-in.
fn sign_in_first(parts: &Parts) -> Response {
    let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    if parts.method != Method::GET {
        return PageError::signed_out().into_response();
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Whether another site sent this request, as far as the browser says.
///
/// It says so by `Sec-Fetch-Site` over TLS and on localhost. Over plain HTTP it sends `Origin` alone, and `null` in it, as
/// our own `Referrer-Policy` has it: then the form's token decides by itself.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site != "same-origin";
    }
    match text(ORIGIN.as_str()) {
        None | Some("null") => false,
        Some(origin) => {
            let host = text("x-forwarded-host").or_else(|| text(HOST.as_str()));
            origin.split_once("://").map(|(_, host)| host) != host
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let found = |line| cookie(&headers(&[("cookie", line)])).map(str::to_owned);
        assert_eq!(found("a=b; swarm_token=t-1; c=d").as_deref(), Some("t-1"));
        assert_eq!(found("xswarm_token=t; swarm_token="), None);
    }

    #[test]
    fn another_site_is_told_by_what_the_browser_says() {
        let foreign = |pairs: &[(&'static str, &str)]| is_foreign(&headers(pairs));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]), "another port is another program");
        assert!(!foreign(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(foreign(&[("origin", "http://evil"), ("host", "swarm:8400")]));
        assert!(!foreign(&[("origin", "http://swarm:8400"), ("host", "swarm:8400")]));
        assert!(!foreign(&[("origin", "null"), ("host", "swarm:8400")]));
    }

    #[test]
    fn a_form_token_is_of_one_cookie() {
        let [one, other] =
            ["swarm-admin-1", "swarm-admin-2"].map(|token| Visitor::new(Role::Admin, token, String::new()));
        assert!(one.made(one.form_token()) && !one.made(other.form_token()) && !one.made(""));
        assert!(!one.form_token().contains("swarm"));
    }
}
