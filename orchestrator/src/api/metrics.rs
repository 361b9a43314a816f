//! `/metrics`, for Prometheus.

use super::Shared;
use super::auth::Viewer;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The metrics of this process, to whoever may look.
pub async fn scrape(State(app): State<Shared>, _: Viewer) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics.text())
}
