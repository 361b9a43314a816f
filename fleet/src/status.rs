//! Drift: how a machine differs from what shall be there, and what the swarm says of its drone.

use crate::survey::{Found, Surveyed};
use crate::topology::{Node, Role};
use crate::trouble::Trouble;
use serde::Serialize;
use std::collections::BTreeMap;
use swarm_protocol::admin::Drone;
use swarm_protocol::state::DroneState;

/// From here on a clock is said to be wrong.
const SKEW_SECONDS: i64 = 10;

/// How a machine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The machine.
    pub node: String,
    /// Whether it is as it shall be.
    pub is_good: bool,
    /// What the swarm says of its drone: *online*, *offline*, ….
    pub drone: Option<DroneState>,
    /// How it differs; a line each.
    pub drift: Vec<String>,
    /// Why nothing is known of it.
    pub trouble: Option<Trouble>,
}

/// How a machine stands; `drones` are the swarm's.
#[must_use]
pub fn status(surveyed: &Surveyed, drones: &[Drone]) -> Status {
    let node = &surveyed.node;
    let drone = drones.iter().find(|drone| node.is(Role::Drone) && drone.name == node.name.as_str());
    let mut drift = match &surveyed.found {
        Ok(found) => of_machine(found),
        Err(_) => Vec::new(),
    };
    drift.extend(of_swarm(node, drone));
    let trouble = surveyed.found.as_ref().err().cloned();
    Status {
        node: node.name.to_string(),
        is_good: drift.is_empty() && trouble.is_none(),
        drone: drone.map(|drone| drone.state),
        drift,
        trouble,
    }
}

fn of_machine(found: &Found) -> Vec<String> {
    let mut drift = found.plan.diff(&BTreeMap::new());
    if found.skew_seconds.abs() >= SKEW_SECONDS {
        drift.push(format!("~ its clock is {} s off", found.skew_seconds));
    }
    drift
}

fn of_swarm(node: &Node, drone: Option<&Drone>) -> Vec<String> {
    if !node.is(Role::Drone) {
        return Vec::new();
    }
    let Some(drone) = drone else { return vec!["~ the swarm knows no drone of that name".to_owned()] };
    let mut drift = Vec::new();
    if drone.state != DroneState::Online {
        drift.push(format!("~ the swarm says that it is {}", drone.state));
    }
    let unbrought = drone.unbrought.iter();
    drift
        .extend(unbrought.map(|one| {
            format!("~ it is not at definition {} of {}: {}", one.number, one.target, one.reason)
        }));
    drift
}
