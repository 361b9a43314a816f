//! How fast drones are, from how long the same packages took on several of them. Pure.
//!
//! The time of a build is taken as the package's time by the drone's speed. Both are unknown; those are found that leave
//! the smallest sum of errors between logarithms (least absolute deviations, by reweighted means in turns). It is the
//! median of many, so to speak: no single odd build moves it.

use std::collections::BTreeMap;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::DroneId;

/// A drone with fewer builds that can be compared is of unknown speed.
const FEWEST: usize = 3;
/// No two machines of a swarm differ by more.
const FASTEST: f64 = 50.0;
/// Errors of logarithms below this count alike: builds of the same package differ by as much anyway.
const ALIKE: f64 = 0.01;
/// When nothing changes by more, the speeds are found.
const CLOSE: f64 = 1e-4;
/// Far more than it takes.
const ROUNDS: usize = 500;

/// A build that came to an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// What was built.
    pub cpv: Cpv,
    /// Where.
    pub drone: DroneId,
    /// How long it took there.
    pub seconds: f64,
}

/// The speeds of the drones that can be compared; that of the middle one is 1.
#[must_use]
pub fn speeds(builds: &[Timed]) -> BTreeMap<DroneId, f64> {
    let packages = comparable(builds);
    let mut logs: BTreeMap<_, _> = packages.iter().flatten().map(|(drone, _)| (*drone, 0.0)).collect();
    let mut own: Vec<_> =
        packages.iter().map(|times| mean(times.iter().map(|(_, time)| (*time, 1.0)))).collect();
    for _ in 0..ROUNDS {
        let weight = |error: f64| 1.0 / error.abs().max(ALIKE);
        let mut gains = BTreeMap::<DroneId, Vec<(f64, f64)>>::new();
        for (own, times) in own.iter_mut().zip(&packages) {
            let known = |(drone, time): &(DroneId, f64)| time + logs[drone];
            *own = mean(times.iter().map(known).map(|known| (known, weight(known - *own))));
            for (drone, time) in times {
                let gain = *own - time;
                gains.entry(*drone).or_default().push((gain, weight(gain - logs[drone])));
            }
        }
        let found: BTreeMap<_, _> = gains.into_iter().map(|(drone, gains)| (drone, mean(gains))).collect();
        let moved = logs.values().zip(found.values()).map(|(log, found)| (log - found).abs());
        let moved = moved.fold(0.0, f64::max);
        logs = found;
        if moved < CLOSE {
            break;
        }
    }
    let middle = median(logs.values().copied().collect()).unwrap_or_default();
    logs.into_iter().map(|(drone, log)| (drone, (log - middle).exp().clamp(1.0 / FASTEST, FASTEST))).collect()
}

/// The logarithms of the times of packages that were built on several drones, each of which has enough of them.
fn comparable(builds: &[Timed]) -> Vec<Vec<(DroneId, f64)>> {
    let mut packages = BTreeMap::<&Cpv, Vec<(DroneId, f64)>>::new();
    for build in builds.iter().filter(|build| build.seconds > 0.0) {
        packages.entry(&build.cpv).or_default().push((build.drone, build.seconds.ln()));
    }
    let on_several = |times: &Vec<(DroneId, f64)>| times.iter().any(|(drone, _)| *drone != times[0].0);
    let mut packages: Vec<_> = packages.into_values().filter(on_several).collect();
    let mut counts = BTreeMap::<DroneId, usize>::new();
    for (drone, _) in packages.iter().flatten() {
        *counts.entry(*drone).or_default() += 1;
    }
    for times in &mut packages {
        times.retain(|(drone, _)| counts[drone] >= FEWEST);
    }
    packages.retain(|times| !times.is_empty() && on_several(times));
    packages
}

/// Of numbers with weights.
fn mean(numbers: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (sum, weights) = numbers
        .into_iter()
        .fold((0.0, 0.0), |(sum, weights), (number, weight)| (sum + number * weight, weights + weight));
    sum / weights
}

/// The middle of numbers, or the mean of the two in the middle; of none there is none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    let upper = *numbers.get(half)?;
    if numbers.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(numbers[half - 1], upper)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(package: usize, drone: i64, seconds: f64) -> Timed {
        let cpv = format!("a/p{package}x-1").parse().unwrap();
        Timed { cpv, drone: DroneId(drone), seconds }
    }

    #[test]
    fn speeds_are_found_whatever_was_built_where() {
        let speed = [1.0, 1.0, 2.0, 4.0];
        let time = |package: usize| 10.0 * 1.7_f64.powi(i32::try_from(package % 11).unwrap());
        // Every package was built on two neighbours; the fast drones got the long ones.
        let mut builds: Vec<_> = (0..40)
            .flat_map(|package| [package % 3, package % 3 + 1].map(|drone| (package, drone)))
            .map(|(package, drone)| {
                timed(package, i64::try_from(drone).unwrap(), time(package) / speed[drone])
            })
            .collect();
        let close = |builds: &[Timed]| {
            let found = speeds(builds);
            let first = found[&DroneId(0)];
            speed.iter().zip(found.values()).all(|(speed, found)| (found / first / speed - 1.0).abs() < 0.01)
        };
        assert!(close(&builds));
        // A build beside a backup, and one from a warm cache.
        builds[3].seconds *= 30.0;
        builds[10].seconds /= 100.0;
        assert!(close(&builds));
    }

    #[test]
    fn what_cannot_be_compared_is_left_alone() {
        let alone: Vec<_> = (0..9).map(|package| timed(package, 1, 5.0)).collect();
        assert!(speeds(&alone).is_empty());
        let few = [timed(0, 1, 5.0), timed(0, 2, 9.0), timed(1, 1, 5.0), timed(1, 2, 9.0)];
        assert!(speeds(&few).is_empty());
        assert!(speeds(&[]).is_empty());
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }
}
