//! Forms: their fields, and who may send them.

use super::error::PageError;
use super::visitor::{Visitor, is_foreign};
use crate::api::Shared;
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
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

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &S) -> Result<Self, PageError> {
        if is_foreign(request.headers()) {
            return Err(PageError::foreign());
        }
        let bytes = to_bytes(request.into_body(), LONGEST_BYTES).await.map_err(|_| {
            PageError::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", "No form of ours is that long.")
        })?;
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

/// A form by which an admin acts.
pub(super) struct Order(pub(super) Fields);

impl FromRequest<Shared> for Order {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, app).await?;
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await;
        let fields = fields.map_err(IntoResponse::into_response)?;
        if !visitor.may_act() {
            return Err(PageError::for_admins().into_response());
        }
        if !visitor.made(fields.get(TOKEN)) {
            return Err(PageError::foreign().into_response());
        }
        Ok(Self(fields))
    }
}
