//! The HTTP API, split by caller: drones, people and scripts, and whoever asks after our health.

pub mod admin;
pub mod auth;
pub mod definitions;
pub mod drone;
pub mod error;
pub mod extract;
pub mod generations;
pub mod health;
pub mod metrics;
pub mod nightlies;
pub mod runs;
pub mod status;
pub mod why;

use crate::app::App;
use axum::Extension;
use axum::Router;
use axum::routing::{delete, get, patch, post, put};
use error::ApiError;
use extract::BodyLimit;
use std::sync::Arc;
use swarm_protocol::Code;

/// The state that handlers share.
pub type Shared = Arc<App>;

/// All routes.
pub fn router(app: Shared) -> Router {
    let limit = app.limits.body_bytes;
    Router::new()
        .nest("/api/v1/drone", drone_routes())
        .nest("/api/v1", admin_routes(limit))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .fallback(async || ApiError::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::MethodNotAllowed, "this path does not know the method")
        })
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}

/// The largest body of a drone's call; log chunks are the largest by far.
const DRONE_BODY_BYTES: usize = 4 << 20;

fn drone_routes() -> Router<Shared> {
    Router::new()
        .route("/enrol", post(drone::enrol))
        .route("/sessions", post(drone::open_session))
        .route("/sessions/close", post(drone::close_session))
        .route("/heartbeat", post(drone::heartbeat))
        .route("/definitions", post(drone::definitions))
        .route("/claims", post(drone::claim))
        .route("/resolutions", post(drone::resolve))
        .route("/resolutions/{resolution}/plan", post(drone::resolved))
        .route("/resolutions/{resolution}/fail", post(drone::unresolved))
        .route("/gates", post(drone::gate))
        .route("/gates/{gate}/verdict", post(drone::judged))
        .route("/gates/{gate}/fail", post(drone::unjudged))
        .route("/attempts/{attempt}/start", post(drone::start))
        .route("/attempts/{attempt}/log", post(drone::log))
        .route("/attempts/{attempt}/complete", post(drone::complete))
        .route("/attempts/{attempt}/fail", post(drone::fail))
        .route("/attempts/{attempt}/hand-back", post(drone::hand_back))
        .layer(Extension(BodyLimit(DRONE_BODY_BYTES)))
}

fn admin_routes(limit: usize) -> Router<Shared> {
    Router::new()
        .route("/targets", get(admin::targets).post(admin::create_target))
        .route("/targets/{target}/world", put(admin::set_world))
        .route("/targets/{target}/definitions", get(definitions::history).post(definitions::push))
        .route("/targets/{target}/definitions/{number}/ticket", post(definitions::ticket))
        .route("/targets/{target}/workstations", get(definitions::workstations))
        .route("/targets/{target}/workstations/{workstation}", delete(definitions::forget))
        .route("/bundles", post(definitions::offer))
        .route("/targets/{target}/runs", post(runs::start))
        .route("/targets/{target}/generations", get(generations::list).post(generations::republish))
        .route("/targets/{target}/generations/{number}/pin", put(generations::pin).delete(generations::unpin))
        .route(
            "/targets/{target}/nightlies",
            get(nightlies::list).post(nightlies::begin).delete(nightlies::expect_none),
        )
        .route("/nightlies/{nightly}/end", post(nightlies::end))
        .route("/targets/{target}/diff", get(generations::diff))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::show))
        .route("/runs/{run}/cancel", post(runs::cancel))
        .route("/runs/{run}/thaw", post(runs::thaw))
        .route("/runs/{run}/packages", get(runs::packages))
        .route("/packages/{package}", get(runs::package))
        .route("/packages/{package}/attempts", get(runs::attempts))
        .route("/packages/{package}/why", get(why::package))
        .route("/packages/{package}/release", post(runs::release))
        .route("/packages/{package}/retry", post(runs::retry))
        .route("/packages/{package}/priority", put(runs::prioritise))
        .route("/attempts/{attempt}", get(runs::attempt))
        .route("/attempts/{attempt}/log", get(runs::log))
        .route("/drones", get(admin::drones))
        .route("/drones/{name}", patch(admin::order_drone))
        .route("/drones/{name}/why", get(why::drone))
        .route("/drones/{name}/distrust", post(admin::distrust))
        .route("/join-tokens", post(admin::create_join_token))
        .route("/tokens", post(admin::create_token))
        .route("/events", get(admin::events))
        .route("/status", get(status::status))
        .layer(Extension(BodyLimit(limit)))
}
