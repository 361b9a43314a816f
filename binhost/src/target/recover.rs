//! Reads a target's directory at start: journals are replayed, half-written generations removed.

use super::catalog::Catalog;
use super::generation::{Generation, Published, Sidecar};
use super::pins::{self, Pin};
use super::promote::{self, Promotion};
use super::runs::{self, Dropped};
use super::staging::{Record, Run};
use super::{Files, State, Target};
use crate::artifact::Artifact;
use crate::durable;
use crate::error::{Doing, Error, Result};
use crate::journal::Journal;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, RwLock};
use swarm_protocol::id::{GenerationNumber, RunId};

pub(super) fn open(targets: &Path, name: &str) -> Result<Target> {
    let directory = durable::create_dir(targets, Path::new(name))?;
    durable::create_dir(&directory, Path::new("runs"))?;
    durable::create_dir(&directory, Path::new("generations"))?;
    promote::remove_leftover(&directory)?;
    let mut state = State::default();
    let (artifacts, known) = Journal::open::<Artifact>(directory.join("artifacts.log"))?;
    for artifact in known {
        state.catalog.insert(artifact);
    }
    let (dropped, gone) = Journal::open::<Dropped>(directory.join(runs::DROPPED))?;
    state.dropped = gone.into_iter().map(|dropped| dropped.run).collect();
    let runs = open_runs(&directory, &mut state)?;
    generations(&directory, &mut state)?;
    let (promotions, promoted) = Journal::open::<Promotion>(directory.join("promotions.log"))?;
    state.promoted = promoted;
    let (pins, decisions) = Journal::open::<Pin>(directory.join("pins.log"))?;
    state.pinned = pins::replay(decisions);
    state.current = current(&directory, &state)?;
    let files = Mutex::new(Files { artifacts, runs, promotions, dropped, pins });
    let target = Target { directory, files, state: RwLock::new(state) };
    target.remember_promotion(&mut target.files())?;
    Ok(target)
}

/// The journal of a run that has none yet.
pub(super) fn new_run(directory: &Path, run: RunId) -> Result<Journal> {
    let directory = durable::create_dir(directory, &Path::new("runs").join(run.to_string()))?;
    Ok(Journal::open::<Record>(directory.join("staging.log"))?.0)
}

fn open_runs(directory: &Path, state: &mut State) -> Result<HashMap<RunId, Journal>> {
    let mut journals = HashMap::new();
    for (run, path) in numbered(&directory.join("runs"))? {
        if state.dropped.contains(&RunId(run)) {
            fs::remove_dir_all(&path).doing("remove", &path)?;
            tracing::info!(path = %path.display(), "removed what is left of a dropped run");
            continue;
        }
        let (journal, records) = Journal::open::<Record>(path.join("staging.log"))?;
        let replayed = replay(records, &state.catalog, &path)?;
        journals.insert(RunId(run), journal);
        state.runs.insert(RunId(run), replayed);
    }
    Ok(journals)
}

/// The run that its records make.
pub(super) fn replay(records: Vec<Record>, catalog: &Catalog, run: &Path) -> Result<Run> {
    let known = |artifact: &str| {
        let lost = || Error::Damaged(format!("{artifact} of {} is not in artifacts.log", run.display()));
        catalog.at(artifact).ok_or_else(lost)
    };
    let (mut replayed, mut timestamp) = (Run::default(), 0);
    for record in records {
        match record {
            Record::Staged(staging) => {
                let artifact = known(&staging.path)?;
                timestamp = staging.at;
                replayed.stage(staging, artifact);
            }
            Record::Inherited { inherits, at } => {
                timestamp = at;
                replayed.inherit(inherits.iter().map(|path| known(path)).collect::<Result<_>>()?);
            }
        }
    }
    // Once, and not at each of thousands of lines.
    replayed.compose(timestamp);
    Ok(replayed)
}

fn generations(directory: &Path, state: &mut State) -> Result<()> {
    for (number, path) in numbered(&directory.join("generations"))? {
        let number = GenerationNumber(number);
        let sidecar = Sidecar::read(&path)?;
        let lost =
            |_| Error::Damaged(format!("{} has artifacts that are not in artifacts.log", path.display()));
        let artifacts = state.catalog.set(&sidecar.artifacts).map_err(lost)?;
        if sidecar.number != number {
            return Err(Error::Damaged(format!("{} is generation {}", path.display(), sidecar.number)));
        }
        let generation = Generation::new(number, sidecar.timestamp, artifacts, sidecar.carries);
        state.generations.insert(number, Arc::new(generation));
    }
    Ok(())
}

fn current(directory: &Path, state: &State) -> Result<Option<Arc<Published>>> {
    let Some(number) = promote::read(directory)? else { return Ok(None) };
    let missing =
        || Error::Damaged(format!("generation {number} is current, but not in {}", directory.display()));
    let generation = state.generations.get(&number).cloned().ok_or_else(missing)?;
    Ok(Some(Arc::new(Published::load(directory, generation)?)))
}

/// The entries of a directory that are named by a number; what was begun under another name is removed.
fn numbered(directory: &Path) -> Result<Vec<(i64, PathBuf)>> {
    let mut numbered = Vec::new();
    for entry in directory.read_dir().doing("list", directory)? {
        let path = entry.doing("list", directory)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(".new-") || name.starts_with(".old-") {
            tracing::info!(path = %path.display(), "removed a half-written or half-removed generation");
            fs::remove_dir_all(&path).doing("remove", &path)?;
        } else {
            let strange = |_| Error::Damaged(format!("{} does not belong here", path.display()));
            numbered.push((i64::from_str(name).map_err(strange)?, path));
        }
    }
    Ok(numbered)
}
