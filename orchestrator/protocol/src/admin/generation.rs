//! Generations: what clients see, and saw.

use crate::id::{GenerationNumber, RunId};
use crate::state::GenerationState;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A generation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Generation {
    /// Its number within the target.
    pub number: GenerationNumber,
    /// Where it stands.
    pub state: GenerationState,
    /// The run that made it.
    pub run: Option<RunId>,
    /// The generation whose set it publishes again, where no run made it.
    pub republishes: Option<GenerationNumber>,
    /// How many packages it has.
    pub packages: i64,
    /// When it became current.
    pub promoted_at: Option<DateTime<Utc>>,
    /// When the orchestrator learnt that the binhost keeps it no longer.
    pub removed_at: Option<DateTime<Utc>>,
    /// Why it was refused, where no run says so.
    pub reason: Option<String>,
    /// Whether the binhost keeps it for good; not known where the binhost does not keep it, or does not answer.
    #[serde(default)]
    pub pinned: Option<bool>,
}

/// `POST /api/v1/targets/{target}/generations`: publish an earlier generation's set again, as a new generation with a new
/// TIMESTAMP (law 9).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    /// The generation whose set it is; the newest one before the current set where absent.
    #[serde(default)]
    pub of: Option<GenerationNumber>,
    /// Even if it has artifacts that were withdrawn, or an older C library than the current one.
    #[serde(default)]
    pub force: bool,
}
