//! Why something does not happen.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/packages/{package}/why` and `GET /api/v1/drones/{name}/why`: why a package is not being built, or what a
/// drone has no work for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Which package or drone.
    pub subject: String,
    /// In a sentence.
    pub answer: String,
    /// What stands behind it, most telling first.
    pub causes: Vec<Cause>,
}

/// A part of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The drone or package that it is about.
    pub subject: String,
    /// A stable word for it: a reason of the scheduler, a package's state, or an attempt's failure class.
    pub reason: String,
    /// In a sentence.
    pub text: String,
    /// When it ends by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}
