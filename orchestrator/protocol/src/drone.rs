//! What a drone says and hears. Every report is fenced by attempt, token and session, and may be repeated (law 2).

use crate::definition::Definition;
use crate::digest::Digest;
use crate::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use crate::id::{
    AttemptId, AttemptToken, BuildId, DefinitionId, DroneId, PackageId, RunId, SessionId, SessionNonce,
};
use crate::state::{AttemptPhase, FailureClass};
use crate::ticket::SignedTicket;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/drone/enrol`: a join token becomes a drone's own bearer token. Needs no other token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The one-time token that an admin made.
    pub join_token: String,
    /// The name that the drone will have; unique.
    pub name: String,
    /// The machine's `/etc/machine-id`, so that a copy cannot take the drone's place.
    pub machine_id: String,
}

/// The answer to [`Enrol`]; the token is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    /// The drone.
    pub drone: DroneId,
    /// Its bearer token.
    pub token: String,
}

/// `POST /api/v1/drone/sessions`: the drone's process has started. Ends the former session's attempts (law 6).
#[derive(Clone, Debug, Serialize, Deserialize)]
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
}

/// The answer to [`OpenSession`].
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
}

/// An attempt that a drone holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Attempts of `held` that are no longer this session's: stop and forget them, unless `regained` says otherwise.
    pub revoked: Vec<AttemptId>,
    /// Attempts that had been reclaimed while the drone was away, with their new identity: go on compiling.
    pub regained: Vec<Regained>,
}

/// A reclaimed package that its returning drone keeps, under a new attempt (law 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regained {
    /// The attempt that was reclaimed.
    pub former: AttemptId,
    /// The claim that takes its place, already in the phase *building*.
    pub claim: Claim,
}

/// `POST /api/v1/drone/definitions`: a long-poll for what the drone shall bring itself to. It is answered as soon as
/// other definitions are wanted than those that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unbrought {
    /// The definition.
    pub definition: DefinitionId,
    /// Why, in a sentence.
    pub reason: String,
}

/// The answer to [`DefinitionsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionsAnswer {
    /// All that are wanted now: those of open runs, and the newest of each target. What is not among them is needed no
    /// more.
    pub definitions: Vec<WantedDefinition>,
}

/// A definition that drones shall hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedDefinition {
    /// The target.
    pub target: TargetName,
    /// What it is.
    pub definition: Definition,
    /// Bearer token for the binhost: its bundles. It is good for an hour; another poll brings a fresh one.
    pub ticket: SignedTicket,
}

/// `POST /api/v1/drone/claims`: a long-poll for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The drone's session.
    pub session: SessionId,
    /// Counts the session's claim requests from 1. Repeating a number returns the same claims.
    pub request: i64,
    /// How many packages are wanted at most.
    pub want: u16,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// What the drone may build now; empty when nothing came within the time.
    pub claims: Vec<Claim>,
    /// Why there is nothing, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// A drone's right to build one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReducedUse {
    /// The package.
    pub cpv: Cpv,
    /// The flags.
    pub disabled: Vec<UseFlag>,
}

/// A received package that a build needs in its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Name and version.
    pub cpv: Cpv,
    /// Its BUILD_ID, which the root's VDB must show after the installation.
    pub build_id: BuildId,
    /// The path in the run's staging view.
    pub path: String,
    /// The digest of the file there.
    pub published: Digest,
    /// Its bytes.
    pub size: u64,
}

/// The part of a report that fences it. Sent as `attempt` in the path, the rest in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// The attempt's token.
    pub token: AttemptToken,
    /// The drone's session.
    pub session: SessionId,
}

/// `POST /api/v1/drone/attempts/{attempt}/start`: held → building, required before compiling.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The fence.
    pub fence: Fence,
}

/// `POST /api/v1/drone/attempts/{attempt}/log`: one chunk of the build log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogChunk {
    /// The fence.
    pub fence: Fence,
    /// Counts the attempt's chunks from 0. A repeated number is ignored.
    pub sequence: i32,
    /// zstd-compressed bytes of the log, as base64.
    pub zstd_base64: String,
}

