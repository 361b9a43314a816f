//! The command line of `build-binhost reindex`.

use super::{Report, reindex};
use crate::clock::SystemClock;
use anyhow::{Context, Result};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

/// The status where packages were left out and `--strict` was given.
const LEFT_OUT: u8 = 3;

/// What `reindex` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The directory of binary packages (PKGDIR).
    directory: PathBuf,
    /// Say what was done as one JSON object.
    #[arg(long)]
    json: bool,
    /// Read every file, and keep no cache.
    #[arg(long)]
    no_cache: bool,
    /// How many files are read at once [default: the number of cores].
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// End with status 3 if a package was left out.
    #[arg(long)]
    strict: bool,
}

/// Runs `build-binhost reindex`. Packages that are left out are told on standard error, and are no failure: emaint, too,
/// ends with 0.
pub fn command(arguments: &Arguments) -> Result<ExitCode> {
    let directory = &arguments.directory;
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = arguments.jobs.unwrap_or_else(cores);
    let report = reindex(directory, !arguments.no_cache, jobs, &SystemClock)
        .with_context(|| format!("{} has not been indexed", directory.display()))?;
    for left_out in &report.left_out {
        eprintln!("left out {}: {} [{}]", left_out.path, left_out.reason, left_out.code);
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}: {}", directory.display(), summary(&report));
    }
    let failed = arguments.strict && !report.left_out.is_empty();
    Ok(if failed { ExitCode::from(LEFT_OUT) } else { ExitCode::SUCCESS })
}

fn summary(report: &Report) -> String {
    let Report { packages, read, cached, written, timestamp, left_out } = report;
    let index = if *written { "written" } else { "up to date" };
    let left_out = left_out.len();
    format!(
        "{packages} packages, {read} read, {cached} known, {left_out} left out; index {index}, TIMESTAMP {timestamp}"
    )
}
