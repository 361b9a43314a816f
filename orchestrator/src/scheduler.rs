//! Who gets which package: a pure function over a snapshot, `plan(snapshot, now) → per drone a decision` (law 1).
//!
//! Today's rule is rank order: the package with the longest chain behind it goes first, to a waiting drone that holds
//! its epoch. A drone that has just failed the package is passed over while another one is online that could try.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use swarm_protocol::Digest;
use swarm_protocol::id::{AttemptId, DroneId, PackageId};

/// What the scheduler sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Packages that nothing but a pause holds back, by rank, highest first.
    pub ready: Vec<Ready>,
    /// Drones that are online, whether they wait for work or not.
    pub drones: Vec<Drone>,
}

/// A package that could be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The package.
    pub package: PackageId,
    /// The epoch that its drone must hold.
    pub epoch: Digest,
    /// Its expected build time plus the longest chain behind it, in seconds.
    pub rank: f64,
    /// Its expected build time on a drone of speed 1, in seconds.
    pub estimate_seconds: f64,
    /// It must not be claimed earlier.
    pub not_before: Option<DateTime<Utc>>,
    /// The drone that failed it last.
    pub failed_on: Option<DroneId>,
}

/// A drone that is online.
#[derive(Clone, Debug, PartialEq)]
pub struct Drone {
    /// The drone.
    pub drone: DroneId,
    /// How many packages it wants now; 0 when it does not wait for work.
    pub wants: usize,
    /// The epochs it holds; empty where it does not wait, so nothing is known.
    pub epochs: Vec<Digest>,
}

/// What a drone should do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Claim these.
    Claim(Vec<PackageId>),
    /// Wait; look again at `recheck_at` if nothing happens before.
    Wait {
        /// Why, for people.
        reason: Reason,
        /// When a pause ends.
        recheck_at: Option<DateTime<Utc>>,
    },
    /// Steal this unstarted attempt.
    Steal(AttemptId),
}

/// Why a drone gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is ready, or others took it all.
    NothingReady,
    /// What is ready pauses after a failure.
    Pausing,
    /// What is ready belongs to epochs that the drone does not hold.
    OtherEpoch,
    /// What is ready has just failed on this drone; another shall try.
    FailedHere,
    /// The drone is offline, grounded or draining.
    NotOnline,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NothingReady => "no package is ready",
            Self::Pausing => "what is ready pauses after a failure",
            Self::OtherEpoch => "what is ready belongs to an epoch that this drone does not hold",
            Self::NotOnline => "this drone is not online: offline, grounded or draining",
            Self::FailedHere => "what is ready has just failed on this drone; another one shall try",
        })
    }
}

/// How long a failed package is kept for other drones before the one that failed it may try again.
const OTHERS_FIRST: TimeDelta = TimeDelta::seconds(60);

/// A decision for every drone of the snapshot that wants something.
#[must_use]
pub fn plan(snapshot: &Snapshot, now: DateTime<Utc>) -> BTreeMap<DroneId, Decision> {
    let mut open: BTreeMap<DroneId, Waiting<'_>> = snapshot
        .drones
        .iter()
        .filter(|drone| drone.wants > 0)
        .map(|drone| (drone.drone, Waiting { drone, claims: Vec::new(), refusal: None }))
        .collect();
    for ready in &snapshot.ready {
        for waiting in open.values_mut().filter(|waiting| waiting.claims.len() < waiting.drone.wants) {
            match refusal(ready, waiting.drone, snapshot, now) {
                None => {
                    waiting.claims.push(ready.package);
                    break;
                }
                Some(refusal) => waiting.refused(refusal),
            }
        }
    }
    open.into_iter().map(|(drone, waiting)| (drone, waiting.decision())).collect()
}

/// A waiting drone while the plan is being made.
struct Waiting<'a> {
    drone: &'a Drone,
    claims: Vec<PackageId>,
    refusal: Option<Refusal>,
}

/// Why one package is not for one drone, and when to look again.
#[derive(Clone, Copy)]
struct Refusal {
    reason: Reason,
    until: Option<DateTime<Utc>>,
}

