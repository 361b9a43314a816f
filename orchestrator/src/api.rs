//! The HTTP API, split by caller: drones, people and scripts, and whoever asks after our health. The types of the handlers
//! describe it ([`document`]). Beside it is the dashboard.

pub mod admin;
pub mod answer;
pub mod auth;
pub mod definitions;
pub mod document;
pub mod drone;
pub mod enrol;
pub mod error;
pub mod extract;
pub mod generations;
pub mod health;
pub mod metrics;
pub mod nightlies;
pub mod notify;
pub mod repairs;
pub mod runs;
pub mod status;
pub mod trace;
pub mod why;

use crate::app::App;
use crate::dashboard;
use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, patch_with, post_with, put_with};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use document::about;
use error::ApiError;
use extract::BodyLimit;
use serde_json::Value;
use std::sync::Arc;
use swarm_protocol::Code;

/// The state that handlers share.
pub type Shared = Arc<App>;

/// All routes, and the document that describes them.
pub fn router(app: Shared) -> anyhow::Result<Router> {
    let (routes, document) = described(app.limits.body_bytes)?;
    let document = document::served(&document);
    Ok(routes
        .route("/api/v1/openapi.json", get(async move || document))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .merge(dashboard::router())
        .fallback(async || ApiError::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::MethodNotAllowed, "this path does not know the method")
        })
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), trace::trace))
        .with_state(app))
}

/// The routes of the API, and the OpenAPI document of them.
fn described(limit: usize) -> serde_json::Result<(Router<Shared>, Value)> {
    let mut document = document::begun();
    let routes = ApiRouter::new()
        .nest("/api/v1/drone", drone_routes())
        .nest("/api/v1", admin_routes(limit))
        .finish_api(&mut document);
    Ok((routes, document::finished(&document)?))
}

/// The largest body of a drone's call; log chunks are the largest by far.
const DRONE_BODY_BYTES: usize = 4 << 20;

fn drone_routes() -> ApiRouter<Shared> {
    ApiRouter::new()
        .api_route("/enrol", post_with(enrol::enrol, about("enrol", "Trade a join token for a drone's own")))
        .api_route(
            "/sessions",
            post_with(
                drone::open_session,
                about(
                    "open_session",
                    "Open the session of a drone's process; what the former one held goes back",
                ),
            ),
        )
        .api_route(
            "/sessions/close",
            post_with(
                drone::close_session,
                about("close_session", "Close a session; what it still held goes back"),
            ),
        )
        .api_route(
            "/heartbeat",
            post_with(drone::heartbeat, about("beat", "Say what is held, and hear what is revoked")),
        )
        .api_route(
            "/definitions",
            post_with(
                drone::definitions,
                about("wait_for_definitions", "Wait for definitions that the drone does not know"),
            ),
        )
        .api_route("/claims", post_with(drone::claim, about("claim", "Wait for packages to build")))
        .api_route(
            "/resolutions",
            post_with(
                drone::resolve,
                about("wait_for_resolution", "Wait for a run to resolve; for trusted drones"),
            ),
        )
        .api_route(
            "/resolutions/{resolution}/plan",
            post_with(drone::resolved, about("resolved", "Report a run's plan")),
        )
        .api_route(
            "/resolutions/{resolution}/fail",
            post_with(drone::unresolved, about("unresolved", "Report why there is no plan")),
        )
        .api_route(
            "/gates",
            post_with(
                drone::gate,
                about("wait_for_gate", "Wait for a generation to judge; for trusted drones"),
            ),
        )
        .api_route(
            "/gates/{gate}/verdict",
            post_with(drone::judged, about("judged", "Report what Portage would do with a generation")),
        )
        .api_route(
            "/gates/{gate}/fail",
            post_with(
                drone::unjudged,
                about("unjudged", "Report why Portage could not be asked about a generation"),
            ),
        )
        .api_route(
            "/attempts/{attempt}/start",
            post_with(drone::start, about("start_attempt", "Begin to build what is held")),
        )
        .api_route(
            "/attempts/{attempt}/log",
            post_with(drone::log, about("append_log", "Store a piece of an attempt's log")),
        )
        .api_route(
            "/attempts/{attempt}/complete",
            post_with(drone::complete, about("complete_attempt", "Report an artifact that was uploaded")),
        )
        .api_route(
            "/attempts/{attempt}/fail",
            post_with(drone::fail, about("fail_attempt", "Report a failure")),
        )
        .api_route(
            "/attempts/{attempt}/hand-back",
            post_with(drone::hand_back, about("hand_back_attempt", "Give a package back unfinished")),
        )
        .layer(Extension(BodyLimit(DRONE_BODY_BYTES)))
}

fn admin_routes(limit: usize) -> ApiRouter<Shared> {
    target_routes().merge(run_routes()).merge(fleet_routes()).layer(Extension(BodyLimit(limit)))
}

