//! Drones as people see and order them.

use super::definition::UnbroughtDefinition;
use crate::digest::Digest;
use crate::gentoo::{Cpv, TargetName};
use crate::host_key::HostKey;
use crate::id::{AttemptId, BuildId, DroneId, GenerationNumber, PackageId, RunId};
use crate::state::{AttemptPhase, DroneState};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A drone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
    /// Definitions that it cannot bring itself to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbrought: Vec<UnbroughtDefinition>,
    /// Failures in a row.
    pub consecutive_failures: i32,
    /// It gets no work until a person lets it in: [`DroneOrder::Approve`].
    #[serde(default)]
    pub awaits_approval: bool,
    /// The ssh host key of the machine that was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<HostKey>,
    /// The version of the program of its newest session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What runs there, by its newest session.
    #[serde(default)]
    pub runs: Deployed,
    /// What should.
    #[serde(default)]
    pub expected: Deployed,
    /// How far its clock is ahead of the swarm's, in seconds, when it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_seconds: Option<f32>,
    /// In what it is not as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
}

/// A program and its configuration file, by their digests: `PUT /api/v1/drones/{name}/expected` says what should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Digest>,
    /// The configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Digest>,
}

/// Something about a drone that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Another program runs than the expected one.
    Program,
    /// It read another configuration file than the expected one.
    Configuration,
    /// It cannot bring itself to what was pushed.
    Epoch,
    /// Its clock is wrong.
    Clock,
}

impl Drift {
    /// A clock that is wrong by this many seconds is drift: more than any network takes.
    pub const CLOCK_SECONDS: f32 = 5.0;

    /// What `drone` is in drift of.
    #[must_use]
    pub fn of(drone: &Drone) -> Vec<Self> {
        let other = |runs: Option<Digest>, expected: Option<Digest>| expected.is_some() && runs != expected;
        let clock = drone.clock_ahead_seconds.is_some_and(|ahead| ahead.abs() >= Self::CLOCK_SECONDS);
        let all = [
            (Self::Program, other(drone.runs.program, drone.expected.program)),
            (Self::Configuration, other(drone.runs.configuration, drone.expected.configuration)),
            (Self::Epoch, !drone.unbrought.is_empty()),
            (Self::Clock, clock),
        ];
        all.into_iter().filter_map(|(drift, is)| is.then_some(drift)).collect()
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Program => "runs another program than was deployed",
            Self::Configuration => "runs with another configuration than was deployed",
            Self::Epoch => "does not hold what was pushed",
            Self::Clock => "has a clock that is wrong",
        }
    }
}

/// A live attempt, as its drone's work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
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
    /// Let it in.
    Approve,
}

/// The answer to `POST /api/v1/drones/{name}/distrust`: believe a drone no longer, and withdraw what it made (law 11).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
