//! How long one plan takes: a full queue, one drone that asks, and all of them at once.

use crate::report;
use build_orchestrator::scheduler::{Drone, Job, Needs, Policy, Ready, Snapshot, Work, plan};
use chrono::DateTime;
use serde_json::json;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_protocol::id::{AttemptId, DroneId, PackageId, TargetId};

const READY: i64 = 2500;
const ROUNDS: usize = 50;

pub(crate) fn run() {
    for drones in [100, 1000] {
        for (asking, wants) in [("one", 1), ("all", drones)] {
            let snapshot = snapshot(drones, wants);
            let times = (0..ROUNDS).map(|_| {
                let begun = Instant::now();
                let decisions = plan(&snapshot, Policy::EarliestFinish, DateTime::UNIX_EPOCH);
                assert_eq!(decisions.len(), usize::try_from(wants).unwrap());
                begun.elapsed().as_secs_f64() * 1e3
            });
            report::line(&json!({
                "name": "plan", "ready": READY, "drones": drones, "asking": asking, "unit": "ms", "n": ROUNDS,
                "time": report::percentiles(&times.collect::<Vec<_>>()),
            }));
        }
    }
}

fn snapshot(drones: i64, asking: i64) -> Snapshot {
    let epoch = Digest::of(b"epoch");
    let job = |package: i64| Job {
        package: PackageId(package),
        target: TargetId(package % 3),
        epoch,
        estimate_seconds: f64::from(u32::try_from(package % 97).unwrap()),
        needs: Needs::default(),
        only_on: None,
        exclusive: None,
        failed_on: vec![],
    };
    let begin = DateTime::UNIX_EPOCH;
    let ready = (0..READY).map(|package| Ready {
        job: job(package),
        priority: 0,
        rank: f64::from(u32::try_from(READY - package).unwrap()),
        ready_since: begin,
        not_before: None,
    });
    let drone = |id: i64| {
        let asks = id < asking;
        let work =
            Work { attempt: AttemptId(id), job: job(READY + id), claimed_at: begin, started_at: Some(begin) };
        Drone {
            drone: DroneId(id),
            speed: f64::from(u32::try_from(1 + id % 4).unwrap()),
            has: Needs::default(),
            epochs: [epoch].into(),
            wants: usize::from(asks),
            ahead: 0,
            returns_until: None,
            work: if asks { vec![] } else { vec![work] },
        }
    };
    Snapshot { ready: ready.collect(), drones: (0..drones).map(drone).collect(), ..Snapshot::default() }
}
