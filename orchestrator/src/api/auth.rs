//! Who calls: a bearer token becomes a role, and a handler names the role it needs by the extractor it takes.

use super::Shared;
use super::document::BEARER;
use super::error::ApiError;
use crate::db::tokens::{self, Caller};
use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use swarm_protocol::Code;
use swarm_protocol::id::{DroneId, TokenId};
use swarm_protocol::state::Role;

/// May do everything.
pub struct Admin;
/// The same, by this token.
pub struct AdminBy(pub TokenId);
/// May read: admins and viewers.
pub struct Viewer;
/// A drone, which speaks for itself only.
pub struct Drone(pub DroneId);
/// A drone whose plans and verdicts are believed (law 11).
pub struct Trusted(pub DroneId);

async fn caller(parts: &Parts, app: &Shared) -> Result<Caller, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
        ApiError::new(Code::Unauthenticated, "this call needs an `Authorization: Bearer` token")
    })?;
    tokens::caller(&app.db, token)
        .await?
        .ok_or_else(|| ApiError::new(Code::Unauthenticated, "the token is not known, or was revoked"))
}

fn forbidden(needed: &str, caller: Caller) -> ApiError {
    ApiError::new(Code::Forbidden, format!("this call is for {needed}; the token's role is {}", caller.role))
}

impl FromRequestParts<Shared> for Admin {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        AdminBy::from_request_parts(parts, app).await.map(|_| Self)
    }
}

impl FromRequestParts<Shared> for AdminBy {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            Caller { role: Role::Admin, token, .. } => Ok(Self(token)),
            other => Err(forbidden("admins", other)),
        }
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            Caller { role: Role::Admin | Role::Viewer, .. } => Ok(Self),
            other => Err(forbidden("admins and viewers", other)),
        }
    }
}

impl FromRequestParts<Shared> for Drone {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            Caller { role: Role::Drone, drone: Some(drone), .. } => Ok(Self(drone)),
            other => Err(forbidden("drones", other)),
        }
    }
}

impl FromRequestParts<Shared> for Trusted {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let Drone(drone) = Drone::from_request_parts(parts, app).await?;
        if crate::db::drones::is_trusted(&app.db, drone).await? {
            Ok(Self(drone))
        } else {
            Err(ApiError::new(Code::Forbidden, "this call is for drones that an admin has marked as trusted"))
        }
    }
}

/// The document says who may call.
macro_rules! documented {
    ($($name:ident: $whom:literal,)*) => {$(
        impl OperationInput for $name {
            fn operation_input(_: &mut GenContext, operation: &mut Operation) {
                operation.security.push([(BEARER.to_owned(), vec![])].into_iter().collect());
                operation.description = Some(format!("For {}.", $whom));
            }
        }
    )*};
}

documented! {
    Admin: "admins",
    AdminBy: "admins",
    Viewer: "admins and viewers",
    Drone: "drones",
    Trusted: "trusted drones",
}
