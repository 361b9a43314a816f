//! Answers of other forms than a JSON document with status 200.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as Described, SchemaObject};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{AppendHeaders, IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use swarm_protocol::admin::LogPage;

/// What was made: 201.
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        axum::Json::<T>::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Described)> {
        let made = Self::operation_response(context, operation);
        made.map(|made| (Some(201), made)).into_iter().collect()
    }
}

/// A piece of a build's log. The text is the body; headers say where the next piece begins and whether that is all.
pub struct Log(pub LogPage);

impl IntoResponse for Log {
    fn into_response(self) -> Response {
        let LogPage { text, cursor, ended } = self.0;
        let headers = [
            (CONTENT_TYPE.as_str(), "text/plain; charset=utf-8".to_owned()),
            (LogPage::CURSOR, cursor.to_string()),
            (LogPage::ENDED, ended.to_string()),
        ];
        (AppendHeaders(headers), text).into_response()
    }
}

impl OperationOutput for Log {
    type Inner = String;

    fn operation_response(context: &mut GenContext, _: &mut Operation) -> Option<Described> {
        let json_schema = context.schema.subschema_for::<String>();
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let body = MediaType { schema: Some(schema), ..MediaType::default() };
        Some(Described {
            description: format!(
                "As the build wrote it, in whatever encoding. The header `{}` is the next cursor, to be passed as \
                 `since`; `{}` is `true` when the attempt has ended",
                LogPage::CURSOR,
                LogPage::ENDED
            ),
            content: [("text/plain".to_owned(), body)].into_iter().collect(),
            ..Described::default()
        })
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Described)> {
        let log = Self::operation_response(context, operation);
        log.map(|log| (Some(200), log)).into_iter().collect()
    }
}
