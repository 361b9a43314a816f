//! The event log.

use crate::gentoo::{Cpv, TargetName};
use crate::id::{AttemptId, DroneId, EventId, PackageId, RunId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/events?since=CURSOR&run=RUN`: what happened, in order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events after the cursor.
    pub events: Vec<Event>,
    /// The next cursor: pass it as `since`.
    pub cursor: String,
    /// Whether the page ended before the events did.
    pub more: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its id; ascending within a package.
    pub id: EventId,
    /// When, by Postgres's clock.
    pub at: DateTime<Utc>,
    /// What, as in `package.received`.
    pub kind: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The target of that run.
    pub target: Option<TargetName>,
    /// The package.
    pub package: Option<PackageId>,
    /// What the package is.
    pub cpv: Option<Cpv>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// The drone.
    pub drone: Option<DroneId>,
    /// The drone's name.
    pub drone_name: Option<String>,
    /// Details.
    pub data: serde_json::Value,
}
