//! The generations that a binhost keeps: which there are, which are pinned, how they differ. The binhost answers; the
//! orchestrator passes the answers on to people, and notes which are kept no longer.

use crate::digest::Digest;
use crate::gentoo::Cpv;
use crate::id::{BuildId, GenerationNumber};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A generation that is in the binhost's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Its number.
    pub number: GenerationNumber,
    /// Its index's TIMESTAMP in Unix seconds.
    pub timestamp: i64,
    /// Retention never removes it.
    pub pinned: bool,
}

/// Which two generations to compare: `?from=7&to=8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The earlier one; the one that was current before `to` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<GenerationNumber>,
    /// The later one; the current one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<GenerationNumber>,
}

/// What a workstation gets by going from one generation to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The earlier generation; none, and an empty set, if `to` is the first.
    pub from: Option<GenerationNumber>,
    /// The later one.
    pub to: GenerationNumber,
    /// Ordered by category, name and slot.
    pub changes: Vec<Change>,
}

/// What becomes of a package in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// In a word.
    pub kind: ChangeKind,
    /// Category and name.
    pub package: String,
    /// Without the sub-slot.
    pub slot: String,
    /// What was there.
    pub from: Option<Instance>,
    /// What is there now.
    pub to: Option<Instance>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It has another version, be it a lower one.
    Updated,
    /// It has the same version in other bytes.
    Rebuilt,
    /// It is no longer there.
    Removed,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Rebuilt => "rebuilt",
            Self::Removed => "removed",
        })
    }
}

/// An artifact of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Name and version.
    pub cpv: Cpv,
    /// Which of the builds of that version.
    pub build_id: BuildId,
    /// The bytes that are served.
    pub published: Digest,
}
