//! Why a package is not being built, and why a drone has no work.

use super::Shared;
use super::auth::Viewer;
use super::error::ApiError;
use super::extract::Path;
use crate::why;
use axum::extract::State;
use swarm_protocol::admin::Why;
use swarm_protocol::id::PackageId;

/// Of a package.
pub async fn package(
    State(app): State<Shared>,
    _: Viewer,
    Path(package): Path<PackageId>,
) -> Result<axum::Json<Why>, ApiError> {
    why::package(&app, package).await.map(axum::Json)
}

/// Of a drone.
pub async fn drone(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<String>,
) -> Result<axum::Json<Why>, ApiError> {
    why::drone(&app, &name).await.map(axum::Json)
}
