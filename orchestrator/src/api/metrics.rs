//! `/metrics`, for Prometheus.

use super::Shared;
use super::auth::Viewer;
use super::error::ApiError;
use crate::disk;
use crate::metrics::Disk;
use crate::metrics::gauges::Gauges;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The metrics of this process and how things stand, to whoever may look.
pub async fn scrape(State(app): State<Shared>, _: Viewer) -> Result<impl IntoResponse, ApiError> {
    if let Some(directory) = &app.state_dir {
        app.metrics.disk_free(Disk::StateDir, disk::free(directory).ok());
    }
    let text = app.metrics.text(&Gauges::read(&app.db).await?);
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
