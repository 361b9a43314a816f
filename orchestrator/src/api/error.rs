//! Errors on their way out: a client gets a stable code and a sentence, the log gets everything.

use crate::db::republish::RepublishError;
use crate::db::runs::RunError;
use crate::db::transition::ApplyError;
use crate::distrust::DistrustError;
use crate::enter::EnterError;
use crate::machine::package::Refusal;
use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as Described, SchemaObject};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use swarm_protocol::problem::MEDIA_TYPE;
use swarm_protocol::{Code, Problem};
use tracing::error;

/// A problem to be sent.
#[derive(Debug)]
pub struct ApiError(Problem);

impl ApiError {
    /// The problem `code`, explained by `detail`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    /// What is said to the client.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// There is no `what`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
    }
}

/// Whatever is not a success is one.
impl OperationOutput for ApiError {
    type Inner = Problem;

    fn operation_response(context: &mut GenContext, _: &mut Operation) -> Option<Described> {
        let json_schema = context.schema.subschema_for::<Problem>();
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let body = MediaType { schema: Some(schema), ..MediaType::default() };
        Some(Described {
            description: "A problem".to_owned(),
            content: [(MEDIA_TYPE.to_owned(), body)].into_iter().collect(),
            ..Described::default()
        })
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Described)> {
        let problem = Self::operation_response(context, operation);
        problem.map(|problem| (None, problem)).into_iter().collect()
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        error!(%error, "the database failed a request");
        let unreachable = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
        // 57P0x: Postgres is shutting down or starting up; 40: a deadlock that retries did not resolve.
        let passing = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("40"));
        if unreachable || passing {
            Self::new(Code::Unavailable, "the database does not answer at the moment")
        } else {
            Self::new(Code::Internal, "an internal error; the orchestrator's log has the details")
        }
    }
}

impl From<ApplyError> for ApiError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::NotFound => Self::not_found("attempt or package"),
            ApplyError::Busy => Self::new(Code::Unavailable, "the package is busy; try again"),
            ApplyError::Refused(Refusal::Stale) => Self::new(
                Code::StaleReport,
                "the attempt, its token and its session are not a live one; nothing was changed",
            ),
            ApplyError::Refused(refusal) => Self::new(Code::WrongState, refusal.to_string()),
            ApplyError::Database(error) => error.into(),
        }
    }
}

impl From<EnterError> for ApiError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Run(error) => error.into(),
            EnterError::NotOffered(_) => Self::new(Code::InvalidValue, error.to_string()),
            EnterError::Binhost(ref cause) => {
                tracing::warn!(error = %cause, "the binhost cannot be asked at the moment");
                Self::new(Code::Unavailable, "the binhost does not answer at the moment")
            }
            EnterError::Restless => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}

impl From<RepublishError> for ApiError {
    fn from(error: RepublishError) -> Self {
        match error {
            RepublishError::NotFound(_) => Self::new(Code::NotFound, error.to_string()),
            RepublishError::Removed(_) => Self::new(Code::Gone, error.to_string()),
            RepublishError::Refused(why) => Self::new(Code::WrongState, why),
            RepublishError::Database(error) => error.into(),
        }
    }
}

impl From<DistrustError> for ApiError {
    fn from(error: DistrustError) -> Self {
        match error {
            DistrustError::Attempt(error) => error.into(),
            DistrustError::Run(error) => error.into(),
            DistrustError::Database(error) => error.into(),
        }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NotFound => Self::not_found("run"),
            RunError::State(_) => Self::new(Code::WrongState, error.to_string()),
            RunError::Database(error) => error.into(),
        }
    }
}

/// A panic is a bug: it is logged with its text, and the client learns no internals.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::new(Code::Internal, "an internal error; the orchestrator's log has the details").into_response()
}
