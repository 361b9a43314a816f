//! Packages of a run, their attempts, artifacts and logs.

use crate::digest::Digest;
use crate::drone::Usage;
use crate::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use crate::id::{AttemptId, BuildId, PackageId, RunId};
use crate::plan::About;
use crate::state::{AttemptPhase, EdgeKind, FailureClass, Outcome, PackageState, RunState};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A package of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// 0 is the package itself. An early stage of packages that wait for each other counts from 1, and is not in the generation.
    #[serde(default)]
    pub stage: i16,
    /// Its slot with sub-slot.
    pub slot: Slot,
    /// Where it stands.
    pub state: PackageState,
    /// How many of its waits are not received.
    pub unmet: i32,
    /// Its scheduling rank in seconds: its own estimate and the longest chain behind it.
    pub rank: f64,
    /// A person's wish: what has more goes first, whatever its rank.
    #[serde(default)]
    pub priority: i16,
    /// Attempts so far.
    pub attempts: i32,
    /// The drone that holds it.
    #[serde(default)]
    pub drone: Option<String>,
    /// When it may be tried again.
    pub not_before: Option<DateTime<Utc>>,
    /// Why it is quarantined or blocked.
    pub reason: Option<String>,
    /// Its artifact.
    pub artifact: Option<Artifact>,
    /// What it is, who wants it, and why it is built; not known of a plan that a person posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// `PUT /api/v1/packages/{package}/priority`: a person's wish. What the package waits for gets as much at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// -100 to 100; 0 is nobody's wish.
    pub priority: i16,
}

/// `GET /api/v1/packages/{package}`: a package with its surroundings.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PackageDetail {
    /// The package.
    #[serde(flatten)]
    pub package: Package,
    /// Its run.
    pub run: RunId,
    /// Where its run stands.
    pub run_state: RunState,
    /// Its run's target.
    pub target: TargetName,
    /// The repository of its ebuild.
    pub repository: RepoName,
    /// The enabled flags.
    #[serde(rename = "use")]
    pub use_flags: Vec<UseFlag>,
    /// How long a build is expected to take, in seconds.
    pub estimate_seconds: f64,
    /// What it needs, by Portage's kinds of dependencies.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What must be received before it can build.
    pub waits_for: Vec<Neighbour>,
    /// What cannot build before it is received.
    pub awaited_by: Vec<Neighbour>,
    /// Its attempts, oldest first.
    pub tries: Vec<Attempt>,
    /// When this was so, by Postgres's clock.
    pub now: DateTime<Utc>,
}

/// A dependency between two packages of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    /// What is needed.
    pub cpv: Cpv,
    /// For what.
    pub kinds: Vec<EdgeKind>,
}

/// A package that another one waits for, or that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// Its id.
    pub id: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// As in [`Package::stage`].
    #[serde(default)]
    pub stage: i16,
    /// Where it stands.
    pub state: PackageState,
}

/// A received artifact.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// What the drone made.
    pub built: Digest,
    /// What is published.
    pub published: Digest,
    /// The BUILD_ID.
    pub build_id: BuildId,
    /// The path below the target.
    pub path: String,
    /// Its bytes.
    pub size: i64,
    /// The drone that built it.
    pub drone: String,
}

/// An attempt at a package.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Counts the package's attempts from 1.
    pub number: i32,
    /// The drone.
    pub drone: String,
    /// How far it is.
    pub phase: AttemptPhase,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whose fault a failure was.
    pub class: Option<FailureClass>,
    /// A sentence on why.
    pub reason: Option<String>,
    /// The log's telling lines.
    pub excerpt: Option<String>,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When it began to build.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it used on its drone, where the drone has said so.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// `GET /api/v1/attempts/{attempt}`: an attempt and what it is at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AttemptDetail {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The run.
    pub run: RunId,
    /// The package.
    pub package: PackageId,
    /// What the package is.
    pub cpv: Cpv,
}

/// `GET /api/v1/attempts/{attempt}/log?since=N`: what follows the first N chunks of an attempt's log. The text is the
/// body; the rest is in headers.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// As the build wrote it.
    pub text: Vec<u8>,
    /// The next cursor: pass it as `since`.
    pub cursor: i32,
    /// Whether the attempt has ended; its last lines may still follow.
    pub ended: bool,
}

impl LogPage {
    /// The header with the next cursor.
    pub const CURSOR: &str = "swarm-log-cursor";
    /// The header that is `true` when the attempt has ended.
    pub const ENDED: &str = "swarm-log-ended";
}