/// What is built for, and what came of it.
fn target_routes() -> ApiRouter<Shared> {
    ApiRouter::new()
        .api_route(
            "/targets",
            get_with(admin::targets, about("list_targets", "List the targets"))
                .post_with(admin::create_target, about("create_target", "Create a target")),
        )
        .api_route(
            "/targets/{target}/world",
            put_with(admin::set_world, about("set_world", "Replace a target's world set")),
        )
        .api_route(
            "/targets/{target}/definitions",
            get_with(
                definitions::history,
                about("list_definitions", "List what a target was defined as, newest first"),
            )
            .post_with(definitions::push, about("push_definition", "Define a target anew")),
        )
        .api_route(
            "/targets/{target}/definitions/{number}/ticket",
            post_with(
                definitions::ticket,
                about("definition_ticket", "Get a ticket for the bundles of a definition"),
            ),
        )
        .api_route(
            "/targets/{target}/client",
            get_with(
                definitions::client,
                about("client_setup", "Say what a workstation is set up with to install from a target"),
            ),
        )
        .api_route(
            "/targets/{target}/workstations",
            get_with(
                definitions::workstations,
                about("list_workstations", "List the workstations of a target"),
            ),
        )
        .api_route(
            "/targets/{target}/workstations/{workstation}",
            delete_with(
                definitions::forget,
                about("forget_workstation", "Forget a workstation, and what it wants"),
            ),
        )
        .api_route(
            "/bundles",
            post_with(
                definitions::offer,
                about("offer_bundles", "Ask which bundles the binhost lacks, and for a ticket to send them"),
            ),
        )
        .api_route("/targets/{target}/runs", post_with(runs::start, about("start_run", "Begin a run")))
        .api_route(
            "/targets/{target}/generations",
            get_with(generations::list, about("list_generations", "List the generations of a target"))
                .post_with(
                    generations::republish,
                    about("republish", "Publish a former generation anew: a rollback"),
                ),
        )
        .api_route(
            "/targets/{target}/generations/{number}/pin",
            put_with(generations::pin, about("pin_generation", "Keep a generation, however old it gets"))
                .delete_with(
                    generations::unpin,
                    about("unpin_generation", "Let a generation go when it is old"),
                ),
        )
        .api_route(
            "/targets/{target}/nightlies",
            get_with(
                nightlies::list,
                about("list_nightlies", "List the last nightly updates, and when the next one is due"),
            )
            .post_with(nightlies::begin, about("begin_nightly", "Say that a nightly update begins"))
            .delete_with(
                nightlies::expect_none,
                about("expect_no_nightly", "Expect no nightly update any more"),
            ),
        )
        .api_route(
            "/nightlies/{nightly}/end",
            post_with(nightlies::end, about("end_nightly", "Say how a nightly update ended")),
        )
        .api_route(
            "/targets/{target}/diff",
            get_with(generations::diff, about("diff_generations", "Compare two generations")),
        )
}

/// What is being built.
fn run_routes() -> ApiRouter<Shared> {
    ApiRouter::new()
        .api_route("/runs", get_with(runs::list, about("list_runs", "List the newest runs")))
        .api_route("/runs/{run}", get_with(runs::show, about("show_run", "Show a run")))
        .api_route("/runs/{run}/cancel", post_with(runs::cancel, about("cancel_run", "Cancel a run")))
        .api_route("/runs/{run}/thaw", post_with(runs::thaw, about("thaw_run", "Let a frozen run go on")))
        .api_route(
            "/runs/{run}/packages",
            get_with(runs::packages, about("list_packages", "List the packages of a run, by rank")),
        )
        .api_route(
            "/packages/{package}",
            get_with(runs::package, about("show_package", "Show a package with its surroundings")),
        )
        .api_route(
            "/packages/{package}/attempts",
            get_with(runs::attempts, about("list_attempts", "List the attempts at a package, oldest first")),
        )
        .api_route(
            "/packages/{package}/why",
            get_with(why::package, about("why_package", "Say why a package is not being built")),
        )
        .api_route(
            "/packages/{package}/release",
            post_with(runs::release, about("release_package", "Let a quarantined package be tried again")),
        )
        .api_route(
            "/packages/{package}/retry",
            post_with(runs::retry, about("retry_package", "End the pause after a package's last failure")),
        )
        .api_route(
            "/packages/{package}/priority",
            put_with(runs::prioritise, about("prioritise_package", "Say how urgent a package is")),
        )
        .api_route("/attempts/{attempt}", get_with(runs::attempt, about("show_attempt", "Show an attempt")))
        .api_route("/attempts/{attempt}/log", get_with(runs::log, about("read_log", "Read an attempt's log")))
}

/// Who builds, who may ask, and what happened.
fn fleet_routes() -> ApiRouter<Shared> {
    ApiRouter::new()
        .api_route("/drones", get_with(admin::drones, about("list_drones", "List the drones")))
        .api_route(
            "/drones/{name}",
            patch_with(admin::order_drone, about("order_drone", "Give a drone an order")),
        )
        .api_route(
            "/drones/{name}/expected",
            put_with(admin::expect, about("expect_of_drone", "Say what should run on a drone's machine")),
        )
        .api_route(
            "/drones/{name}/repair/confirm",
            post_with(
                repairs::confirm,
                about("confirm_repair", "Confirm the reboot of a silent drone's machine"),
            ),
        )
        .api_route("/repairs", get_with(repairs::list, about("list_repairs", "List the repairs of drones")))
        .api_route(
            "/drones/{name}/why",
            get_with(why::drone, about("why_drone", "Say why a drone has no work")),
        )
        .api_route(
            "/drones/{name}/distrust",
            post_with(
                admin::distrust,
                about("distrust_drone", "Believe a drone no longer, and withdraw what it made"),
            ),
        )
        .api_route(
            "/join-tokens",
            post_with(
                admin::create_join_token,
                about("create_join_token", "Make a one-time token by which a drone joins"),
            ),
        )
        .api_route(
            "/tokens",
            get_with(admin::tokens, about("list_tokens", "List the tokens of people and scripts"))
                .post_with(admin::create_token, about("create_token", "Make an admin's or viewer's token")),
        )
        .api_route(
            "/tokens/{token}",
            delete_with(admin::revoke_token, about("revoke_token", "Revoke a person's or script's token")),
        )
        .api_route(
            "/notify/test",
            post_with(notify::test, about("test_notify", "Send a test message to where people are told")),
        )
        .api_route("/events", get_with(admin::events, about("list_events", "List the events after a cursor")))
        .api_route("/status", get_with(status::status, about("status", "All at a glance")))
}
