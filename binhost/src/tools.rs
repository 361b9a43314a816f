//! The commands beside the daemon: `verify` and `gc`.

use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, Swept};
use crate::upkeep::Pace;
use crate::verify::{self, Report};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use tokio_util::sync::CancellationToken;

/// How [`verify`] works and speaks.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Verify {
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Read at most this many bytes per second; as fast as the disk gives them where absent.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    bytes_per_second: Option<u64>,
}

/// Reads the whole store, beside the daemon if it runs. `false`: something is wrong, and printed.
pub async fn verify(config: Config, how: Verify) -> Result<bool> {
    let root = config.directory;
    let verifying = tokio::task::spawn_blocking(move || {
        let pace = how.bytes_per_second.map(|bytes| Pace::new(bytes, CancellationToken::new()));
        match pace {
            Some(mut pace) => verify::verify(&root, |bytes| pace.read(bytes)),
            None => verify::verify(&root, |_| Ok(())),
        }
    });
    let report = verifying.await?.context("the store could not be verified")?;
    print(&report, how.json, said)?;
    Ok(report.findings.is_empty())
}

fn said(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = writeln!(text, "{}: {}", finding.path.display(), finding.detail);
        for by in &finding.needed_by {
            let _ = writeln!(text, "    needed by {}", by.display());
        }
    }
    let Report { blobs, bytes, findings, .. } = report;
    let _ = writeln!(text, "{blobs} blobs of {bytes} bytes were read; {} faults were found", findings.len());
    text
}

/// How [`gc`] works and speaks.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Gc {
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Removes what retention does not keep and nothing refers to. A running daemon does that by itself; it holds the
/// directory's lock, and this refuses.
pub async fn gc(config: Config, clock: &dyn Clock, how: Gc) -> Result<()> {
    let (now, retention, directory) = (clock.now(), config.retention, config.directory);
    let swept = tokio::task::spawn_blocking(move || {
        let store = Store::open(&directory)?;
        if how.dry_run { store.collectable(retention, now) } else { store.collect(retention, now) }
    });
    let every = config.upkeep.collect_seconds;
    let swept = swept.await?.with_context(|| {
        format!("nothing was collected; a running binhost collects by itself, every {every} seconds")
    })?;
    print(&swept, how.json, |swept| collected(swept, how.dry_run))
}

fn collected(swept: &Swept, dry_run: bool) -> String {
    let (mut text, verb) = (String::new(), if dry_run { "would be removed" } else { "removed" });
    for removed in &swept.generations {
        let _ = writeln!(text, "generation {} of {}: {verb}", removed.number, removed.target);
    }
    let _ = writeln!(text, "{} files of {} bytes: {verb}", swept.blobs.files, swept.blobs.bytes);
    if swept.distfiles > 0 {
        let _ = writeln!(text, "{} source archives: {verb}", swept.distfiles);
    }
    text
}

/// Writes to standard output; a reader that has gone is no fault.
pub(crate) fn print<T: Serialize>(value: &T, json: bool, text: impl Fn(&T) -> String) -> Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(value)?) } else { text(value) };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
