//! Whose fault it is when much fails (law 7): failures read as a matrix of packages and drones.
//!
//! | what fails | whose fault | what follows |
//! |---|---|---|
//! | one package, on several drones | the package's | quarantine: [`super::retry`] |
//! | on one drone what others build | the drone's | it is grounded |
//! | everything, everywhere | what all have in common | the run is frozen |

use std::time::Duration;
use swarm_protocol::id::{DroneId, RunId};

/// So many packages that others built must fail on a drone, for their own reasons as it seems.
const BLAMED: i64 = 3;
/// And one in so many of what it tried.
const SHARE: i64 = 4;
/// So many packages must fail in a row, on at least two drones.
const HOPELESS: i64 = 5;

/// What speaks against a drone since it was grounded or resumed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroneEvidence {
    /// The drone.
    pub drone: DroneId,
    /// Packages that failed on it, for their own reasons as it said, and that others built.
    pub blamed: i64,
    /// Packages that it built.
    pub built: i64,
}

impl DroneEvidence {
    /// Whether it is the drone's fault.
    #[must_use]
    pub const fn is_to_blame(self) -> bool {
        self.blamed >= BLAMED && self.blamed * SHARE >= self.blamed + self.built
    }
}

/// What speaks against a run, since something was received in it or a person let it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEvidence {
    /// The run.
    pub run: RunId,
    /// Packages that failed for their own reasons, as was said.
    pub packages: i64,
    /// On so many drones.
    pub drones: i64,
}

impl RunEvidence {
    /// Whether it has something that nothing can be built with.
    #[must_use]
    pub const fn is_hopeless(self) -> bool {
        self.packages >= HOPELESS && self.drones >= 2
    }
}

/// How often the pause of a drone that is grounded again is doubled at most.
const DOUBLINGS: u32 = 6;

/// How long a drone is grounded that failed too often, after `groundings` earlier times without anything built between:
/// twice as long each time.
#[must_use]
pub fn pause(base: Duration, groundings: u32) -> Duration {
    base * 2_u32.pow(groundings.min(DOUBLINGS))
}

/// How many failures in a row ground a drone: one that comes from a pause is on probation, and has one try.
#[must_use]
pub const fn failures_allowed(usual: i32, groundings: u32) -> i32 {
    if groundings > 0 { 1 } else { usual }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drone_is_to_blame_for_what_others_build() {
        let is_to_blame = |blamed, built| DroneEvidence { drone: DroneId(1), blamed, built }.is_to_blame();
        assert!(is_to_blame(3, 9), "bad memory: one in four");
        assert!(!is_to_blame(2, 0), "two may be chance");
        assert!(!is_to_blame(3, 10), "a few in many: flaky packages");
    }

    #[test]
    fn a_run_is_hopeless_when_nothing_can_be_built_anywhere() {
        let is_hopeless = |packages, drones| RunEvidence { run: RunId(1), packages, drones }.is_hopeless();
        assert!(is_hopeless(5, 2));
        assert!(!is_hopeless(4, 4));
        assert!(!is_hopeless(9, 1), "it may be the drone");
    }

    #[test]
    fn pauses_grow_and_probation_is_short() {
        let minutes = |groundings| pause(Duration::from_mins(5), groundings).as_secs() / 60;
        assert_eq!([0, 1, 2, 6, 99].map(minutes), [5, 10, 20, 320, 320]);
        assert_eq!((failures_allowed(5, 0), failures_allowed(5, 1)), (5, 1));
    }
}
