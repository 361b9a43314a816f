//! When a run will be done, with its spread. Pure.
//!
//! The scheduler itself is not asked: to play a run of thousands of packages to its end takes seconds, a page has
//! milliseconds. Two bounds are as honest, if the drones that are online stay: no schedule is faster than all work shared by
//! all drones, or than the longest chain on the fastest; and one that lets no drone idle while something is ready takes
//! hardly longer than both together (Graham 1969). What is left is the error of the estimates. The run's own builds tell
//! it: a quarter of them took less, by what was expected, than the first quartile, another quarter more than the third.

use crate::db::progress::Progress;

/// The time that is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    /// It hardly takes less, in seconds.
    pub least: f64,
    /// It hardly takes more, in seconds.
    pub most: f64,
}

/// The time that is left; none where nobody is online, or nothing is left.
pub(super) fn left(progress: &Progress) -> Option<Left> {
    if progress.speeds <= 0.0 || progress.fastest <= 0.0 || progress.work_seconds <= 0.0 {
        return None;
    }
    let shared = progress.work_seconds / progress.speeds;
    let chain = progress.chain_seconds / progress.fastest;
    let (low, high) = match progress.taken_by_expected.as_deref() {
        Some(&[low, _, high]) => (low, high),
        _ => (1.0, 1.0),
    };
    Some(Left { least: shared.max(chain) * low, most: (shared + chain) * high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            work_seconds: 8000.0,
            chain_seconds: 1000.0,
            speeds: 4.0,
            fastest: 2.0,
            taken_by_expected: None,
            received_by_hour: vec![],
        }
    }

    #[test]
    fn between_two_bounds() {
        assert_eq!(left(&progress()), Some(Left { least: 2000.0, most: 2500.0 }));
        let chain = Progress { chain_seconds: 8000.0, ..progress() };
        assert_eq!(left(&chain), Some(Left { least: 4000.0, most: 6000.0 }));
    }

    #[test]
    fn estimates_that_were_wrong_widen_it() {
        let wrong = Progress { taken_by_expected: Some(vec![0.5, 1.0, 2.0]), ..progress() };
        assert_eq!(left(&wrong), Some(Left { least: 1000.0, most: 5000.0 }));
    }

    #[test]
    fn nobody_knows_without_drones() {
        assert_eq!(left(&Progress { speeds: 0.0, fastest: 0.0, ..progress() }), None);
        assert_eq!(left(&Progress { work_seconds: 0.0, ..progress() }), None);
    }
}
