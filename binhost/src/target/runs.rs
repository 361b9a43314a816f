//! The end of a run's staging view.
//!
//! The orchestrator drops a run when it is over and nobody can inherit from it or build in it any more. `dropped.log`
//! comes first and is the truth: a late stage call for such a run is refused for ever, since the view that it would
//! make again would never be dropped. Then the directory goes; what a crash leaves of it, the next start removes. The
//! paths of its artifacts stay in `artifacts.log`, so that they never name other bytes (law 9); their bytes are
//! collected unless a generation has them.

use super::Target;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use swarm_protocol::Code;
use swarm_protocol::id::RunId;

/// The journal's name.
pub(super) const DROPPED: &str = "dropped.log";

/// A line of `dropped.log`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub(super) run: RunId,
}

impl Target {
    /// Refuses a run that was dropped. The caller holds the journals, so that it stays as it is.
    pub(super) fn open_run(&self, run: RunId) -> Result<()> {
        if self.read().dropped.contains(&run) {
            return Err(Error::refused(
                Code::WrongState,
                format!("run {run} is over, and its view is dropped"),
            ));
        }
        Ok(())
    }

    /// Ends a run's view for good. `false`: it was ended before.
    pub(crate) fn drop_run(&self, run: RunId) -> Result<bool> {
        let mut files = self.files();
        if self.read().dropped.contains(&run) {
            return Ok(false);
        }
        files.dropped.append(&Dropped { run })?;
        files.runs.remove(&run);
        {
            let mut state = self.write();
            state.dropped.insert(run);
            state.runs.remove(&run);
        }
        let directory = self.directory.join("runs").join(run.to_string());
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).doing("remove", &directory)
            }
            _ => Ok(true),
        }
    }
}
