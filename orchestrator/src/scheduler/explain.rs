//! Why a package is not with a drone: the same rules that the plan goes by, asked one by one.

use super::fit::{Fleet, Refusal, seconds};
use super::{Ready, Reason, Snapshot};
use chrono::{DateTime, Utc};
use swarm_protocol::id::{DroneId, PackageId};

/// Why a package is not with a drone, and when that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The package.
    pub package: PackageId,
    /// The drone.
    pub drone: DroneId,
    /// Why.
    pub reason: Reason,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
}

/// For a ready package, an explanation by drone; for one that is not ready, nothing.
#[must_use]
pub fn of_package(snapshot: &Snapshot, package: PackageId, now: DateTime<Utc>) -> Vec<Explanation> {
    let ready = snapshot.ready.iter().filter(|ready| ready.job.package == package);
    ready.flat_map(|ready| explain(snapshot, ready, now)).collect()
}

/// For a drone, an explanation by ready package.
#[must_use]
pub fn of_drone(snapshot: &Snapshot, drone: DroneId, now: DateTime<Utc>) -> Vec<Explanation> {
    let all = snapshot.ready.iter().flat_map(|ready| explain(snapshot, ready, now));
    all.filter(|explanation| explanation.drone == drone).collect()
}

fn explain(snapshot: &Snapshot, ready: &Ready, now: DateTime<Utc>) -> Vec<Explanation> {
    let fleet = Fleet::of(snapshot);
    let others = fleet.others(ready);
    let explained = snapshot.drones.iter().map(|drone| {
        let refusal = fleet.refuses(ready, now).or_else(|| fleet.refuses_on(ready, drone, others, now));
        let Refusal { reason, until } = refusal.unwrap_or_else(|| {
            if drone.wants > 0 {
                return Refusal { reason: Reason::InTurn, until: None };
            }
            let free_in = drone.work.iter().map(|work| work.remaining_seconds(drone.speed, now)).sum();
            let until = (free_in > 0.0).then(|| now + seconds(free_in));
            let reason = if drone.work.is_empty() { Reason::NotAsking } else { Reason::Busy };
            Refusal { reason, until }
        });
        Explanation { package: ready.job.package, drone: drone.drone, reason, until }
    });
    explained.collect()
}
