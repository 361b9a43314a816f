//! Forms: their fields, and who may send them.

use super::error::PageError;
use super::visitor::{Visitor, is_foreign};
use crate::api::Shared;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// No form is longer.
const LONGEST_BYTES: usize = 16 << 10;

/// The field with the form's token.
pub(super) const TOKEN: &str = "form_token";

/// The fields of a form from a page of ours.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// What was filled in; empty where nothing was.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }
}

impl Fields {
    async fn read(headers: &HeaderMap, body: Body) -> Result<Self, PageError> {
        if is_foreign(headers) {
            return Err(PageError::foreign());
        }
        let bytes = to_bytes(body, LONGEST_BYTES).await.map_err(|_| {
            PageError::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", "No form of ours is that long.")
        })?;
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &S) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        Self::read(&parts.headers, body).await
    }
}

/// A form by which an admin acts.
pub(super) struct Order(pub(super) Fields);

impl FromRequest<Shared> for Order {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // Before the visitor has a turn: a body may take its time.
        let fields = Fields::read(&parts.headers, body).await.map_err(IntoResponse::into_response)?;
        let visitor = Visitor::from_request_parts(&mut parts, app).await?;
        if !visitor.may_act() {
            return Err(PageError::for_admins().into_response());
        }
        if !visitor.made(fields.get(TOKEN)) {
            return Err(PageError::foreign().into_response());
        }
        Ok(Self(fields))
    }
}
