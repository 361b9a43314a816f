//! The orchestrator's own disk, where it has one: Postgres refuses writes when it is full, and then nothing is built.

use crate::alarms::{Alarm, Kind};
use std::path::Path;

/// By what its alarm is told from those of drones: none can be called so.
const ABOUT: &str = "state_dir";

/// Bytes that may still be written where `directory` is.
pub fn free(directory: &Path) -> rustix::io::Result<u64> {
    rustix::fs::statvfs(directory).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// An alarm, where less than `least` bytes are free.
#[must_use]
pub fn low(directory: &Path, least: u64) -> Option<Alarm> {
    let place = directory.display();
    let text = match free(directory) {
        Ok(free) if free >= least => return None,
        Ok(free) => format!(
            "the orchestrator's disk is nearly full: {} MiB are free in {place}, and limits.disk_low_bytes asks for {}; \
             make room, or keep less: times.log_retention_days, embedded.dumps_kept",
            free >> 20,
            least >> 20
        ),
        Err(error) => format!("nobody can say how full the orchestrator's disk is: {place}: {error}"),
    };
    Some(Alarm::new(Kind::Disk, ABOUT, text))
}
