//! The only place that reads the clock.

use chrono::{DateTime, Local, Utc};

/// This machine's time.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The same in this machine's time zone, by which cron goes.
pub(crate) fn local() -> DateTime<Local> {
    Local::now()
}