/// `POST /api/v1/drone/attempts/{attempt}/complete`: the artifact is uploaded; accept it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// The fence.
    pub fence: Fence,
    /// The digest under which the artifact was uploaded.
    pub built: Digest,
    /// Its bytes.
    pub size: u64,
    /// What the attempt used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What an attempt used on its drone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The drone looked at the processes a few times a second, and may have missed a short peak; otherwise the kernel
    /// counted (cgroup v2).
    pub sampled: bool,
    /// Processor time in user mode.
    pub user_seconds: f64,
    /// Processor time in the kernel.
    pub system_seconds: f64,
    /// The most memory at one time.
    pub peak_memory_bytes: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
    /// Wall-clock time of the fetch.
    pub fetch_seconds: f64,
    /// Wall-clock time of installing the closure and checking the root.
    pub install_seconds: f64,
    /// Wall-clock time of the build proper.
    pub build_seconds: f64,
    /// Of that, the ebuild's phases.
    #[serde(default)]
    pub phases: Phases,
}

/// Wall-clock time of an ebuild's phases (PMS 9.1), in seconds; 0 for what did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// `src_unpack`
    pub unpack: f64,
    /// `src_prepare`
    pub prepare: f64,
    /// `src_configure`
    pub configure: f64,
    /// `src_compile`
    pub compile: f64,
    /// `src_test`
    pub test: f64,
    /// `src_install`
    pub install: f64,
    /// Packing the binary package.
    pub package: f64,
}

impl Phases {
    /// Each by name, in order.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("unpack", self.unpack),
            ("prepare", self.prepare),
            ("configure", self.configure),
            ("compile", self.compile),
            ("test", self.test),
            ("install", self.install),
            ("package", self.package),
        ]
    }
}

impl Usage {
    /// Whether every number can be one: not negative, not beyond all bounds.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        const CENTURY: f64 = 100.0 * 365.0 * 86400.0;
        const EXBIBYTE: u64 = 1 << 60;
        let seconds = [
            self.user_seconds / 4096.0,
            self.system_seconds / 4096.0,
            self.fetch_seconds,
            self.install_seconds,
            self.build_seconds,
        ];
        let bytes = [self.peak_memory_bytes, self.read_bytes, self.written_bytes];
        let phases = self.phases.named().map(|(_, seconds)| seconds);
        seconds.iter().chain(&phases).all(|seconds| (0.0..CENTURY).contains(seconds))
            && bytes.iter().all(|bytes| *bytes < EXBIBYTE)
    }
}

/// The answer to [`Complete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// `received`: the drone may delete its copy. `accepting`: keep it, ask again. `failed`: it was refused.
    pub result: Completion,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a completion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// The package is received.
    Received,
    /// The binhost could not be asked yet; repeat the call.
    Accepting,
    /// The binhost refused the artifact.
    Failed,
}

/// `POST /api/v1/drone/attempts/{attempt}/fail`: the attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The fence.
    pub fence: Fence,
    /// Whose fault it was.
    pub class: FailureClass,
    /// A sentence; 1,000 characters are kept.
    pub reason: String,
    /// The log's telling lines; 8,000 characters are kept.
    #[serde(default)]
    pub excerpt: String,
    /// The build wanted more memory than it got: a drone with more of it shall try, or one with fewer parallel jobs.
    #[serde(default)]
    pub out_of_memory: bool,
    /// What the attempt used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// `POST /api/v1/drone/attempts/{attempt}/hand-back`: the drone stops and cannot finish; nobody's fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandBack {
    /// The fence.
    pub fence: Fence,
    /// A sentence.
    pub reason: String,
}

/// `POST /api/v1/drone/sessions/close`: the process ends and holds nothing more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseSession {
    /// The session.
    pub session: SessionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_that_cannot_be_is_told_from_usage_that_can() {
        let usage = Usage {
            sampled: true,
            user_seconds: 1e9,
            system_seconds: 0.0,
            peak_memory_bytes: 1 << 40,
            read_bytes: 0,
            written_bytes: 1,
            fetch_seconds: 0.5,
            install_seconds: 0.0,
            build_seconds: 1e6,
            phases: Phases { compile: 1e6, ..Phases::default() },
        };
        assert!(usage.is_sane());
        for nonsense in [
            Usage { user_seconds: -1.0, ..usage },
            Usage { build_seconds: f64::NAN, ..usage },
            Usage { fetch_seconds: f64::INFINITY, ..usage },
            Usage { read_bytes: u64::MAX, ..usage },
            Usage { phases: Phases { test: -1.0, ..usage.phases }, ..usage },
        ] {
            assert!(!nonsense.is_sane(), "{nonsense:?}");
        }
    }
}
