//! Bodies, path and query parameters, with refusals as problems.

use super::error::ApiError;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use std::time::Duration;
use swarm_protocol::Code;

/// The largest body of a group of routes, in bytes; a layer puts it into their requests.
#[derive(Clone, Copy)]
pub struct BodyLimit(pub usize);

/// How much of a refused body is still read, and for how long: a client that is cut off while it sends sees a broken
/// connection instead of the refusal.
const DRAIN_BYTES: usize = 64 << 20;
const DRAIN: Duration = Duration::from_secs(5);

/// A JSON body. What serde says about a wrong one names the field, the line and the column.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let limit = request.extensions().get::<BodyLimit>().map_or(0, |limit| limit.0);
        let bytes = read(request.into_body(), limit).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ApiError::new(Code::InvalidBody, format!("the body is not what this call takes: {error}"))
        })
    }
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(Code::InvalidBody, "the body could not be read"))?;
        if bytes.len() + chunk.len() > limit {
            let drained = async {
                let mut left = DRAIN_BYTES;
                while let Some(Ok(chunk)) = stream.next().await
                    && chunk.len() <= left
                {
                    left -= chunk.len();
                }
            };
            // However it ends, the refusal is the answer.
            let _ = tokio::time::timeout(DRAIN, drained).await;
            return Err(ApiError::new(Code::TooLarge, "the body is larger than this call allows"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Path parameters.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(Code::InvalidValue, rejection.body_text())),
        }
    }
}

/// Query parameters.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(Code::InvalidValue, rejection.body_text())),
        }
    }
}
