//! What follows a failed attempt (law 7): another try, somewhere else, later — or quarantine. Nobody retries for ever.

use std::time::Duration;
use swarm_protocol::id::DroneId;
use swarm_protocol::state::FailureClass;

/// A failure that lies behind a package in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PastFailure {
    /// Where it failed.
    pub drone: DroneId,
    /// Whose fault it was.
    pub class: FailureClass,
}

/// How often each class of failure is forgiven, within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Distinct drones on which a package may fail for its own reasons before it is quarantined.
    pub package_drones: usize,
    /// Failures for its own reasons on whatever drones, for fleets that have fewer.
    pub package_failures: usize,
    /// Failures of the infrastructure, reclaimed attempts included.
    pub infrastructure_failures: usize,
    /// Failures for want of memory or time.
    pub resources_failures: usize,
    /// Failures of drones out of step.
    pub epoch_failures: usize,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Policy {
    /// The defaults of a production swarm.
    pub const DEFAULT: Self = Self {
        package_drones: 2,
        package_failures: 3,
        infrastructure_failures: 8,
        resources_failures: 3,
        epoch_failures: 5,
        first_pause: Duration::from_secs(5),
        longest_pause: Duration::from_mins(30),
    };
}

/// What becomes of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is needed again, after a pause.
    Retry {
        /// How long nobody may claim it.
        pause: Duration,
    },
    /// It waits for a person or a change of its inputs.
    Quarantine,
}

/// The verdict after the last of `failures`, which are all those of the package in its run.
#[must_use]
pub fn judge(failures: &[PastFailure], policy: &Policy) -> Verdict {
    let Some(last) = failures.last() else { return Verdict::Retry { pause: Duration::ZERO } };
    let of_class: Vec<_> = failures.iter().filter(|failure| failure.class == last.class).collect();
    let exhausted = match last.class {
        FailureClass::Package => {
            let mut drones: Vec<_> = of_class.iter().map(|failure| failure.drone).collect();
            drones.sort_unstable();
            drones.dedup();
            drones.len() >= policy.package_drones || of_class.len() >= policy.package_failures
        }
        FailureClass::Infrastructure => of_class.len() >= policy.infrastructure_failures,
        FailureClass::Resources => of_class.len() >= policy.resources_failures,
        FailureClass::Epoch => of_class.len() >= policy.epoch_failures,
    };
    if exhausted {
        return Verdict::Quarantine;
    }
    let doublings = u32::try_from(of_class.len() - 1).unwrap_or(u32::MAX).min(20);
    Verdict::Retry { pause: (policy.first_pause * 2_u32.pow(doublings)).min(policy.longest_pause) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failed(drone: i64, class: FailureClass) -> PastFailure {
        PastFailure { drone: DroneId(drone), class }
    }

    #[test]
    fn a_package_failing_on_two_drones_is_quarantined() {
        let first = [failed(1, FailureClass::Package)];
        assert_eq!(judge(&first, &Policy::DEFAULT), Verdict::Retry { pause: Duration::from_secs(5) });
        let second = [first[0], failed(2, FailureClass::Package)];
        assert_eq!(judge(&second, &Policy::DEFAULT), Verdict::Quarantine);
    }

    #[test]
    fn a_lone_drone_gets_three_tries() {
        let mut failures = vec![failed(1, FailureClass::Package); 2];
        assert_eq!(judge(&failures, &Policy::DEFAULT), Verdict::Retry { pause: Duration::from_secs(10) });
        failures.push(failures[0]);
        assert_eq!(judge(&failures, &Policy::DEFAULT), Verdict::Quarantine);
    }

    #[test]
    fn an_unlucky_network_is_not_the_packages_fault() {
        let failures = [failed(1, FailureClass::Infrastructure), failed(2, FailureClass::Infrastructure)];
        assert_eq!(judge(&failures, &Policy::DEFAULT), Verdict::Retry { pause: Duration::from_secs(10) });
    }

    proptest! {
        #[test]
        fn nobody_retries_for_ever(drones in proptest::collection::vec((0..5_i64, 0..4_usize), 30)) {
            let classes = FailureClass::ALL;
            let failures: Vec<_> = drones.iter().map(|(drone, class)| failed(*drone, classes[*class])).collect();
            let quarantined = (1..=failures.len())
                .any(|count| judge(&failures[..count], &Policy::DEFAULT) == Verdict::Quarantine);
            prop_assert!(quarantined);
        }
    }
}
