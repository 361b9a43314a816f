//! On which drone a package is done first, and whether it waits for that one.

use super::fit::{Fleet, Refusal, seconds};
use super::order::Turns;
use super::steal::steal;
use super::{Decision, Drone, Policy, Ready, Reason, Snapshot, Work};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use swarm_protocol::id::{DroneId, PackageId};

/// A drone gets the next package ahead only behind work of at most so many seconds in all, when no more than that many of
/// them are left. There the hand-over and the files of the next package take as long as the work. Behind longer builds
/// estimates are off by more than that, and what is held keeps waiting while other drones could have it done: measured,
/// see the README.
const AHEAD_OF_SECONDS: f64 = 10.0;
const AHEAD_LEFT_SECONDS: f64 = 5.0;

/// A decision for every drone of the snapshot that asks for work.
#[must_use]
pub fn plan(snapshot: &Snapshot, policy: Policy, now: DateTime<Utc>) -> BTreeMap<DroneId, Decision> {
    let mut seats: Vec<_> = snapshot.drones.iter().map(|drone| Seat::of(drone, now)).collect();
    let mut fleet = Fleet::of(snapshot);
    for seat in &mut seats {
        seat.waits_for_itself(now);
    }
    let mut asking = seats.iter().filter(|seat| seat.asks()).count();
    let mut turns = Turns::of(snapshot, policy);
    while asking > 0
        && let Some(ready) = turns.next()
    {
        if let Some(refusal) = fleet.refuses(ready, now) {
            seats.iter_mut().filter(|seat| seat.asks()).for_each(|seat| seat.refused(refusal));
            continue;
        }
        let Some(chosen) = choose(&mut seats, &fleet, ready, policy, now) else { continue };
        turns.given(ready);
        fleet.taken.extend(ready.job.exclusive.as_deref());
        let seat = &mut seats[chosen];
        let gets = seat.asks();
        seat.free_in += ready.job.estimate_seconds / seat.drone.speed;
        if gets {
            seat.claims.push(ready.job.package);
            asking -= usize::from(!seat.asks());
        }
    }
    let mut loot =
        if policy == Policy::EarliestFinish { steal(snapshot, &fleet, now) } else { BTreeMap::new() };
    let asked = seats.into_iter().filter(|seat| seat.drone.wants > 0);
    asked
        .map(|seat| match loot.remove(&seat.drone.drone).filter(|_| seat.claims.is_empty()) {
            Some(loot) => (seat.drone.drone, Decision::Steal(loot)),
            None => (seat.drone.drone, seat.decision()),
        })
        .collect()
}

/// The drone that gets `ready`, or that it waits for; `None`: nobody may build it, or nobody asks.
fn choose(
    seats: &mut [Seat<'_>],
    fleet: &Fleet<'_>,
    ready: &Ready,
    policy: Policy,
    now: DateTime<Utc>,
) -> Option<usize> {
    let others = fleet.others(ready);
    let mut fit = Vec::with_capacity(seats.len());
    for (index, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| seat.counts()) {
        match fleet.refuses_on(ready, seat.drone, others, now) {
            Some(refusal) => seat.refused(refusal),
            None => fit.push((index, seat.free_in + ready.job.estimate_seconds / seat.drone.speed)),
        }
    }
    let asking = fit.iter().filter(|(index, _)| seats[*index].asks());
    if policy != Policy::EarliestFinish {
        let speed = |index: usize| seats[index].drone.speed;
        return asking.min_by(|(a, _), (b, _)| speed(*b).total_cmp(&speed(*a))).map(|(index, _)| *index);
    }
    // Of equals, one that asks.
    let first = |(a, a_finish): &&(usize, f64), (b, b_finish): &&(usize, f64)| {
        a_finish.total_cmp(b_finish).then_with(|| seats[*b].asks().cmp(&seats[*a].asks()))
    };
    let (best, _) = *fit.iter().min_by(first)?;
    // Where nobody asks who may build it, the one that it waits for is not given to others meanwhile.
    let Some((asks, _)) = asking.min_by(first).copied() else { return Some(best) };
    if seats[best].asks() {
        return Some(best);
    }
    // It waits for a busy drone no longer than it takes on the best one that asks.
    let since = ready.not_before.map_or(ready.ready_since, |pause| pause.max(ready.ready_since));
    let until = since + seconds(ready.job.estimate_seconds / seats[asks].drone.speed);
    if until <= now {
        return Some(asks);
    }
    let until = seats[best].drone.returns_until.map_or(until, |returns| returns.min(until));
    let refusal = Refusal { reason: Reason::FasterDrone, until: Some(until) };
    for (index, _) in fit {
        seats[index].refused(refusal);
    }
    Some(best)
}

/// A drone while the plan is being made.
struct Seat<'a> {
    drone: &'a Drone,
    /// In how many seconds it has done all that it has.
    free_in: f64,
    /// What it has is short and none of it overdue: it may get more before that is done.
    is_short: bool,
    claims: Vec<PackageId>,
    refusal: Option<Refusal>,
}

