//! The variable parts of a path, parsed into types that cannot be wrong.

use super::App;
use super::failure::Failure;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::str::FromStr;
use swarm_protocol::Code;
use swarm_protocol::id::{GenerationNumber, RunId};

/// Path parameters; what is not even text is refused here.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(value)| Self(value))
            .map_err(|error| Failure::new(Code::InvalidValue, error.body_text()))
    }
}

/// Parses a parameter, naming it in the refusal.
pub(super) fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(Code::InvalidValue, format!("{name}: {error}")))
}

/// A run's id; they begin at 1.
pub(super) fn run(text: &str) -> Result<RunId, Failure> {
    positive("run", text).map(RunId)
}

/// A generation's number; they begin at 1.
pub(super) fn number(text: &str) -> Result<GenerationNumber, Failure> {
    positive("generation", text).map(GenerationNumber)
}

fn positive(name: &str, text: &str) -> Result<i64, Failure> {
    match parse(name, text)? {
        number @ 1.. => Ok(number),
        _ => Err(Failure::new(Code::InvalidValue, format!("{name}: numbers begin at 1"))),
    }
}
