//! Tokens: made once, shown once.

use crate::id::TokenId;
use crate::state::Role;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/join-tokens`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJoinToken {
    /// Whether the drone's plans and verdicts will be believed.
    #[serde(default)]
    pub trusted: bool,
    /// How long the token is good, in seconds; a week at most.
    pub ttl_seconds: u32,
    /// The only name that a drone may have that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the drone then waits for a person: [`super::DroneOrder::Approve`].
    #[serde(default)]
    pub ask: bool,
    /// Whether the machine that uses it takes the place of the one that has `name` now.
    #[serde(default)]
    pub replaces: bool,
}

/// `POST /api/v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Admin or viewer; a drone gets its token by enrolment.
    pub role: Role,
    /// Who will use it.
    pub label: String,
}

/// A token, shown once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// The secret.
    pub token: String,
}

/// `GET /api/v1/tokens`: a person's or a script's token that is good. `DELETE /api/v1/tokens/{token}` revokes one, but never
/// the one that it shows: so an admin's is always left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenEntry {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// Admin or viewer.
    pub role: Role,
    /// Who uses it.
    pub label: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    pub own: bool,
}
