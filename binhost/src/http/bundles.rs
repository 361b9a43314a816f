//! `PUT` and `GET /api/v1/bundles/{blake3}`, `POST /api/v1/bundles/missing` and `…/retain`: what workstations push and
//! drones bring themselves to. Never public, and never a part of what a mirror has.

use super::answer::{self, Asked, Caching, Resource, Source};
use super::body;
use super::conditions::Validators;
use super::failure::Failure;
use super::params::{self, Params};
use super::respond::respond;
use super::tickets::Bearer;
use super::upload;
use super::{App, blocking};
use crate::blobs;
use crate::bundles;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;
use swarm_protocol::Digest;
use swarm_protocol::binhost::Bundles;

/// `PUT /api/v1/bundles/{blake3}`
pub(super) async fn upload(
    bearer: Bearer,
    State(app): State<App>,
    Params(digest): Params<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let digest: Digest = params::parse("bundle", &digest)?;
    let allowed = bearer.send_bundle(digest)?.min(app.limits.upload_bytes);
    let pieces = body::Pieces::new(body, &headers, allowed, app.limits.stall_time())?;
    let (store, now) = (Arc::clone(&app.store), app.clock.now());
    let mark = move || {
        let hold = store.blobs.hold();
        let there = store.blobs.touch(digest, &hold)?;
        if there {
            store.bundles.mark(digest, now, &hold)?;
        }
        Ok(there)
    };
    // Touched at its arrival, the bytes of a bundle outlive the moment between the two.
    if blocking(mark.clone()).await? {
        pieces.skip().await?;
        return Ok(StatusCode::OK);
    }
    let bytes = upload::receive(&app, digest, pieces).await?;
    if !blocking(mark).await? {
        return Err(blobs::gone(digest).into());
    }
    tracing::info!(bundle.digest = %digest, bundle.bytes = bytes, "a bundle was uploaded");
    Ok(StatusCode::CREATED)
}

/// `GET /api/v1/bundles/{blake3}`
pub(super) async fn read(
    bearer: Bearer,
    State(app): State<App>,
    Params(digest): Params<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    let digest: Digest = params::parse("bundle", &digest)?;
    bearer.read_bundle(digest)?;
    let store = Arc::clone(&app.store);
    let size = blocking(move || {
        store.bundles.require(&store.blobs, digest)?;
        bundles::size(&store.blobs, digest)
    })
    .await?;
    let resource = Resource {
        // What never changes was never modified.
        validators: Validators { etag: format!("\"{digest}\""), modified: 0 },
        kind: "application/zstd",
        size,
        source: Source::Blob(digest),
    };
    respond(answer::answer(&resource, &asked, Caching::Private)?, &app.store.blobs).await
}

/// `POST /api/v1/bundles/missing`
pub(super) async fn missing(
    bearer: Bearer,
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Bundles>, Failure> {
    bearer.control()?;
    let Bundles { bundles } = body::json(&app, &headers, body).await?;
    let now = app.clock.now();
    let bundles = blocking(move || app.store.bundles.missing(&app.store.blobs, bundles, now)).await?;
    Ok(Json(Bundles { bundles }))
}

/// `POST /api/v1/bundles/retain`
pub(super) async fn retain(
    bearer: Bearer,
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    bearer.control()?;
    let Bundles { bundles } = body::json(&app, &headers, body).await?;
    let now = app.clock.now();
    let gone =
        blocking(move || app.store.bundles.retain(&app.store.blobs, &bundles.into_iter().collect(), now))
            .await?;
    if gone > 0 {
        tracing::info!(bundles = gone, "bundles that nobody needs any more will be collected");
    }
    Ok(StatusCode::NO_CONTENT)
}
