//! `[retries]`.

use crate::machine::retry::Policy;
use serde::Deserialize;
use std::time::Duration;

/// `[retries]`: failures after which a package is quarantined, or a drone grounded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// Distinct drones that failed a package for its own reasons.
    pub package_drones: usize,
    /// Failures for its own reasons, on whatever drones.
    pub package_failures: usize,
    /// Failures of the infrastructure.
    pub infrastructure_failures: usize,
    /// Failures for want of memory or time.
    pub resources_failures: usize,
    /// Failures of drones out of step with the epoch.
    pub epoch_failures: usize,
    /// The pause after a first failure, in seconds; it doubles with each further one.
    pub first_pause_seconds: u32,
    /// The longest pause, in seconds.
    pub longest_pause_seconds: u32,
    /// Failures in a row that ground a drone.
    pub drone_failures: i32,
}

impl Default for Retries {
    fn default() -> Self {
        let policy = Policy::DEFAULT;
        Self {
            package_drones: policy.package_drones,
            package_failures: policy.package_failures,
            infrastructure_failures: policy.infrastructure_failures,
            resources_failures: policy.resources_failures,
            epoch_failures: policy.epoch_failures,
            first_pause_seconds: seconds(policy.first_pause),
            longest_pause_seconds: seconds(policy.longest_pause),
            drone_failures: 5,
        }
    }
}

impl Retries {
    /// The retry rules of the package machine.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            package_drones: self.package_drones,
            package_failures: self.package_failures,
            infrastructure_failures: self.infrastructure_failures,
            resources_failures: self.resources_failures,
            epoch_failures: self.epoch_failures,
            first_pause: Duration::from_secs(self.first_pause_seconds.into()),
            longest_pause: Duration::from_secs(self.longest_pause_seconds.into()),
        }
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
