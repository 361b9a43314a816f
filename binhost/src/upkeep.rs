//! What the daemon does by itself: it collects what nothing refers to, and scrubs what it has.
//!
//! Each is a loop of a wait and one `*_once`. A scrub takes hours of a large store, so when the last one ended, and what
//! it found, is kept in `scrub.json`: a restart neither begins anew nor forgets damage. Damaged blobs are set aside,
//! as staging does with them: their address is free for a new upload, and nobody is given wrong bytes. What was found
//! is an error in the log, and in `/readyz` until a scrub finds nothing (law 12).

use crate::clock::Clock;
use crate::config;
use crate::durable;
use crate::error::{Doing, Error, Result};
use crate::store::Store;
use crate::verify::{self, Finding};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const SCRUB: &str = "scrub.json";
/// A scrub that found damage, or failed, is repeated after this time, in seconds.
const SOON: i64 = 86_400;
/// The clock may be set: what is due is looked at again after this time at the latest.
const LOOK: Duration = Duration::from_hours(1);
/// A loop that is this many of its periods late does not turn.
const MISSED: u32 = 3;

/// `scrub.json`
#[derive(Debug, Default, Serialize, Deserialize)]
struct Scrub {
    /// When it ended, in Unix seconds.
    ended: i64,
    findings: Vec<Finding>,
}

/// The daemon's own work, and what is wrong with it.
pub(crate) struct Upkeep {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    retention: config::Retention,
    settings: config::Upkeep,
    state: Mutex<State>,
}

struct State {
    scrub: Scrub,
    /// Why the last one of each did not come to its end.
    scrub_failed: bool,
    collect_failed: bool,
    collected: Instant,
}

impl Upkeep {
    /// Reads what the last scrub found.
    pub(crate) fn open(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        retention: config::Retention,
        settings: config::Upkeep,
    ) -> Result<Self> {
        let path = store.root().join(SCRUB);
        let scrub = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Scrub::default(),
            bytes => serde_json::from_slice(&bytes.doing("read", &path)?).doing("understand", &path)?,
        };
        let collected = Instant::now();
        let state = State { scrub, scrub_failed: false, collect_failed: false, collected };
        Ok(Self { store, clock, retention, settings, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What works less well than it should, in sentences.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let state = self.state();
        let mut degraded = Vec::new();
        if !state.scrub.findings.is_empty() {
            let number = state.scrub.findings.len();
            degraded.push(format!(
                "the last scrub found {number} faults: see the log, or `build-binhost verify`"
            ));
        }
        if state.scrub_failed {
            degraded.push("the last scrub failed: see the log".to_owned());
        }
        if state.collect_failed {
            degraded.push("the last collection of unneeded bytes failed: see the log".to_owned());
        }
        if state.collected.elapsed() > Duration::from_secs(self.settings.collect_seconds) * MISSED + LOOK {
            degraded.push("unneeded bytes are no longer collected: the loop does not turn".to_owned());
        }
        degraded
    }

    /// Collects until `stop`.
    pub(crate) async fn collect(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let upkeep = Arc::clone(&self);
            let done = tokio::task::spawn_blocking(move || upkeep.collect_once()).await;
            let failed = told("the collection", done);
            {
                let mut state = self.state();
                state.collect_failed = failed;
                state.collected = Instant::now();
            }
            if !pause(Duration::from_secs(self.settings.collect_seconds), &stop).await {
                return;
            }
        }
    }

    fn collect_once(&self) -> Result<()> {
        let swept = self.store.collect(self.retention, self.clock.now())?;
        for removed in &swept.generations {
            tracing::info!(target.name = %removed.target, generation = %removed.number, "a generation is removed");
        }
        if swept.blobs.files > 0 {
            tracing::info!(
                files = swept.blobs.files,
                bytes = swept.blobs.bytes,
                "unneeded bytes are removed"
            );
        }
        if swept.distfiles > 0 {
            tracing::info!(distfiles = swept.distfiles, "source archives that nobody asked for are removed");
        }
        Ok(())
    }

    /// Scrubs when it is due, until `stop`.
    pub(crate) async fn scrub(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let wait = self.until_scrub();
            if !pause(wait.min(LOOK), &stop).await {
                return;
            }
            if wait > LOOK {
                continue;
            }
            let (upkeep, token) = (Arc::clone(&self), stop.clone());
            let done = tokio::task::spawn_blocking(move || upkeep.scrub_once(&token)).await;
            if stop.is_cancelled() {
                return;
            }
            let failed = told("the scrub", done);
            self.state().scrub_failed = failed;
            // A store that cannot be read is not hammered.
            if failed && !pause(LOOK, &stop).await {
                return;
            }
        }
    }

    fn until_scrub(&self) -> Duration {
        let state = self.state();
        let interval = i64::from(self.settings.scrub_hours) * 3600;
        let interval = if state.scrub.findings.is_empty() { interval } else { interval.min(SOON) };
        let due = state.scrub.ended + interval - self.clock.now();
        Duration::from_secs(u64::try_from(due).unwrap_or(0))
    }

    fn scrub_once(&self, stop: &CancellationToken) -> Result<()> {
        let mut pace = Pace::new(self.settings.scrub_bytes_per_second, stop.clone());
        let report = verify::verify(self.store.root(), |bytes| pace.read(bytes))?;
        for (digest, inode) in &report.damaged {
            self.store.blobs.set_aside_inode(*digest, *inode)?;
        }
        for Finding { fault, path, detail, needed_by } in &report.findings {
            tracing::error!(?fault, path = %path.display(), needed_by = ?needed_by, "the scrub found a fault: {detail}");
        }
        let (blobs, bytes, faults) = (report.blobs, report.bytes, report.findings.len());
        tracing::info!(blobs, bytes, faults, "the scrub has read everything");
        let scrub = Scrub { ended: self.clock.now(), findings: report.findings };
        let path = self.store.root().join(SCRUB);
        let note = serde_json::to_vec(&scrub).doing("describe", &path)?;
        // Said even if it cannot be written down.
        self.state().scrub = scrub;
        durable::replace(&path, &note)
    }
}

/// Logs what went wrong; whether something did.
fn told(what: &str, done: Result<Result<()>, tokio::task::JoinError>) -> bool {
    match done {
        Ok(Ok(())) => false,
        Ok(Err(error)) => {
            tracing::error!("{what} failed: {error}");
            true
        }
        Err(error) => {
            tracing::error!("{what} did not end: {error}");
            true
        }
    }
}

/// `false`: stop.
async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    tokio::time::timeout(time, stop.cancelled()).await.is_err()
}

/// Bounds how fast a verification reads. It is used where a thread may block.
pub(crate) struct Pace {
    bytes_per_second: u64,
    stop: CancellationToken,
    began: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64, stop: CancellationToken) -> Self {
        Self { bytes_per_second, stop, began: Instant::now(), bytes: 0 }
    }

    /// Waits until this much may have been read.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes as u64;
        let due =
            self.began + Duration::from_micros(self.bytes.saturating_mul(1_000_000) / self.bytes_per_second);
        let now = Instant::now();
        if due > now {
            let _ = Handle::current().block_on(tokio::time::timeout(due - now, self.stop.cancelled()));
        } else if now - due > Duration::from_secs(1) {
            // What the disk could not keep up with is not made good by a burst.
            (self.began, self.bytes) = (now, 0);
        }
        if self.stop.is_cancelled() {
            let source = io::Error::from(ErrorKind::Interrupted);
            return Err(Error::Io { doing: "told to stop".to_owned(), source });
        }
        Ok(())
    }
}
