//! Why a package is not with a drone: the same rules that the plan goes by, asked one by one.

use super::fit::{Fleet, Refusal, seconds};
use super::{Drone, Ready, Reason, Snapshot};
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
    let Some(ready) = snapshot.ready.iter().find(|ready| ready.job.package == package) else { return vec![] };
    let fleet = Fleet::of(snapshot);
    snapshot.drones.iter().map(|drone| explain(&fleet, ready, drone, now)).collect()
}

/// For a drone, an explanation by ready package.
#[must_use]
pub fn of_drone(snapshot: &Snapshot, drone: DroneId, now: DateTime<Utc>) -> Vec<Explanation> {
    let Some(drone) = snapshot.drones.iter().find(|one| one.drone == drone) else { return vec![] };
    let fleet = Fleet::of(snapshot);
    snapshot.ready.iter().map(|ready| explain(&fleet, ready, drone, now)).collect()
}

/// Ready packages that no drone of the snapshot may ever build as things are, busy or not. One of which it is not known
/// what it holds might.
#[must_use]
pub fn stranded(snapshot: &Snapshot) -> Vec<&Ready> {
    let fleet = Fleet::of(snapshot);
    snapshot.ready.iter().filter(|ready| !fleet.could(&ready.job, |_| true)).collect()
}

fn explain(fleet: &Fleet<'_>, ready: &Ready, drone: &Drone, now: DateTime<Utc>) -> Explanation {
    let refusal = fleet
        .refuses(ready, now)
        .or_else(|| fleet.refuses_on(ready, drone, fleet.others(ready), now))
        .unwrap_or_else(|| {
            if drone.wants > drone.ahead {
                return Refusal { reason: Reason::InTurn, until: None };
            }
            let free_in = drone.work.iter().map(|work| work.remaining_seconds(drone.speed, now)).sum();
            let until = (free_in > 0.0).then(|| now + seconds(free_in));
            let reason = if drone.work.is_empty() { Reason::NotAsking } else { Reason::Busy };
            Refusal { reason, until }
        });
    let Refusal { reason, until } = refusal;
    Explanation { package: ready.job.package, drone: drone.drone, reason, until }
}
