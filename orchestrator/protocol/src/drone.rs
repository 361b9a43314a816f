//! What a drone says and hears. Every report is fenced by attempt, token and session, and may be repeated (law 2).

mod report;

pub use report::{
    Complete, Completed, Completion, Fail, Fence, HandBack, LogChunk, Phases, Start, Usage, is_span,
};

use crate::definition::Definition;
use crate::digest::Digest;
use crate::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use crate::host_key::HostKey;
use crate::id::{
    AttemptId, AttemptToken, BuildId, DefinitionId, DroneId, PackageId, RunId, SessionId, SessionNonce,
};
use crate::state::AttemptPhase;
use crate::ticket::SignedTicket;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/drone/enrol`: a join token becomes a drone's own bearer token. Needs no other token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The one-time token that an admin made.
    pub join_token: String,
    /// The name that the drone will have; unique.
    pub name: String,
    /// The machine's `/etc/machine-id`, so that a copy cannot take the drone's place.
    pub machine_id: String,
    /// Its ssh host key, where it has one: it is recorded beside the machine id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<HostKey>,
}

/// The answer to [`Enrol`]; the token is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// The drone.
    pub drone: DroneId,
    /// Its bearer token.
    pub token: String,
}

/// `POST /api/v1/drone/sessions`: the drone's process has started. Ends the former session's attempts (law 6).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// [`crate::PROTOCOL_VERSION`] of the drone.
    pub protocol: u32,
    /// The drone's version, for people.
    pub version: String,
    /// Made once by this process.
    pub nonce: SessionNonce,
    /// As at enrolment.
    pub machine_id: String,
    /// Logical processors that builds may use.
    pub cores: u16,
    /// Bytes of memory in the machine.
    pub memory_bytes: u64,
    /// The digest of the program that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Digest>,
    /// The digest of the configuration file that it read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Digest>,
}

/// The answer to [`OpenSession`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The session, named in every later call.
    pub session: SessionId,
    /// The drone's name as the orchestrator knows it.
    pub name: String,
    /// Seconds between heartbeats.
    pub heartbeat_seconds: u32,
    /// The binhost's base URL.
    pub binhost_url: String,
}

/// `POST /api/v1/drone/heartbeat`, every few seconds; below 1 KiB.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The drone's session.
    pub session: SessionId,
    /// The attempts it holds.
    pub held: Vec<Held>,
    /// The number of the last claim request that has been answered or given up. An attempt that an older request
    /// brought and that is not in `held` is returned at once.
    pub settled_request: i64,
    /// Bytes of memory available now.
    pub memory_free_bytes: u64,
    /// Bytes of disk free for builds.
    pub disk_free_bytes: u64,
    /// The one-minute load average.
    pub load: f32,
    /// The drone finishes what it has and asks for nothing more.
    #[serde(default)]
    pub draining: bool,
    /// When it was sent, by the machine's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

/// An attempt that a drone holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The attempt.
    pub attempt: AttemptId,
    /// Grows whenever the build shows progress: bytes of log, for instance.
    pub progress: u64,
    /// Portage's phase, where known.
    #[serde(default)]
    pub phase: Option<String>,
}

/// The answer to [`Heartbeat`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAnswer {
    /// Attempts of `held` that are no longer this session's: stop and forget them, unless `regained` says otherwise.
    pub revoked: Vec<AttemptId>,
    /// Attempts that had been reclaimed while the drone was away, with their new identity: go on compiling.
    pub regained: Vec<Regained>,
}

/// A reclaimed package that its returning drone keeps, under a new attempt (law 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Regained {
    /// The attempt that was reclaimed.
    pub former: AttemptId,
    /// The claim that takes its place, already in the phase *building*.
    pub claim: Claim,
}

/// `POST /api/v1/drone/definitions`: a long-poll for what the drone shall bring itself to. It is answered as soon as
/// other definitions are wanted than those that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefinitionsRequest {
    /// The drone's session.
    pub session: SessionId,
    /// The definitions that the drone has brought itself to, or has given up.
    pub known: Vec<DefinitionId>,
    /// All that it cannot bring itself to at the moment; it tries again by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbrought: Vec<Unbrought>,
    /// How long to wait, in seconds, 60 at most.
    pub wait_seconds: u16,
}

/// A definition that a drone cannot bring itself to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unbrought {
    /// The definition.
    pub definition: DefinitionId,
    /// Why, in a sentence.
    pub reason: String,
}

/// The answer to [`DefinitionsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefinitionsAnswer {
    /// All that are wanted now: those of open runs, and the newest of each target. What is not among them is needed no
    /// more.
    pub definitions: Vec<WantedDefinition>,
}

