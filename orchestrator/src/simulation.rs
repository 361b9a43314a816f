//! The command line of `build-orchestrator simulate`.

use anyhow::{Context, Result};
use build_orchestrator::scheduler::{Policy, Strategy};
use build_orchestrator::simulate::{Fleet, Graph, Luck, simulate};
use clap::Args;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What is simulated.
#[derive(Args)]
pub(crate) struct Options {
    /// The graph: `{"nodes": [{"seconds": …}…], "edges": [[dependent, dependency, ["buildtime"…]]…]}`.
    #[arg(long, value_name = "FILE")]
    graph: PathBuf,
    /// How much faster each drone is than one of speed 1.
    #[arg(long, value_name = "SPEEDS", value_delimiter = ',', required = true, value_parser = speed)]
    drones: Vec<f64>,
    /// How packages find their drones: eft is what production does.
    #[arg(long, default_value = "eft", value_parser = policy)]
    policy: Policy,
    /// Builds take what the graph says times exp(SIGMA × normal), which the scheduler does not know.
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0, value_parser = noise)]
    noise: f64,
    /// The share of attempts that fail somewhere on the way, and are tried again.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    failures: f64,
    /// How many packages each drone holds beside the one that it builds.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8))]
    ahead: u8,
    /// From whom idle drones take what is held and not started.
    #[arg(long, default_value = "two-choices", value_parser = Strategy::parse)]
    steal: Strategy,
    /// Where chance begins: the same seed gives the same luck under every policy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object, with the whole schedule.
    #[arg(long)]
    json: bool,
}

/// Simulates, and prints what came of it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let file = options.graph.display();
    let bytes = std::fs::read(&options.graph).with_context(|| format!("cannot read {file}"))?;
    let graph = Graph::parse(&bytes).with_context(|| format!("{file} cannot be simulated"))?;
    let fleet =
        Fleet { speeds: options.drones.clone(), ahead: options.ahead.into(), strategy: options.steal };
    let luck = Luck { noise: options.noise, failures: options.failures, seed: options.seed };
    let report = simulate(&graph, &fleet, options.policy, luck);
    let text =
        if options.json { format!("{}\n", serde_json::to_string(&report)?) } else { report.to_string() };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the report"),
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "eft" => Ok(Policy::EarliestFinish),
        "critical-path" => Ok(Policy::CriticalPath),
        "fifo" => Ok(Policy::Fifo),
        _ => Err("it is one of eft, critical-path, fifo".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    number(text, |speed| (1e-3..=1e3).contains(&speed), "a speed is a number from 0.001 to 1000")
}

fn noise(text: &str) -> Result<f64, String> {
    number(text, |sigma| (0.0..=5.0).contains(&sigma), "it is a number from 0 to 5")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |share| (0.0..1.0).contains(&share), "it is a number from 0 to below 1")
}

fn number(text: &str, is_good: impl Fn(f64) -> bool, rule: &str) -> Result<f64, String> {
    text.trim().parse().ok().filter(|number| is_good(*number)).ok_or_else(|| rule.to_owned())
}
