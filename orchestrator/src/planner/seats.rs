//! The drones that poll this orchestrator, each in a seat to which its choices are brought.

use super::thefts::Thefts;
use crate::scheduler::{Decision, Loot, Reason, Stealing, Strategy};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use swarm_protocol::Digest;
use swarm_protocol::id::{DroneId, PackageId};
use tokio::sync::{Notify, watch};

/// What a waiting drone says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// How many packages it wants.
    pub wants: usize,
    /// How many of these would wait behind what it builds.
    pub ahead: usize,
    /// The epochs that it holds.
    pub epochs: BTreeSet<Digest>,
    /// Bytes of memory free now.
    pub memory_free_bytes: u64,
    /// Bytes of disk free now.
    pub disk_free_bytes: u64,
}

/// All seats of one process.
#[derive(Debug, Default)]
pub struct Seats {
    room: Mutex<Room>,
    change: Notify,
}

#[derive(Debug, Default)]
struct Room {
    /// Counts seats, so that a later poll of a drone does not lose its place to an earlier one's end.
    last: u64,
    taken: BTreeMap<DroneId, Taken>,
    /// The epochs that drones held when they last sat here.
    epochs: BTreeMap<DroneId, BTreeSet<Digest>>,
    outdated: bool,
    thefts: Thefts,
}

/// What a drone shall try to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// These packages.
    Claim(Vec<PackageId>),
    /// What another drone holds.
    Steal(Loot),
}

#[derive(Debug)]
struct Taken {
    number: u64,
    asks: Asks,
    /// Nothing before the first plan.
    decision: watch::Sender<Option<Decision>>,
}

impl Seats {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a drone to those that are planned for.
    pub fn sit(&self, drone: DroneId, asks: Asks) -> Seat<'_> {
        let (sender, decisions) = watch::channel(None);
        let mut room = self.room();
        room.last += 1;
        let number = room.last;
        room.epochs.insert(drone, asks.epochs.clone());
        room.taken.insert(drone, Taken { number, asks, decision: sender });
        drop(room);
        self.change.notify_one();
        Seat { seats: self, drone, number, decisions }
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.room().taken.is_empty()
    }

    /// What the drone says of itself, if it waits here.
    #[must_use]
    pub fn asks(&self, drone: DroneId) -> Option<Asks> {
        self.room().taken.get(&drone).map(|taken| taken.asks.clone())
    }

    /// The epochs that a drone held when it last waited here.
    #[must_use]
    pub fn epochs(&self, drone: DroneId) -> BTreeSet<Digest> {
        self.room().epochs.get(&drone).cloned().unwrap_or_default()
    }

    /// How stealing went, for the scheduler.
    #[must_use]
    pub fn stealing(&self, strategy: Strategy, seed: u64) -> Stealing {
        self.room().thefts.stealing(strategy, seed)
    }

    /// Whether the queue was changed by somebody here since this was last asked.
    pub(super) fn outdated(&self) -> bool {
        std::mem::take(&mut self.room().outdated)
    }

    /// Waits until somebody sits down, or chose in vain.
    pub(super) async fn changed(&self) {
        self.change.notified().await;
    }

    /// Brings everybody his decision, and wakes those for whom it is another one.
    pub(super) fn hand_out(&self, mut decisions: BTreeMap<DroneId, Decision>) {
        for (drone, taken) in &self.room().taken {
            // Everybody who is online has a decision.
            let unplanned = Decision::Wait { reason: Reason::NotOnline, recheck_at: None };
            let decision = Some(decisions.remove(drone).unwrap_or(unplanned));
            taken.decision.send_if_modified(|former| {
                let is_new = *former != decision;
                *former = decision;
                is_new
            });
        }
    }
}

/// A drone's place among the waiting; leaving scope gives it up.
#[derive(Debug)]
pub struct Seat<'a> {
    seats: &'a Seats,
    drone: DroneId,
    number: u64,
    decisions: watch::Receiver<Option<Decision>>,
}

impl Seat<'_> {
    /// Waits until this drone was planned for.
    pub async fn planned(&mut self) {
        // It errs when a later poll of the same drone has taken the place over.
        let _ = self.decisions.wait_for(Option::is_some).await;
    }

    /// Waits until there is something for this drone; `None`: a later poll of it has taken the place over.
    pub async fn choice(&mut self) -> Option<Choice> {
        loop {
            match &*self.decisions.borrow_and_update() {
                Some(Decision::Claim(packages)) => return Some(Choice::Claim(packages.clone())),
                Some(Decision::Steal(loot)) => return Some(Choice::Steal(*loot)),
                Some(Decision::Wait { .. }) | None => {}
            }
            self.decisions.changed().await.ok()?;
        }
    }

    /// Why there is nothing.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match *self.decisions.borrow() {
            Some(Decision::Wait { reason, .. }) => reason,
            Some(Decision::Claim(_) | Decision::Steal(_)) | None => Reason::NothingReady,
        }
    }

    /// It was tried to steal.
    pub fn stole(&self, loot: Loot, succeeded: bool, now: DateTime<Utc>) {
        self.seats.room().thefts.tried(self.drone, loot, succeeded, now);
    }

    /// What was chosen is claimed: whoever plans next looks at the queue anew.
    pub fn claimed(&self) {
        self.seats.room().outdated = true;
    }

    /// What was chosen could not be claimed: another plan is wanted.
    pub fn in_vain(&mut self) {
        let mut room = self.seats.room();
        room.outdated = true;
        if let Some(taken) = room.taken.get(&self.drone).filter(|taken| taken.number == self.number) {
            // The same choice is to be said again if it is made again.
            taken.decision.send_replace(None);
        }
        drop(room);
        self.seats.change.notify_one();
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut room = self.seats.room();
        if room.taken.get(&self.drone).is_some_and(|taken| taken.number == self.number) {
            room.taken.remove(&self.drone);
        }
    }
}
