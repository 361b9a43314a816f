//! What a drone says of an attempt.

use crate::digest::Digest;
use crate::id::{AttemptToken, SessionId};
use crate::state::FailureClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part of a report that fences it. Sent as `attempt` in the path, the rest in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// The attempt's token.
    pub token: AttemptToken,
    /// The drone's session.
    pub session: SessionId,
}

/// `POST /api/v1/drone/attempts/{attempt}/start`: held → building, required before compiling.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The fence.
    pub fence: Fence,
}

/// `POST /api/v1/drone/attempts/{attempt}/log`: one chunk of the build log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// The fence.
    pub fence: Fence,
    /// The digest under which the artifact was uploaded.
    pub built: Digest,
    /// Its bytes.
    pub size: u64,
    /// Wall-clock time of the upload, with its repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_seconds: Option<f64>,
    /// What the attempt used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What an attempt used on its drone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Whether a number of seconds can be one: not negative, and shorter than a century.
#[must_use]
pub fn is_span(seconds: f64) -> bool {
    const CENTURY: f64 = 100.0 * 365.0 * 86400.0;
    (0.0..CENTURY).contains(&seconds)
}

impl Usage {
    /// Whether every number can be one: not negative, not beyond all bounds.
    #[must_use]
    pub fn is_sane(&self) -> bool {
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
        seconds.iter().chain(&phases).all(|seconds| is_span(*seconds))
            && bytes.iter().all(|bytes| *bytes < EXBIBYTE)
    }
}

/// The answer to [`Complete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// `received`: the drone may delete its copy. `accepting`: keep it, ask again. `failed`: it was refused.
    pub result: Completion,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a completion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandBack {
    /// The fence.
    pub fence: Fence,
    /// A sentence.
    pub reason: String,
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
