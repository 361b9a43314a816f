//! How much room is left for what the binhost writes. A disk that is full refuses uploads (`disk_full`), and loses nothing;
//! one that is nearly full is said, so that a person makes room before that (law 12).

use crate::error::{Doing, Result};
use std::path::Path;

/// Bytes that may still be written where `directory` is.
pub(crate) fn free(directory: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(directory).doing("see how much room is left in", directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A sentence, where less than `least` bytes are free.
pub(crate) fn low(free: u64, least: u64) -> Option<String> {
    let [free_mib, least_mib] = [free, least].map(|bytes| bytes >> 20);
    (free < least).then(|| {
        format!(
            "its disk is nearly full: {free_mib} MiB are free, and limits.disk_low_bytes asks for {least_mib}; make \
             room, or keep less: generations, days or distfile_bytes of [retention]"
        )
    })
}
