//! Runs: begin, watch, count.

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::gentoo::{Cpv, TargetName};
use crate::id::{GenerationNumber, RunId};
use crate::plan::Plan;
use crate::resolution::Finding;
use crate::state::{PackageState, RunState};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/targets/{target}/runs`: begin a run. It supersedes the target's open run as soon as it has a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// What all of its builds are made under; where absent, the epoch of the drone that resolves it.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// The plan, where it is known already, with its epoch; else a trusted drone resolves the target's world set.
    #[serde(default)]
    pub plan: Option<Plan>,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its target.
    pub target: TargetName,
    /// Where it stands.
    pub state: RunState,
    /// Its epoch; none until a drone has resolved it.
    pub epoch: Option<Digest>,
    /// The number of the target's definition that it is resolved and built under; none where drones' own configuration counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<i32>,
    /// The generation it became.
    pub generation: Option<GenerationNumber>,
    /// Why it stands where it stands.
    pub reason: Option<String>,
    /// What Portage refused, or remarked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What it does without: quarantined packages whose older versions stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Cpv>,
    /// The run whose shortcoming it was begun to mend, by the swarm itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mends: Option<RunId>,
    /// Who resolves it at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its packages by state.
    pub counts: Counts,
}

/// A drone that resolves a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolver {
    /// Its name.
    pub drone: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Packages by state, and attempts by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All packages.
    pub total: i64,
    /// To be built, with those that wait.
    pub needed: i64,
    /// Of the needed, those that nothing holds back.
    pub ready: i64,
    /// On a drone.
    pub delegated: i64,
    /// Staged.
    pub received: i64,
    /// Of the received, those that were kept from earlier runs.
    pub kept: i64,
    /// Behind a quarantined one.
    pub blocked: i64,
    /// Failed for good.
    pub quarantined: i64,
    /// Attempts that have begun to build.
    pub attempted: i64,
    /// Attempts whose artifact was received.
    pub succeeded: i64,
    /// Attempts that failed.
    pub failed: i64,
}

impl Counts {
    /// The packages by state, in the order of a package's life.
    #[must_use]
    pub const fn by_state(&self) -> [(PackageState, i64); 5] {
        [
            (PackageState::Needed, self.needed),
            (PackageState::Delegated, self.delegated),
            (PackageState::Received, self.received),
            (PackageState::Blocked, self.blocked),
            (PackageState::Quarantined, self.quarantined),
        ]
    }
}