impl<'a> Seat<'a> {
    fn of(drone: &'a Drone, now: DateTime<Utc>) -> Self {
        let remaining = drone.work.iter().map(|work| work.remaining_seconds(drone.speed, now));
        let overdue =
            |work: &Work| work.started_at.is_some() && work.remaining_seconds(drone.speed, now) <= 0.0;
        let whole: f64 = drone.work.iter().map(|work| work.job.estimate_seconds / drone.speed).sum();
        let is_short = whole <= AHEAD_OF_SECONDS && !drone.work.iter().any(overdue);
        Self { drone, free_in: remaining.sum(), is_short, claims: Vec::new(), refusal: None }
    }

    /// Whether it can be waited for. An idle drone that does not ask may ask another orchestrator, or hang.
    fn counts(&self) -> bool {
        self.drone.wants > 0 || !self.drone.work.is_empty() || self.drone.returns_until.is_some()
    }

    /// Whether it gets more. Whoever holds what it cannot begin soon keeps it from those who could.
    fn asks(&self) -> bool {
        let Drone { wants, ahead, .. } = *self.drone;
        let at_once = self.claims.len() + ahead < wants;
        let soon = self.is_short && self.free_in <= AHEAD_LEFT_SECONDS;
        self.claims.len() < wants && (at_once || soon)
    }

    /// It wants more, but has enough for now.
    fn waits_for_itself(&mut self, now: DateTime<Utc>) {
        if self.drone.wants > 0 && !self.asks() {
            let until = self.is_short.then(|| now + seconds(self.free_in - AHEAD_LEFT_SECONDS));
            self.refused(Refusal { reason: Reason::Busy, until });
        }
    }

    /// Keeps the first reason, which the first in turn gave, and the earliest time to look again.
    fn refused(&mut self, new: Refusal) {
        let until = self.refusal.and_then(|former| former.until).into_iter().chain(new.until).min();
        let reason = self.refusal.map_or(new.reason, |former| former.reason);
        self.refusal = Some(Refusal { reason, until });
    }

    fn decision(self) -> Decision {
        if !self.claims.is_empty() {
            return Decision::Claim(self.claims);
        }
        let refusal = self.refusal.unwrap_or(Refusal { reason: Reason::NothingReady, until: None });
        Decision::Wait { reason: refusal.reason, recheck_at: refusal.until }
    }
}

impl Work {
    /// In how many seconds it should be done on a drone of that speed; one that is overdue, at any moment.
    pub(super) fn remaining_seconds(&self, speed: f64, now: DateTime<Utc>) -> f64 {
        let done = self.started_at.map_or(0.0, |started| (now - started).as_seconds_f64());
        (self.job.estimate_seconds / speed - done).max(0.0)
    }
}
