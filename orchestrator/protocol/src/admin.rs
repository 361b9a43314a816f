//! Targets, runs, packages, drones, events, tokens: what people and scripts see and do.

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag, WorldAtom};
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// Its name.
    pub drone: String,
    /// Since when.
    pub since: DateTime<Utc>,
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
    /// The drone that holds it.
    #[serde(default)]
    pub drone: Option<String>,
    /// When it may be tried again.
    pub not_before: Option<DateTime<Utc>>,
    /// Why it is quarantined or blocked.
    pub reason: Option<String>,
    /// Its artifact.
    pub artifact: Option<Artifact>,
}

/// `GET /api/v1/packages/{package}`: a package with its surroundings.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// What must be received before it can build.
    pub waits_for: Vec<Neighbour>,
    /// What cannot build before it is received.
    pub awaited_by: Vec<Neighbour>,
    /// Its attempts, oldest first.
    pub tries: Vec<Attempt>,
    /// When this was so, by Postgres's clock.
    pub now: DateTime<Utc>,
}

/// A package that another one waits for, or that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its id.
    pub id: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// Where it stands.
    pub state: PackageState,
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
    /// Until when it is grounded; until a person resumes it where absent.
    pub grounded_until: Option<DateTime<Utc>>,
    /// Whether its plans and verdicts are believed.
    pub trusted: bool,
    /// When its process began.
    pub session_since: Option<DateTime<Utc>>,
    /// When it was last heard.
    pub seen_at: Option<DateTime<Utc>>,
    /// Its free memory in bytes, when it was last heard.
    pub memory_free_bytes: Option<i64>,
    /// The free bytes where it builds, when it was last heard.
    pub disk_free_bytes: Option<i64>,
    /// It finishes what it has and stops.
    pub stopping: bool,
    /// Its live attempts, oldest first.
    pub work: Vec<Work>,
    /// Failures in a row.
    pub consecutive_failures: i32,
}

/// A live attempt, as its drone's work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// The attempt.
    pub attempt: AttemptId,
    /// The run.
    pub run: RunId,
    /// The package.
    pub package: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// How far it is.
    pub phase: AttemptPhase,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When it began to build.
    pub started_at: Option<DateTime<Utc>>,
    /// How long the build is expected to take, in seconds.
    pub estimate_seconds: f64,
}

/// `PATCH /api/v1/drones/{name}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum DroneOrder {
    /// Finish what it has, get nothing new.
    Drain,
    /// Take work again.
    Resume,
    /// Get nothing new, and give back what it has not started.
    Ground {
        /// For how long; until it is resumed where absent.
        #[serde(default)]
        seconds: Option<u32>,
    },
    /// Believe its plans.
    Trust,
}

/// The answer to `POST /api/v1/drones/{name}/distrust`: believe a drone no longer, and withdraw what it made (law 11).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distrusted {
    /// The drone: not trusted, and draining.
    pub drone: Drone,
    /// How many artifacts are withdrawn now: those that it made, and those that were built with them installed.
    pub withdrawn: i64,
    /// The runs that had received some of them. They are cancelled; what a next run may keep of them, it keeps.
    pub cancelled: Vec<RunId>,
    /// What clients can still install of them, until a next run is promoted.
    pub published: Vec<Withdrawn>,
}

/// A withdrawn artifact that clients can install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The target.
    pub target: TargetName,
    /// Its current generation, or the one that is about to be.
    pub generation: GenerationNumber,
    /// What it is.
    pub cpv: Cpv,
    /// Its BUILD_ID.
    pub build_id: BuildId,
}

/// A generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Why it was refused, where no run says so.
    pub reason: Option<String>,
}

/// `POST /api/v1/targets/{target}/generations`: publish an earlier generation's set again, as a new generation with a new
/// TIMESTAMP (law 9).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    /// The generation whose set it is; the newest one before the current set where absent.
    #[serde(default)]
    pub of: Option<GenerationNumber>,
    /// Even if it has artifacts that were withdrawn, or an older C library than the current one.
    #[serde(default)]
    pub force: bool,
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

/// `GET /api/v1/events?since=CURSOR&run=RUN`: what happened, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Events {
    /// The events after the cursor.
    pub events: Vec<Event>,
    /// The next cursor: pass it as `since`.
    pub cursor: String,
    /// Whether the page ended before the events did.
    pub more: bool,
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
    /// The target of that run.
    pub target: Option<TargetName>,
    /// The package.
    pub package: Option<PackageId>,
    /// What the package is.
    pub cpv: Option<Cpv>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// The drone.
    pub drone: Option<DroneId>,
    /// The drone's name.
    pub drone_name: Option<String>,
    /// Details.
    pub data: serde_json::Value,
}

/// `GET /api/v1/status`: the swarm at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// When this was so, by Postgres's clock.
    pub now: DateTime<Utc>,
    /// What works less well, in sentences, as `/readyz` says it.
    pub degraded: Vec<String>,
    /// The targets by name.
    pub targets: Vec<TargetStatus>,
    /// The open runs.
    pub runs: Vec<RunStatus>,
    /// The drones by name.
    pub drones: Vec<Drone>,
}

/// A target at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: TargetName,
    /// How many atoms and sets its world set has.
    pub world: i32,
    /// The generation that clients see.
    pub current: Option<GenerationNumber>,
    /// Since when they see it.
    pub promoted_at: Option<DateTime<Utc>>,
}

/// An open run, with what holds it up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunStatus {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its quarantined packages.
    pub quarantined: Vec<Obstacle>,
}

/// A quarantined package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Its id.
    pub package: PackageId,
    /// What it is.
    pub cpv: Cpv,
    /// Why.
    pub reason: Option<String>,
    /// How many packages are blocked behind it. A package behind several counts for one of them.
    pub blocks: usize,
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
