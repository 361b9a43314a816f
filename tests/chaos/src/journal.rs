//! What a scripted drone notes of its own life, line by line, so that a `kill -9` loses nothing: the other side of the
//! event log.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use swarm_protocol::id::AttemptId;

/// Milliseconds of the host's clock, the same that Postgres reads.
pub type Millis = i64;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A heartbeat was sent and answered, and all the while it held these attempts.
    Beat {
        /// Before it was sent.
        asked: Millis,
        /// After it was answered.
        answered: Millis,
        /// What was held before and after.
        held: Vec<AttemptId>,
    },
    /// It holds an attempt no more.
    Ended {
        /// When.
        at: Millis,
        /// The attempt.
        attempt: AttemptId,
        /// How that came.
        how: String,
    },
    /// The swarm did what it must never do.
    Violation {
        /// What.
        what: String,
    },
}

/// The journal, to be written.
pub struct Journal(File);

impl Journal {
    /// Goes on where a former process ended.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(File::options().create(true).append(true).open(path)?))
    }

    /// Adds a line, by one write.
    pub fn note(&self, entry: &Entry) {
        let line = serde_json::to_string(entry).unwrap() + "\n";
        (&self.0).write_all(line.as_bytes()).unwrap();
    }
}

/// What a drone noted. The last line may have been cut off.
#[must_use]
pub fn read(path: &Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Now.
#[must_use]
pub fn now() -> Millis {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}
