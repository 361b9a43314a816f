//! Makespan by lower bound: with exact estimates, with bad ones, and with packages held ahead and stolen.

use crate::{graphs, report};
use build_orchestrator::scheduler::{Policy, Strategy};
use build_orchestrator::simulate::{Fleet, Graph, Luck, Report, simulate};
use serde_json::json;

const FLEETS: [(&str, &[f64]); 2] =
    [("1,1,2,4", &[1.0, 1.0, 2.0, 4.0]), ("1,1,1,1,2,2,4,4", &[1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0])];
const POLICIES: [(&str, Policy); 3] =
    [("eft", Policy::EarliestFinish), ("critical-path", Policy::CriticalPath), ("fifo", Policy::Fifo)];
const SEEDS: u64 = 40;
const NOISE: f64 = 0.5;

pub(crate) fn run() {
    for (name, graph) in graphs::all() {
        for (fleet, speeds) in FLEETS {
            for (policy, chosen) in POLICIES {
                let report = simulate(&graph, &alone(speeds), chosen, Luck::default());
                report::line(&json!({
                    "name": "schedule", "graph": name, "fleet": fleet, "policy": policy, "unit": "by lower bound",
                    "ratio": report::rounded(report.ratio),
                }));
            }
        }
    }
    let (fleet, speeds) = FLEETS[1];
    for (policy, chosen) in POLICIES {
        line("noisy schedule", fleet, policy, &seeds(&graphs::world(), &alone(speeds), chosen));
    }
    for ahead in [1, 2] {
        for (word, strategy) in Strategy::ALL {
            let fleet_ahead = Fleet { speeds: speeds.to_vec(), ahead, strategy };
            let reports = seeds(&graphs::world(), &fleet_ahead, Policy::EarliestFinish);
            line(&format!("noisy schedule, {ahead} ahead"), fleet, word, &reports);
        }
    }
}

fn alone(speeds: &[f64]) -> Fleet {
    Fleet { speeds: speeds.to_vec(), ahead: 0, strategy: Strategy::default() }
}

fn seeds(graph: &Graph, fleet: &Fleet, policy: Policy) -> Vec<Report> {
    let luck = |seed| Luck { noise: NOISE, failures: 0.0, seed };
    (0..SEEDS).map(|seed| simulate(graph, fleet, policy, luck(seed))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn line(name: &str, fleet: &str, policy: &str, reports: &[Report]) {
    let ratios: Vec<_> = reports.iter().map(|report| report.ratio).collect();
    let stolen: usize = reports.iter().map(|report| report.stolen).sum();
    report::line(&json!({
        "name": name, "graph": "world-291", "fleet": fleet, "policy": policy, "noise": NOISE, "seeds": SEEDS,
        "unit": "by lower bound", "mean": report::rounded(ratios.iter().sum::<f64>() / ratios.len() as f64),
        "ratio": report::spread(&ratios), "stolen": report::rounded(stolen as f64 / reports.len() as f64),
    }));
}
