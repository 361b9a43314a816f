//! Notifications: whether they arrive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/notify/test`: send a test message to the destinations of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTest {
    /// Only to this one.
    #[serde(default)]
    pub name: Option<String>,
}

/// What came of it at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyTested {
    /// The destination.
    pub name: String,
    /// Why the message did not arrive; none where it did.
    pub error: Option<String>,
}
