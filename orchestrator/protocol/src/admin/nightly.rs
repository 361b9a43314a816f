//! Nightly updates, and whether the next one comes.

use crate::gentoo::TargetName;
use crate::id::{NightlyId, RunId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/targets/{target}/nightlies`: a nightly update begins, and says so before it does anything. Refused while
/// another one of the target is on its way (`conflict`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNightly {
    /// Where it runs, for people: 1 to 255 characters.
    pub host: String,
    /// How long after this one's begin the next one begins, in seconds: a minute at least, a year at most. When it is
    /// overdue by a twelfth of that, there is an alarm.
    pub period_seconds: u32,
}

/// `POST /api/v1/nightlies/{nightly}/end`: it is over. May be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndNightly {
    /// *succeeded* or *failed*.
    pub result: NightlyResult,
    /// Why it failed, in a sentence; 1,000 characters are kept.
    #[serde(default)]
    pub reason: Option<String>,
    /// The run that it began.
    #[serde(default)]
    pub run: Option<RunId>,
}

/// How a nightly update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NightlyResult {
    /// It did what it had to.
    Succeeded,
    /// It could not.
    Failed,
    /// It said nothing more, and the next one has begun.
    Vanished,
}

impl NightlyResult {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Vanished => "vanished",
        }
    }

    /// What the database says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Vanished].into_iter().find(|result| result.as_str() == text)
    }
}

/// A nightly update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nightly {
    /// Its id.
    pub id: NightlyId,
    /// The target.
    pub target: TargetName,
    /// Where it runs.
    pub host: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long after that the next one begins, in seconds.
    pub period_seconds: u32,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: Option<NightlyResult>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The run that it began.
    pub run: Option<RunId>,
}

/// `GET /api/v1/targets/{target}/nightlies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nightlies {
    /// When the next one has to have begun; none where none is expected. `DELETE` on the same path expects none.
    pub due_at: Option<DateTime<Utc>>,
    /// The newest thirty, newest first.
    pub nightlies: Vec<Nightly>,
}
