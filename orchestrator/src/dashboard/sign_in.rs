//! Signing in with a token, and out again.

use super::error::PageError;
use super::extract::Query;
use super::forms::Fields;
use super::page;
use super::visitor::NAME;
use crate::api::Shared;
use crate::db::tokens::{self, Caller};
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;
use swarm_protocol::state::Role;

/// How long a browser keeps the cookie; the token may be revoked at any time before.
const KEPT_SECONDS: u32 = 30 * 86_400;

/// `?next=PATH`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// Asks for the token.
pub(super) async fn show(Query(Next { next }): Query<Next>) -> Response {
    form(&next, None).into_response()
}

fn form(next: &str, refused: Option<&str>) -> impl IntoResponse + use<> {
    let next = local(next);
    let content = html! {
        h1 { "Build Swarm" }
        @if let Some(refused) = refused { p .card.alarm role="alert" { (refused) } }
        form .card method="post" action="/sign-in" {
            label for="token" { "Token of an admin or a viewer" }
            input #token name="token" type="password" required autofocus autocomplete="current-password";
            input type="hidden" name="next" value=(next);
            button { "Sign in" }
        }
        p .faint {
            "On the orchestrator's machine " code { "build-orchestrator token --role viewer" } " makes one; elsewhere an \
             admin does, with " code { "swarm token create --role viewer --label NAME" } "."
        }
        @if next != "/" {
            p .faint {
                "Signed in already, and here by a link from elsewhere? Browsers keep the sign-in back then: "
                a href=(next) { "go on" } "."
            }
        }
    };
    page::bare("Sign in", &content)
}

/// Puts the token into the cookie.
pub(super) async fn sign_in(
    State(app): State<Shared>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    let (token, next) = (fields.get("token").trim(), fields.get("next"));
    match tokens::caller(&app.db, token).await? {
        Some(Caller { role: Role::Admin | Role::Viewer, .. }) => {
            let cookie = cookie(token, KEPT_SECONDS, &headers);
            Ok(([(SET_COOKIE, cookie?)], Redirect::to(local(next))).into_response())
        }
        Some(_) => {
            let refused = "That is a drone's token: it speaks for the drone and reads nothing.";
            Ok((StatusCode::FORBIDDEN, form(next, Some(refused))).into_response())
        }
        None => {
            let refused = "The token is not known, or was revoked.";
            Ok((StatusCode::UNAUTHORIZED, form(next, Some(refused))).into_response())
        }
    }
}

/// Takes the cookie away. The token itself stays good.
pub(super) async fn sign_out(headers: HeaderMap, _: Fields) -> Result<impl IntoResponse, PageError> {
    Ok(([(SET_COOKIE, cookie("", 0, &headers)?)], Redirect::to("/sign-in")))
}

fn cookie(token: &str, seconds: u32, headers: &HeaderMap) -> Result<HeaderValue, PageError> {
    let over_tls = headers.get("x-forwarded-proto").is_some_and(|protocol| protocol == "https");
    let secure = if over_tls { "; Secure" } else { "" };
    let cookie = format!("{NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| {
        PageError::new(StatusCode::BAD_REQUEST, "Not a token", "A token has letters, digits, - and _ only.")
    })?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// A page of ours, whatever a link says: nobody is led elsewhere from here.
fn local(next: &str) -> &str {
    let elsewhere = next.starts_with("//") || next.contains('\\');
    let plain = next.starts_with('/') && next.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && !elsewhere && !next.starts_with("/sign-") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(local("/runs/7?state=needed"), "/runs/7?state=needed");
        for elsewhere in ["", "runs", "//evil", "/\\evil", "https://evil", "/a\r\nb", "/sign-in", "/a b"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn the_cookie_is_for_tls_where_the_sign_in_was() {
        let mut headers = HeaderMap::new();
        let plain = cookie("swarm-viewer-x", 60, &headers).unwrap();
        assert_eq!(plain, "swarm_token=swarm-viewer-x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(cookie("x", 60, &headers).unwrap().to_str().unwrap().ends_with("; Secure"));
        assert!(cookie("a\nb", 60, &headers).is_err());
    }
}
