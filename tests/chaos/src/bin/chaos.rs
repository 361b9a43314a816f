//! `chaos [--first SEED] [--jobs N] [--keep] SEEDS`: lives through so many seeds, several at a time, and prints a line for
//! each. Ends with 1 if one of them went wrong.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use swarm_chaos::storm::{Report, weather};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut first, mut jobs, mut keep, mut seeds) = (0, 2, false, None);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse().ok());
        let understood = match argument.as_str() {
            "--first" => number().map(|number| first = number),
            "--jobs" => number().map(|number| jobs = number),
            "--keep" => {
                keep = true;
                Some(())
            }
            count => count.parse().ok().map(|count: u64| seeds = Some(count)),
        };
        if understood.is_none() {
            return usage();
        }
    }
    let Some(seeds) = seeds else { return usage() };
    let (next, tally) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let report = weather(seed, keep);
                    tally.lock().unwrap_or_else(PoisonError::into_inner).add(seed, report);
                }
            });
        }
    });
    let Tally { wrong, events } = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("what happened, all in all: {events:?}");
    println!("{seeds} seeds, {} of them wrong: {wrong:?}", wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What became of all seeds so far.
#[derive(Default)]
struct Tally {
    wrong: Vec<u64>,
    events: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, seed: u64, report: std::thread::Result<Report>) {
        let violations = match report {
            Ok(Report { events, faults, recovery, violations, .. }) => {
                let (faults, recovery) = (faults.len(), recovery.as_secs_f64());
                println!("seed {seed}: {faults} faults, recovered in {recovery:.1} s");
                for (kind, count) in events {
                    *self.events.entry(kind).or_default() += count;
                }
                violations
            }
            Err(panic) => {
                vec![panic.downcast_ref::<String>().map_or("it panicked", String::as_str).to_owned()]
            }
        };
        for violation in &violations {
            println!("seed {seed} WENT WRONG: {violation}");
        }
        if !violations.is_empty() {
            self.wrong.push(seed);
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: chaos [--first SEED] [--jobs N] [--keep] SEEDS");
    ExitCode::from(2)
}
