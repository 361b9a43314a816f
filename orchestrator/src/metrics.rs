//! What Prometheus scrapes: every name, unit and label in one place. Counters and histograms are of this process; a scraper
//! that sees all orchestrators adds them up. [`gauges`] are read from Postgres at each scrape, and are the same from all of
//! them.
//!
//! `grafana/build-swarm.json` shows them; a test compares the names.

pub mod gauges;

use crate::db::invariants::Invariant;
use gauges::Gauges;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// What all names begin with.
const PREFIX: &str = "swarm";

/// The metrics of this process.
pub struct Metrics {
    registry: Registry,
    breaches: Family<OfInvariant, Counter>,
    steals: Family<OfSteal, Counter>,
    steal_seconds: Histogram,
    hand_off_seconds: Histogram,
    claim_seconds: Histogram,
    build_seconds: Family<OfBuild, Histogram>,
    upload_seconds: Histogram,
    receive_seconds: Histogram,
    request_seconds: Family<OfRequest, Histogram>,
    disk_free: Family<OfDisk, Gauge>,
}

/// A disk that none of the drones has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disk {
    /// Where the private servers keep what they keep.
    StateDir,
    /// The binhost's, as it says itself to the orchestrator that leads.
    Binhost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDisk {
    disk: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInvariant {
    invariant: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSteal {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: &'static str,
    route: String,
    status: &'static str,
}

/// How a theft ended.
const TAKEN: OfSteal = OfSteal { outcome: "taken" };
const TOO_LATE: OfSteal = OfSteal { outcome: "too_late" };
/// How a build ended.
const COMPLETED: OfBuild = OfBuild { outcome: "completed" };
const FAILED: OfBuild = OfBuild { outcome: "failed" };

/// What a transaction takes, which waits for nobody.
const QUICK_SECONDS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];
/// What a call takes that may wait for others; long-polls wait for a minute.
const CALL_SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0];
/// What a build takes, or the upload of what it made: seconds to half a day.
const BUILD_SECONDS: [f64; 12] =
    [1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 18_000.0, 43_200.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
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
        let mut histogram = |name, help, buckets: &[f64]| {
            let histogram = Histogram::new(buckets.iter().copied());
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let quick = &QUICK_SECONDS;
        let steal_seconds = histogram("steal", "From the choice to the end of the transaction", quick);
        let claim_seconds = histogram("claim", "The transaction that gives a drone its packages", quick);
        let help = "From a package being ready and a drone waiting for it, to the drone's claim";
        let hand_off_seconds = histogram("hand_off", help, &CALL_SECONDS);
        let help = "Uploads of artifacts to the binhost, with their repetitions";
        let upload_seconds = histogram("upload", help, &BUILD_SECONDS);
        let help = "Receiving an artifact: from its completion to its staging and the package's transition";
        let receive_seconds = histogram("receive", help, &CALL_SECONDS);
        let build_seconds = Family::new_with_constructor(build_histogram as fn() -> Histogram);
        let help = "Builds proper on the drones, without fetching and installing what they need";
        registry.register_with_unit("build", help, Unit::Seconds, build_seconds.clone());
        let request_seconds = Family::new_with_constructor(request_histogram as fn() -> Histogram);
        let help = "Requests by route and class of status; long-polls wait for work";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, request_seconds.clone());
        let disk_free = Family::<OfDisk, Gauge>::default();
        let help = "Room on the disks of the binhost and of the private servers";
        registry.register_with_unit("disk_free", help, Unit::Bytes, disk_free.clone());
        // Every series whose labels are known is there from the beginning: a scraper sees its first rise.
        for invariant in Invariant::ALL {
            breaches.get_or_create(&OfInvariant { invariant: invariant.as_str() }).inc_by(0);
        }
        for outcome in [TAKEN, TOO_LATE] {
            steals.get_or_create(&outcome).inc_by(0);
        }
        for outcome in [COMPLETED, FAILED] {
            drop(build_seconds.get_or_create(&outcome));
        }
        Self {
            registry,
            breaches,
            steals,
            steal_seconds,
            hand_off_seconds,
            claim_seconds,
            build_seconds,
            upload_seconds,
            receive_seconds,
            request_seconds,
            disk_free,
        }
    }
}

fn build_histogram() -> Histogram {
    Histogram::new(BUILD_SECONDS)
}

fn request_histogram() -> Histogram {
    Histogram::new(CALL_SECONDS)
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

    /// A drone's claim was tried.
    pub fn claim(&self, took: Duration) {
        self.claim_seconds.observe(took.as_secs_f64());
    }

    /// A drone has a package for which both had waited so long.
    pub fn hand_off(&self, waited: Duration) {
        self.hand_off_seconds.observe(waited.as_secs_f64());
    }

    /// A build ended on its drone, well or not.
    pub fn build(&self, completed: bool, seconds: f64) {
        self.build_seconds.get_or_create(if completed { &COMPLETED } else { &FAILED }).observe(seconds);
    }

    /// An artifact is on the binhost.
    pub fn upload(&self, seconds: f64) {
        self.upload_seconds.observe(seconds);
    }

    /// An artifact was received.
    pub fn receive(&self, took: Duration) {
        self.receive_seconds.observe(took.as_secs_f64());
    }

    /// A request was answered. `route` is the path as it was declared, so that there are not more of them than routes.
    pub fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let status = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        let labels = OfRequest { method, route: route.to_owned(), status };
        self.request_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// So many bytes are free; `None`: nobody knows.
    pub fn disk_free(&self, disk: Disk, bytes: Option<u64>) {
        let labels = match disk {
            Disk::StateDir => OfDisk { disk: "state_dir" },
            Disk::Binhost => OfDisk { disk: "binhost" },
        };
        if let Some(bytes) = bytes {
            self.disk_free.get_or_create(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        } else {
            self.disk_free.remove(&labels);
        }
    }

    /// All of them and the gauges, as Prometheus reads them (the text format of `OpenMetrics`).
    #[must_use]
    pub fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        // It fails only where writing to the String does.
        let _ = text::encode_registry(&mut text, &self.registry);
        let _ = text::encode_registry(&mut text, &gauges.registry());
        let _ = text::encode_eof(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn sample() -> String {
        let metrics = Metrics::default();
        metrics.breach(Invariant::Holder);
        metrics.steal(true, Duration::from_millis(3));
        metrics.steal(false, Duration::from_millis(1));
        metrics.claim(Duration::from_millis(2));
        metrics.hand_off(Duration::from_millis(7));
        metrics.build(true, 61.0);
        metrics.receive(Duration::from_millis(30));
        metrics.disk_free(Disk::StateDir, Some(5 << 30));
        metrics.disk_free(Disk::Binhost, Some(9 << 30));
        metrics.disk_free(Disk::Binhost, None);
        metrics.request("GET", "/api/v1/runs/{run}", 404, Duration::from_millis(1));
        metrics.text(&gauges::tests::sample())
    }

    #[test]
    fn the_names_are_stable() {
        // The series of a family come in any order; the buckets are in the code.
        let text = sample();
        let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("_bucket{")).collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// Every name that an expression of the Grafana dashboard holds.
    #[test]
    fn the_dashboard_shows_what_there_is() {
        let text = sample();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let known: BTreeSet<_> = series.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let dashboard = include_str!("../grafana/build-swarm.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
        let words =
            expressions.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        let shown: BTreeSet<_> = words.filter(|word| word.starts_with("swarm_")).collect();
        assert!(shown.len() > 8, "{shown:?}");
        assert_eq!(shown.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
