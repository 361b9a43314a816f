//! Bodies, path and query parameters, with refusals as problems.

use super::error::ApiError;
use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use futures::StreamExt;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
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

impl<T: JsonSchema> OperationInput for Json<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(context, operation);
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

/// The document names them by the path: here, they have only their order.
impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let several = schema.get("prefixItems").and_then(Value::as_array).cloned();
        let all = several.unwrap_or_else(|| vec![schema.to_value()]);
        let names: Vec<_> = (0..all.len()).map(|place| place.to_string()).collect();
        let properties: Map<_, _> = names.iter().cloned().zip(all).collect();
        if let Ok(schema) = Schema::try_from(json!({ "required": names, "properties": properties })) {
            let parameters = parameters_from_schema(context, schema, ParamLocation::Path);
            add_parameters(context, operation, parameters);
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

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
    }
}
