//! Enrolment: a machine becomes a drone, and stays the only one that is it.
//!
//! A join token that an admin made is the approval, unless it says that a person is asked. What is recorded of the machine,
//! its id and its ssh host key, is compared whenever the name is claimed again: a forgotten container that has a drone's
//! name, or a copy of its configuration, does not become that drone.

use super::Shared;
use super::error::ApiError;
use super::extract::Json;
use crate::db::drones::{self, Applicant, Enrolled as Known};
use crate::db::events::{self, NewEvent};
use crate::db::tokens::{self, Join};
use crate::maintenance;
use axum::extract::State;
use sqlx::PgConnection;
use swarm_protocol::Code;
use swarm_protocol::drone::{Enrol, Enrolled};
use swarm_protocol::id::DroneId;
use swarm_protocol::state::Role;

/// Trades a join token for a drone's own; a drone that enrols again from the same machine gets a new one.
pub async fn enrol(
    State(app): State<Shared>,
    Json(enrol): Json<Enrol>,
) -> Result<axum::Json<Enrolled>, ApiError> {
    check_name(&enrol.name)?;
    if enrol.machine_id.is_empty() || enrol.machine_id.len() > 128 {
        return Err(ApiError::new(Code::InvalidValue, "machine_id has 1 to 128 characters"));
    }
    let new =
        Applicant { name: &enrol.name, machine_id: &enrol.machine_id, host_key: enrol.host_key.as_ref() };
    let mut tx = app.db.begin().await?;
    let join = tokens::lock_join(&mut tx, &enrol.join_token).await?.ok_or_else(|| {
        ApiError::new(Code::Unauthenticated, "the join token is not known, was used, or has expired")
    })?;
    if let Some(name) = join.drone_name.as_deref().filter(|name| *name != new.name) {
        let detail = format!("this join token is for the drone {name}, not for {}", new.name);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    let drone = admit(&mut tx, new, &join).await?;
    tokens::revoke_of_drone(&mut tx, drone).await?;
    let token = tokens::generate("drone").map_err(|_| ApiError::new(Code::Internal, "no randomness"))?;
    tokens::insert(&mut *tx, &token, Role::Drone, Some(drone), new.name).await?;
    tokens::use_join(&mut tx, join.id, drone).await?;
    tx.commit().await?;
    maintenance::end_orphans(&app).await?;
    Ok(axum::Json(Enrolled { drone, token }))
}

/// A name that a drone may have.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let fits = name.len() <= 63
        && name.chars().all(allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let refused =
        || ApiError::new(Code::InvalidValue, "a drone's name is 1 to 63 of [a-z0-9.-], as a host's is");
    fits.then_some(()).ok_or_else(refused)
}

/// A new drone, or the one that it was before.
async fn admit(tx: &mut PgConnection, new: Applicant<'_>, join: &Join) -> Result<DroneId, ApiError> {
    if let Some(drone) = drones::insert(tx, new, join.trusted, join.ask).await? {
        tell(tx, drone, "drone.enrolled", new).await?;
        return Ok(drone);
    }
    let known = drones::lock_enrolled(tx, new.name).await?;
    let same_key = known.host_key == new.host_key.map(ToString::to_string);
    if known.machine_id == new.machine_id && same_key {
        return Ok(known.id);
    }
    // A key where there was none is more to know of the same machine.
    let more = known.machine_id == new.machine_id && known.host_key.is_none();
    if !more && !join.replaces {
        return Err(ApiError::new(Code::Conflict, stranger(&known, new)));
    }
    drones::replace(tx, known.id, new).await?;
    tell(tx, known.id, if more { "drone.enrolled" } else { "drone.replaced" }, new).await?;
    Ok(known.id)
}

fn stranger(known: &Known, new: Applicant<'_>) -> String {
    let what = if known.machine_id == new.machine_id {
        "its machine has another ssh host key than this one"
    } else {
        "it is another machine than this one"
    };
    let name = new.name;
    format!(
        "there is a drone {name} already, and {what}; if this is a new drone, give it another name; if it takes the place \
         of that one, let an admin make its token with `swarm join-token --name {name} --replace`"
    )
}

async fn tell(tx: &mut PgConnection, drone: DroneId, kind: &str, new: Applicant<'_>) -> sqlx::Result<()> {
    let data = serde_json::json!({ "host_key": new.host_key });
    events::append(tx, NewEvent { kind, drone: Some(drone), data, ..NewEvent::default() }).await
}
