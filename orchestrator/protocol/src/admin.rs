//! Targets, runs, packages, drones, events, tokens: what people and scripts see and do.

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::gentoo::{Cpv, Slot, TargetName, WorldAtom};
use crate::id::{AttemptId, BuildId, DroneId, EventId, GenerationNumber, PackageId, RunId};
use crate::plan::Plan;
use crate::resolution::Finding;
use crate::state::{
    AttemptPhase, DroneState, FailureClass, GenerationState, Outcome, PackageState, Role, RunState,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/targets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// Its name: part of the binhost's URLs.
    pub name: TargetName,
    /// Its world set.
    #[serde(default)]
    pub world: Vec<WorldAtom>,
}

/// `PUT /api/v1/targets/{target}/world`: what shall be installable from the target's generations. Runs that begin later
/// resolve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The atoms and sets of a workstation's `/var/lib/portage/world` and `world_sets`.
    pub world: Vec<WorldAtom>,
}

/// A target, with what its clients see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// Its world set, ordered.
    pub world: Vec<WorldAtom>,
    /// The generation that clients see.
    pub current: Option<GenerationNumber>,
    /// The open run, if there is one.
    pub open_run: Option<RunId>,
}

/// `POST /api/v1/targets/{target}/runs`: begin a run. It supersedes the target's open run as soon as it has a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its target.
    pub target: TargetName,
    /// Where it stands.
    pub state: RunState,
    /// Its epoch; none until a drone has resolved it.
    pub epoch: Option<Digest>,
    /// The generation it became.
    pub generation: Option<GenerationNumber>,
    /// Why it stands where it stands.
    pub reason: Option<String>,
    /// What Portage refused, or remarked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its packages by state.
    pub counts: Counts,
}

/// Packages by state, and attempts by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// A package of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// Its slot with sub-slot.
    pub slot: Slot,
    /// Where it stands.
    pub state: PackageState,
    /// How many of its waits are not received.
    pub unmet: i32,
    /// Its scheduling rank in seconds: its own estimate and the longest chain behind it.
    pub rank: f64,
    /// Attempts so far.
    pub attempts: i32,
    /// When it may be tried again.
    pub not_before: Option<DateTime<Utc>>,
    /// Why it is quarantined or blocked.
    pub reason: Option<String>,
    /// Its artifact.
    pub artifact: Option<Artifact>,
}

/// A received artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
}

/// A drone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drone {
    /// Its id.
    pub id: DroneId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: DroneState,
    /// Whether its plans and verdicts are believed.
    pub trusted: bool,
    /// When it was last heard.
    pub seen_at: Option<DateTime<Utc>>,
    /// It finishes what it has and stops.
    pub stopping: bool,
    /// Live attempts.
    pub live: i64,
    /// Failures in a row.
    pub consecutive_failures: i32,
}

/// `PATCH /api/v1/drones/{name}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum DroneOrder {
    /// Finish what it has, get nothing new.
    Drain,
    /// Take work again.
    Resume,
    /// Believe its plans.
    Trust,
    /// Believe its plans no longer.
    Distrust,
}

/// A generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generation {
    /// Its number within the target.
    pub number: GenerationNumber,
    /// Where it stands.
    pub state: GenerationState,
    /// The run that made it.
    pub run: RunId,
    /// How many packages it has.
    pub packages: i64,
    /// When it became current.
    pub promoted_at: Option<DateTime<Utc>>,
}

/// `POST /api/v1/join-tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJoinToken {
    /// Whether the drone's plans and verdicts will be believed.
    #[serde(default)]
    pub trusted: bool,
    /// How long the token is good, in seconds; a week at most.
    pub ttl_seconds: u32,
}

/// `POST /api/v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Admin or viewer; a drone gets its token by enrolment.
    pub role: Role,
    /// Who will use it.
    pub label: String,
}

/// A token, shown once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The secret.
    pub token: String,
}

/// `GET /api/v1/events?since=N`: what happened, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Events {
    /// The events after the cursor.
    pub events: Vec<Event>,
    /// The next cursor: pass it as `since`.
    pub cursor: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id; ascending within a package.
    pub id: EventId,
    /// When, by Postgres's clock.
    pub at: DateTime<Utc>,
    /// What, as in `package.received`.
    pub kind: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The package.
    pub package: Option<PackageId>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// The drone.
    pub drone: Option<DroneId>,
    /// Details.
    pub data: serde_json::Value,
}
