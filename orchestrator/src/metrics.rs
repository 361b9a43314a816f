//! What Prometheus scrapes: every name, unit and label in one place. Counters are of this process; a scraper that sees all
//! orchestrators adds them up.

use crate::db::invariants::Invariant;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// The metrics of this process.
pub struct Metrics {
    registry: Registry,
    breaches: Family<OfInvariant, Counter>,
    steals: Family<OfSteal, Counter>,
    steal_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInvariant {
    invariant: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSteal {
    outcome: &'static str,
}

/// How a theft ended.
const TAKEN: OfSteal = OfSteal { outcome: "taken" };
const TOO_LATE: OfSteal = OfSteal { outcome: "too_late" };

/// What a theft takes: one transaction, which waits for nobody.
const STEAL_BUCKETS_SECONDS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("swarm");
        let breaches = Family::<OfInvariant, Counter>::default();
        registry.register(
            "invariant_breaches",
            "Breaches of the queue's invariants that were found",
            breaches.clone(),
        );
        let steals = Family::<OfSteal, Counter>::default();
        registry.register(
            "steals",
            "Attempts of idle drones to take over what another holds",
            steals.clone(),
        );
        let steal_seconds = Histogram::new(STEAL_BUCKETS_SECONDS);
        registry.register_with_unit(
            "steal",
            "From the choice to the end of the transaction",
            Unit::Seconds,
            steal_seconds.clone(),
        );
        // Every series is there from the beginning: a scraper sees its first rise.
        for invariant in Invariant::ALL {
            breaches.get_or_create(&OfInvariant { invariant: invariant.as_str() }).inc_by(0);
        }
        for outcome in [TAKEN, TOO_LATE] {
            steals.get_or_create(&outcome).inc_by(0);
        }
        Self { registry, breaches, steals, steal_seconds }
    }
}

impl Metrics {
    /// A breach was found.
    pub fn breach(&self, invariant: Invariant) {
        self.breaches.get_or_create(&OfInvariant { invariant: invariant.as_str() }).inc();
    }

    /// An idle drone tried to take what another held.
    pub fn steal(&self, taken: bool, took: Duration) {
        self.steals.get_or_create(if taken { &TAKEN } else { &TOO_LATE }).inc();
        self.steal_seconds.observe(took.as_secs_f64());
    }

    /// All of them, as Prometheus reads them (the text format of `OpenMetrics`).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // It fails only where writing to the String does.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_stable() {
        let metrics = Metrics::default();
        metrics.breach(Invariant::Holder);
        metrics.steal(true, Duration::from_millis(3));
        metrics.steal(false, Duration::from_millis(1));
        // The series of a family come in any order.
        let text = metrics.text();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
