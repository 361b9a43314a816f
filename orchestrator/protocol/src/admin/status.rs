//! The swarm at a glance.

use super::drone::Drone;
use super::run::Run;
use crate::gentoo::{Cpv, TargetName};
use crate::id::{GenerationNumber, PackageId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/status`: the swarm at a glance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// When this was so, by Postgres's clock.
    pub now: DateTime<Utc>,
    /// The orchestrator's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What works less well, in sentences, as `/readyz` says it.
    pub degraded: Vec<String>,
    /// The targets by name.
    pub targets: Vec<TargetStatus>,
    /// The open runs.
    pub runs: Vec<RunStatus>,
    /// The drones by name.
    pub drones: Vec<Drone>,
}

/// A target at a glance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TargetStatus {
    /// Its name.
    pub name: TargetName,
    /// How many atoms and sets its world set has, with those of its workstations.
    pub world: i32,
    /// The generation that clients see.
    pub current: Option<GenerationNumber>,
    /// Since when they see it.
    pub promoted_at: Option<DateTime<Utc>>,
}

/// An open run, with what holds it up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its quarantined packages.
    pub quarantined: Vec<Obstacle>,
}

/// A quarantined package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Obstacle {
    /// Its id.
    pub package: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// Why.
    pub reason: Option<String>,
    /// How many packages are blocked behind it. A package behind several counts for one of them.
    pub blocks: usize,
}