impl Waiting<'_> {
    /// Keeps the first reason, which the highest rank gave, and the earliest time to look again.
    fn refused(&mut self, new: Refusal) {
        let until = self.refusal.and_then(|former| former.until).into_iter().chain(new.until).min();
        self.refusal =
            Some(Refusal { reason: self.refusal.map_or(new.reason, |former| former.reason), until });
    }

    fn decision(self) -> Decision {
        if !self.claims.is_empty() {
            return Decision::Claim(self.claims);
        }
        let refusal = self.refusal.unwrap_or(Refusal { reason: Reason::NothingReady, until: None });
        Decision::Wait { reason: refusal.reason, recheck_at: refusal.until }
    }
}

fn refusal(ready: &Ready, drone: &Drone, snapshot: &Snapshot, now: DateTime<Utc>) -> Option<Refusal> {
    if !drone.epochs.contains(&ready.epoch) {
        return Some(Refusal { reason: Reason::OtherEpoch, until: None });
    }
    if let Some(until) = ready.not_before.filter(|&until| until > now) {
        return Some(Refusal { reason: Reason::Pausing, until: Some(until) });
    }
    let others = || snapshot.drones.iter().any(|other| other.drone != drone.drone);
    if ready.failed_on == Some(drone.drone)
        && let Some(until) = ready.not_before.map(|pause_end| pause_end + OTHERS_FIRST)
        && until > now
        && others()
    {
        return Some(Refusal { reason: Reason::FailedHere, until: Some(until) });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn epoch() -> Digest {
        Digest::of(b"epoch")
    }

    fn ready(package: i64) -> Ready {
        Ready {
            package: PackageId(package),
            epoch: epoch(),
            rank: 1.0,
            estimate_seconds: 1.0,
            not_before: None,
            failed_on: None,
        }
    }

    fn drone(drone: i64, wants: usize) -> Drone {
        Drone { drone: DroneId(drone), wants, epochs: vec![epoch()] }
    }

    fn claims(snapshot: &Snapshot, drone: i64) -> Decision {
        plan(snapshot, at(100)).remove(&DroneId(drone)).unwrap()
    }

    #[test]
    fn rank_order_and_nothing_twice() {
        let snapshot =
            Snapshot { ready: vec![ready(5), ready(6), ready(7)], drones: vec![drone(1, 1), drone(2, 2)] };
        assert_eq!(claims(&snapshot, 1), Decision::Claim(vec![PackageId(5)]));
        assert_eq!(claims(&snapshot, 2), Decision::Claim(vec![PackageId(6), PackageId(7)]));
    }

    #[test]
    fn a_pause_is_waited_for() {
        let pausing = Ready { not_before: Some(at(130)), ..ready(5) };
        let snapshot = Snapshot { ready: vec![pausing], drones: vec![drone(1, 1)] };
        assert_eq!(
            claims(&snapshot, 1),
            Decision::Wait { reason: Reason::Pausing, recheck_at: Some(at(130)) }
        );
    }

    #[test]
    fn another_drone_tries_first_but_a_lone_one_may_try_again() {
        let failed = Ready { failed_on: Some(DroneId(1)), not_before: Some(at(90)), ..ready(5) };
        let mut snapshot = Snapshot { ready: vec![failed], drones: vec![drone(1, 1), drone(2, 0)] };
        let expected = Decision::Wait { reason: Reason::FailedHere, recheck_at: Some(at(150)) };
        assert_eq!(claims(&snapshot, 1), expected);
        snapshot.drones.pop();
        assert_eq!(claims(&snapshot, 1), Decision::Claim(vec![PackageId(5)]));
    }

    #[test]
    fn an_epoch_the_drone_does_not_hold_is_not_for_it() {
        let other = Ready { epoch: Digest::of(b"other"), ..ready(5) };
        let snapshot = Snapshot { ready: vec![other], drones: vec![drone(1, 1)] };
        assert_eq!(claims(&snapshot, 1), Decision::Wait { reason: Reason::OtherEpoch, recheck_at: None });
    }
}
