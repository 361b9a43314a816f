//! How things stand: read from Postgres at each scrape, through the functions that `swarm status` reads through.

use super::PREFIX;
use crate::db::{alarms, drones, runs};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sqlx::PgPool;
use std::collections::BTreeMap;
use swarm_protocol::admin::Counts;
use swarm_protocol::state::DroneState;

/// One reading.
#[derive(Debug, Default)]
pub struct Gauges {
    packages: Vec<(String, Counts)>,
    drones: BTreeMap<&'static str, i64>,
    alarms: BTreeMap<&'static str, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPackages {
    target: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDrones {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAlarms {
    alarm: &'static str,
}

impl Gauges {
    /// Reads them.
    pub async fn read(db: &PgPool) -> sqlx::Result<Self> {
        let open = runs::Filter { open: true, ..runs::Filter::default() };
        let runs = runs::list(db, &open).await?;
        let mut drones: BTreeMap<_, _> = DroneState::ALL.iter().map(|state| (state.as_str(), 0)).collect();
        for drone in drones::list(db, None).await? {
            *drones.entry(drone.state.as_str()).or_default() += 1;
        }
        let mut alarms = BTreeMap::new();
        for alarm in alarms::open(db).await? {
            *alarms.entry(alarm.kind.as_str()).or_default() += 1;
        }
        let packages = runs.into_iter().map(|run| (run.target.to_string(), run.counts)).collect();
        Ok(Self { packages, drones, alarms })
    }

    /// As a registry of its own, so that what is over is gone at the next scrape.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let packages = Family::<OfPackages, Gauge>::default();
        registry.register("packages", "Packages of the open runs by state", packages.clone());
        for (target, counts) in &self.packages {
            for (state, count) in counts.by_state() {
                let state = state.as_str();
                packages.get_or_create(&OfPackages { target: target.clone(), state }).set(count);
            }
        }
        let ready = Family::<OfTarget, Gauge>::default();
        registry.register(
            "packages_ready",
            "Needed packages of the open runs that wait for nothing",
            ready.clone(),
        );
        for (target, counts) in &self.packages {
            ready.get_or_create(&OfTarget { target: target.clone() }).set(counts.ready);
        }
        let drones = Family::<OfDrones, Gauge>::default();
        registry.register("drones", "Drones by state", drones.clone());
        for (&state, &count) in &self.drones {
            drones.get_or_create(&OfDrones { state }).set(count);
        }
        let alarms = Family::<OfAlarms, Gauge>::default();
        registry.register(
            "alarms",
            "Alarms that were raised and are not over, by what they are about",
            alarms.clone(),
        );
        for (&alarm, &count) in &self.alarms {
            alarms.get_or_create(&OfAlarms { alarm }).set(count);
        }
        registry
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    target: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn sample() -> Gauges {
        let counts = Counts { total: 9, needed: 3, ready: 1, delegated: 2, received: 4, ..Counts::default() };
        Gauges {
            packages: vec![("box".to_owned(), counts)],
            drones: [("online", 2), ("grounded", 0)].into(),
            alarms: [("disk", 1)].into(),
        }
    }
}
