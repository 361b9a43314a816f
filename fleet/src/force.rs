//! `--force`: a drone's last resort. Its service is stopped without waiting for what it builds, whatever it left behind is
//! killed and unmounted, its state directory emptied; then it starts anew.
//!
//! What a reset destroys comes again: attempts are reclaimed by the swarm when the new session begins (law 6), archives and
//! binaries are fetched. The queue, the drone's token and its configuration are not touched.

use crate::facts::one_line;
use crate::part::Part;
use crate::ssh::Connection;
use crate::topology::Role;
use crate::trouble::Trouble;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

const SCRIPT: &str = concat!(include_str!("stop.sh"), include_str!("force/reset.sh"));
/// A directory of a million files takes a while to count, and to delete.
const LIMIT: Duration = Duration::from_mins(10);

/// What a reset would destroy on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Doomed {
    /// Processes that run.
    pub processes: u32,
    /// Mounts below the state directory.
    pub mounts: u32,
    /// Bytes in the state directory.
    pub bytes: u64,
}

impl fmt::Display for Doomed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, mounts, bytes } = self;
        write!(f, "{processes} processes, {mounts} mounts, {} MiB of files", bytes >> 20)
    }
}

/// What a reset of the drone with that state directory would destroy.
pub async fn look(connection: &Connection, state_dir: &str) -> Result<Doomed, Trouble> {
    let mut doomed = Doomed::default();
    for (key, value) in
        run(connection, "look", state_dir).await?.lines().filter_map(|line| line.split_once('='))
    {
        let number: u64 = value.trim().parse().unwrap_or_default();
        match key {
            "processes" => doomed.processes = u32::try_from(number).unwrap_or(u32::MAX),
            "mounts" => doomed.mounts = u32::try_from(number).unwrap_or(u32::MAX),
            "kib" => doomed.bytes = number * 1024,
            _ => {}
        }
    }
    Ok(doomed)
}

/// Resets it. It is stopped afterwards.
pub async fn reset(connection: &Connection, state_dir: &str) -> Result<(), Trouble> {
    run(connection, "reset", state_dir).await.map(drop)
}

async fn run(connection: &Connection, verb: &str, state_dir: &str) -> Result<String, Trouble> {
    let Some(Part { name, program, .. }) = Part::of(Role::Drone) else {
        return Err(Trouble::new("reset", "a drone has no program"));
    };
    let said = connection.script(SCRIPT, &[verb, name, program, state_dir], None, LIMIT).await?;
    match said.status {
        0 => Ok(said.stdout),
        _ => Err(Trouble::new("reset", one_line(&said.stderr))),
    }
}
