//! What went wrong, as a page.

use super::page;
use crate::api::error::ApiError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

/// A page that says what is wrong.
#[derive(Debug)]
pub(super) struct PageError {
    status: StatusCode,
    title: String,
    text: String,
}

impl PageError {
    pub(super) fn new(status: StatusCode, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { status, title: title.into(), text: text.into() }
    }

    pub(super) fn not_found(what: &str) -> Self {
        ApiError::not_found(what).into()
    }

    pub(super) fn foreign() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Not from here",
            "This form did not come from a page of this dashboard, or from one before you signed in. Nothing was \
             changed. Open the page again and repeat it there.",
        )
    }

    pub(super) fn for_admins() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "For admins",
            "You are signed in with a viewer's token, which reads only. Nothing was changed.",
        )
    }

    pub(super) fn signed_out() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Signed out",
            "Your token is not known, or was revoked. Nothing was changed. Sign in again.",
        )
    }

    pub(super) fn token_in_address() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "A token does not belong into an address",
            "Addresses stay in histories and in the logs of proxies. Take this token as leaked: make another one with \
             `swarm token create` and sign in with that.",
        )
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        let problem = error.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, &problem.title, sentence(&problem.detail))
    }
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        ApiError::from(error).into()
    }
}

/// Details are written as parts of sentences.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if detail.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let text = html! {
            h1 { (self.title) }
            p { (self.text) }
            p { a href="/" { "To the overview" } }
        };
        (self.status, page::bare(&self.title, &text)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_become_sentences() {
        assert_eq!(sentence("there is no such run"), "There is no such run.");
        assert_eq!(sentence(""), ".");
    }
}
