//! Repairs as people see and confirm them.

use crate::id::RepairId;
use crate::repair::Step;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step of the ladder, taken or to be confirmed: `GET /api/v1/repairs?drone=NAME`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repair {
    /// Its id.
    pub id: RepairId,
    /// The drone.
    pub drone: String,
    /// What.
    pub step: Step,
    /// Why, in a sentence.
    pub reason: String,
    /// Whether it was only said, and nothing done.
    pub dry_run: bool,
    /// When it was decided, or a person was asked.
    pub begun_at: DateTime<Utc>,
    /// When a person confirmed it.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// From when on it may have happened.
    pub acted_at: Option<DateTime<Utc>>,
    /// What the node answered, in a sentence.
    pub detail: Option<String>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<RepairOutcome>,
}

impl Repair {
    /// Whether a person is asked.
    #[must_use]
    pub const fn waits_for_person(&self) -> bool {
        self.acted_at.is_none() && self.confirmed_at.is_none() && self.ended_at.is_none()
    }
}

/// How a repair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepairOutcome {
    /// The drone was heard after it.
    Revived,
    /// It was done, or tried, and the drone was not heard.
    Failed,
    /// Nobody knows whether it was done: the orchestrator ended meanwhile, or the connection did.
    Unknown,
    /// The node refused; nothing was done.
    Refused,
    /// The node was not reached; nothing was done.
    Unreachable,
    /// It was not needed any more, or not wanted; nothing was done.
    Withdrawn,
    /// No person confirmed it in time; nothing was done.
    Unconfirmed,
}

impl RepairOutcome {
    const ALL: [Self; 7] = [
        Self::Revived,
        Self::Failed,
        Self::Unknown,
        Self::Refused,
        Self::Unreachable,
        Self::Withdrawn,
        Self::Unconfirmed,
    ];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revived => "revived",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Withdrawn => "withdrawn",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// The outcome of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}
