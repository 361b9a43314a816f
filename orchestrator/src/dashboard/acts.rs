//! What forms do: each calls the handler of the API's call, and then shows the page again. [`Order`] has checked who asks.

use super::error::PageError;
use super::extract::Path;
use super::forms::Order;
use crate::api::auth::Admin;
use crate::api::error::ApiError;
use crate::api::extract::{self, Json};
use crate::api::{Shared, admin, generations, runs};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use swarm_protocol::admin::{DroneOrder, Priority, Republish};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, PackageId, RunId};

type Done = Result<Redirect, PageError>;

/// The page again, if the API's call succeeded. Names in its path are such as were found.
fn then<T>(acted: Result<T, ApiError>, page: &str) -> Done {
    acted?;
    Ok(Redirect::to(page))
}

fn invalid(what: &str) -> PageError {
    PageError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid value", what)
}

/// Lets a frozen run go on.
pub(super) async fn thaw(State(app): State<Shared>, Path(run): Path<RunId>, _: Order) -> Done {
    then(runs::thaw(State(app), Admin, extract::Path(run)).await, &format!("/runs/{run}"))
}

/// Cancels a run.
pub(super) async fn cancel(State(app): State<Shared>, Path(run): Path<RunId>, _: Order) -> Done {
    then(runs::cancel(State(app), Admin, extract::Path(run)).await, &format!("/runs/{run}"))
}

/// Ends a package's pause.
pub(super) async fn retry(State(app): State<Shared>, Path(package): Path<PackageId>, _: Order) -> Done {
    then(runs::retry(State(app), Admin, extract::Path(package)).await, &format!("/packages/{package}"))
}

/// Releases a quarantined package.
pub(super) async fn release(State(app): State<Shared>, Path(package): Path<PackageId>, _: Order) -> Done {
    then(runs::release(State(app), Admin, extract::Path(package)).await, &format!("/packages/{package}"))
}

/// Sets a package's priority.
pub(super) async fn prioritise(
    State(app): State<Shared>,
    Path(package): Path<PackageId>,
    Order(fields): Order,
) -> Done {
    let priority = fields.get("priority").parse().map_err(|_| invalid("A priority is -100 to 100."))?;
    then(
        runs::prioritise(State(app), Admin, extract::Path(package), Json(Priority { priority })).await,
        &format!("/packages/{package}"),
    )
}

/// Gives a drone an order.
pub(super) async fn order_drone(
    State(app): State<Shared>,
    Path(name): Path<String>,
    Order(fields): Order,
) -> Done {
    let order = match fields.get("do") {
        "drain" => DroneOrder::Drain,
        "resume" => DroneOrder::Resume,
        "ground" => {
            DroneOrder::Ground { seconds: minutes(fields.get("minutes"))?.map(|minutes| minutes * 60) }
        }
        _ => return Err(invalid("A drone is told to drain, to resume, or is grounded.")),
    };
    let page = format!("/drones/{name}");
    then(admin::order_drone(State(app), Admin, extract::Path(name), Json(order)).await, &page)
}

/// A week at most; none is until somebody ends it.
fn minutes(text: &str) -> Result<Option<u32>, PageError> {
    if text.is_empty() {
        return Ok(None);
    }
    let minutes = text.parse().ok().filter(|minutes| (1..=10_080).contains(minutes));
    minutes
        .map(Some)
        .ok_or_else(|| invalid("A drone is grounded for 1 to 10080 minutes, or until it is resumed."))
}

/// Publishes an earlier generation's set again.
pub(super) async fn republish(
    State(app): State<Shared>,
    Path(target): Path<TargetName>,
    Order(fields): Order,
) -> Done {
    let of = fields.get("of").parse().map_err(|_| invalid("A generation has a number."))?;
    let order = Republish { of: Some(GenerationNumber(of)), force: !fields.get("force").is_empty() };
    then(
        generations::republish(State(app), Admin, extract::Path(target.clone()), Json(order)).await,
        &format!("/targets/{target}/generations"),
    )
}
