//! The limits that the machines and the maintenance judge by, in one place.

use crate::machine::retry::Policy;

/// The rules that transitions are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When a package is retried and when quarantined.
    pub policy: Policy,
    /// Failures in a row that ground a drone.
    pub drone_failures: i32,
    /// How long a drone stays grounded.
    pub grounded_seconds: u32,
    /// How long a drone may be silent.
    pub grace_seconds: u32,
    /// How long a build may show no progress.
    pub stall_seconds: u32,
}