/// A definition that drones shall hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WantedDefinition {
    /// The target.
    pub target: TargetName,
    /// What it is.
    pub definition: Definition,
    /// Bearer token for the binhost: its bundles. It is good for an hour; another poll brings a fresh one.
    pub ticket: SignedTicket,
}

/// `POST /api/v1/drone/claims`: a long-poll for work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The drone's session.
    pub session: SessionId,
    /// Counts the session's claim requests from 1. Repeating a number returns the same claims.
    pub request: i64,
    /// How many packages are wanted at most.
    pub want: u16,
    /// How many of these the drone would not begin at once, since it builds something else: they are given only where that
    /// should end soon.
    #[serde(default)]
    pub ahead: u16,
    /// The epochs that the drone can build under.
    pub epochs: Vec<Digest>,
    /// Bytes of memory available now.
    pub memory_free_bytes: u64,
    /// Bytes of disk free for builds.
    pub disk_free_bytes: u64,
    /// How long to wait for work, in seconds, 60 at most.
    pub wait_seconds: u16,
}

/// The answer to [`ClaimRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimAnswer {
    /// What the drone may build now; empty when nothing came within the time.
    pub claims: Vec<Claim>,
    /// Why there is nothing, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// A drone's right to build one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// The attempt; part of every report.
    pub attempt: AttemptId,
    /// Counts the package's attempts from 1.
    pub number: i32,
    /// Part of every report.
    pub token: AttemptToken,
    /// The attempt's phase: *held*, *building* for regained ones.
    pub phase: AttemptPhase,
    /// The run.
    pub run: RunId,
    /// The package.
    pub package: PackageId,
    /// The run's target.
    pub target: TargetName,
    /// The run's epoch.
    pub epoch: Digest,
    /// What to build.
    pub cpv: Cpv,
    /// 0 is the package itself. What an early stage of packages that wait for each other gives is never published; in its
    /// root, earlier builds may stand for what is not built yet.
    #[serde(default)]
    pub stage: i16,
    /// Its slot with sub-slot.
    pub slot: Slot,
    /// The repository of its ebuild.
    pub repository: RepoName,
    /// The enabled USE flags.
    #[serde(rename = "use")]
    pub use_flags: Vec<UseFlag>,
    /// The BUILD_ID that the artifact must carry.
    pub build_id: BuildId,
    /// Exactly what must be installed in the root before, dependencies before dependents.
    pub closure: Vec<Dependency>,
    /// What has less USE than the epoch gives it: the package itself, or something in its closure, as an early stage of
    /// packages that wait for each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduced: Vec<ReducedUse>,
    /// How often the drone shall halve its number of parallel jobs: the build ran out of memory with more.
    #[serde(default)]
    pub halvings: u8,
    /// Bearer token for the binhost: this attempt's upload, this run's staging view.
    pub ticket: SignedTicket,
    /// Bearer token for the binhost: the swarm's source archives.
    pub distfiles: SignedTicket,
    /// The largest artifact in bytes.
    pub max_artifact_bytes: u64,
    /// How long the build may take, in seconds of wall-clock time.
    pub limit_seconds: u64,
}

/// A package with flags off that the epoch's configuration turns on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReducedUse {
    /// The package.
    pub cpv: Cpv,
    /// The flags.
    pub disabled: Vec<UseFlag>,
}

/// A received package that a build, or a base root, needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// Name and version.
    pub cpv: Cpv,
    /// Its BUILD_ID, which the root's VDB must show after the installation.
    pub build_id: BuildId,
    /// The path in every index of its target.
    pub path: String,
    /// The digest of the file there.
    pub published: Digest,
    /// Its bytes.
    pub size: u64,
}

/// `POST /api/v1/drone/sessions/close`: the process ends and holds nothing more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseSession {
    /// The session.
    pub session: SessionId,
}
