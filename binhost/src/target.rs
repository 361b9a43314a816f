//! One target: what was staged for its runs, its generations, and which of them is current.
//!
//! Everything durable is below `targets/NAME/`:
//!
//! ```text
//! artifacts.log               journal of every artifact that ever got a path (law 9: a path never names other bytes)
//! runs/RUN/staging.log        journal of what was staged for a run and of what it inherits, in order
//! generations/N/              complete: files at their paths, Packages, Packages.gz, .generation.json
//! current -> generations/N    the one switch
//! promotions.log              journal of the generations that ever were current: their files stay public
//! pins.log                    journal of what people want kept
//! dropped.log                 journal of the runs whose views are gone for good
//! ```
//!
//! Writers take [`Target::files`] for as long as they write, and change the in-memory [`State`] only after the disk has
//! what it shall have. Readers take the state's lock for an instant and go on with what they cloned, so an answer is
//! of one state, and nobody waits for an fsync but those who write.

mod catalog;
mod diff;
mod generation;
mod pins;
mod promote;
pub(crate) mod public;
mod publish;
mod recover;
mod retention;
mod runs;
pub(crate) mod scan;
mod staging;

pub(crate) use generation::{Generation, Published};
pub(crate) use staging::View;

use crate::artifact::{self, Artifact};
use crate::blobs::Blobs;
use crate::error::{Error, Result};
use crate::gpkg::{self, Gpkg, GpkgError};
use crate::journal::Journal;
use crate::signing::Keyring;
use crate::{check, closure, index};
use catalog::{Catalog, Place};
use promote::Promotion;
use staging::{Change, Decision, Record, Run, Staging};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use swarm_protocol::binhost::{Current, Inherit, Prepare, Prepared, Promote, Stage, Staged};
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::{Code, Problem};

/// A target with its lock.
pub(crate) struct Target {
    directory: PathBuf,
    files: Mutex<Files>,
    state: RwLock<State>,
}

/// The journals; who holds them is the target's only writer.
struct Files {
    artifacts: Journal,
    runs: HashMap<RunId, Journal>,
    promotions: Journal,
    dropped: Journal,
    pins: Journal,
}

/// What is known of a target, as it stands on disk.
#[derive(Default)]
struct State {
    catalog: Catalog,
    runs: HashMap<RunId, Run>,
    /// Runs whose views are gone, and stay so.
    dropped: BTreeSet<RunId>,
    generations: BTreeMap<GenerationNumber, Arc<Generation>>,
    /// The generations that ever were current, in that order.
    promoted: Vec<Promotion>,
    /// What retention never removes.
    pinned: BTreeSet<GenerationNumber>,
    current: Option<Arc<Published>>,
}

impl State {
    /// The generations that were current once and are kept, youngest first, each once: clients may hold their indexes.
    fn once_current(&self) -> Vec<Arc<Generation>> {
        let promoted = self.promoted.iter().rev();
        promoted.filter_map(|promotion| self.generations.get(&promotion.number)).cloned().collect()
    }
}

fn no_generation(number: GenerationNumber) -> Error {
    Error::refused(Code::NotFound, format!("generation {number} is not kept"))
}

impl Target {
    fn files(&self) -> MutexGuard<'_, Files> {
        // A panic under the lock leaves the state as it was: it is changed in single steps.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when a journal refuses appends until a restart.
    pub(crate) fn is_able(&self) -> bool {
        let files = self.files();
        let Files { artifacts, promotions, pins, dropped, runs } = &*files;
        [artifacts, promotions, pins, dropped].into_iter().chain(runs.values()).all(Journal::is_able)
    }

    /// The index of what is staged for a run; an empty one for a run that we do not know.
    pub(crate) fn view(&self, run: RunId, now: i64) -> Arc<View> {
        self.read().runs.get(&run).map_or_else(|| Arc::new(View::empty(now)), Run::view)
    }

    /// The artifact at a path of a run's view.
    pub(crate) fn staged(&self, run: RunId, path: &str) -> Option<Arc<Artifact>> {
        self.read().runs.get(&run)?.at(path)
    }

    /// Validates an uploaded artifact, signs it, fixes its path, and makes it visible to its run.
    pub(crate) fn stage(
        &self,
        blobs: &Blobs,
        keyring: Option<&Keyring>,
        run: RunId,
        stage: &Stage,
        now: i64,
    ) -> Result<Staged> {
        artifact::valid_build_id(stage.expected.build_id)?;
        let path = artifact::path(&stage.expected.cpv, stage.expected.build_id);
        let decide = || self.read().runs.get(&run).map_or(Ok(Decision::Do), |run| run.decide(stage, &path));
        if let Decision::Answer(artifact) = decide()? {
            return Ok(artifact.staged());
        }
        // From before the bytes are looked at until they are referred to, those that signing makes among them.
        let hold = blobs.hold();
        // Reading and signing a large file takes seconds: it is done outside the lock, and what was decided is decided
        // again. Who comes second then answers with the first one's file; its own is a blob that nothing refers to.
        let package = inspect(blobs, stage)?;
        let place = self.read().catalog.place(&path, stage.built)?;
        let artifact = match place {
            Place::Taken(known) => Artifact::clone(&known),
            Place::Free => publish::publish(blobs, keyring, stage, &package, now, &hold)?,
        };
        let mut files = self.files();
        self.open_run(run)?;
        if let Decision::Answer(artifact) = decide()? {
            return Ok(artifact.staged());
        }
        self.of_run(run, |run| {
            check::check_bound(|key| artifact.value(key), |cp| run.named(cp, stage.package))
        })
        .map_err(|mismatch| unexpected(&mismatch))?;
        let artifact = self.reserve(&mut files, artifact)?;
        // A file that was signed earlier may be gone, and signing anew would give the path other bytes.
        blobs.require([artifact.published], &hold)?;
        let (change, at) =
            self.of_run(run, |run| (run.staging(stage.package, &artifact), run.next_timestamp(now)));
        let staging = Staging { package: stage.package, attempt: stage.attempt, path, at };
        self.journal(&mut files, run)?.append(&Record::Staged(staging.clone()))?;
        let staged = artifact.staged();
        self.show(run, &change, at, |run| run.stage(staging, artifact));
        Ok(staged)
    }

    /// Makes artifacts of earlier runs visible to a run, in place of those that it inherited before.
    pub(crate) fn inherit(&self, blobs: &Blobs, run: RunId, inherit: &Inherit, now: i64) -> Result<()> {
        let hold = blobs.hold();
        let mut files = self.files();
        self.open_run(run)?;
        let artifacts = self.read().catalog.set(&inherit.artifacts)?;
        blobs.require(artifacts.iter().map(|artifact| artifact.published), &hold)?;
        let mut inherits: Vec<_> = artifacts.iter().map(|artifact| artifact.path.clone()).collect();
        inherits.sort_unstable();
        if self.of_run(run, |run| run.inherits().into_iter().eq(&inherits)) {
            return Ok(());
        }
        let (change, at) = self.of_run(run, |run| (run.inheriting(&artifacts), run.next_timestamp(now)));
        self.journal(&mut files, run)?.append(&Record::Inherited { inherits, at })?;
        self.show(run, &change, at, |run| run.inherit(artifacts));
        Ok(())
    }

    /// Asks a run as it stands; one that we do not know has nothing.
    fn of_run<T>(&self, run: RunId, ask: impl FnOnce(&Run) -> T) -> T {
        match self.read().runs.get(&run) {
            Some(run) => ask(run),
            None => ask(&Run::default()),
        }
    }

    /// Shows what is durable. The next view is made while readers still take the former one; only who holds
    /// [`Target::files`] calls this, so no other change comes between.
    fn show(&self, run: RunId, change: &Change, at: i64, note: impl FnOnce(&mut Run)) {
        let view = self.of_run(run, Run::view);
        let view = view.after(change, at);
        let mut state = self.write();
        let run = state.runs.entry(run).or_default();
        note(run);
        run.show(view);
    }

    /// Gives the artifact its path for ever, unless the path has other bytes. A crash after this leaves a reserved path
    /// and nothing staged: the same call, repeated, finds its own reservation.
    fn reserve(&self, files: &mut Files, artifact: Artifact) -> Result<Arc<Artifact>> {
        let place = self.read().catalog.place(&artifact.path, artifact.built)?;
        if let Place::Taken(known) = place {
            return Ok(known);
        }
        files.artifacts.append(&artifact)?;
        Ok(self.write().catalog.insert(artifact))
    }

    fn journal<'a>(&self, files: &'a mut Files, run: RunId) -> Result<&'a mut Journal> {
        match files.runs.entry(run) {
            Entry::Occupied(journal) => Ok(journal.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(recover::new_run(&self.directory, run)?)),
        }
    }

    /// Writes a complete generation that nobody sees yet.
    pub(crate) fn prepare(
        &self,
        blobs: &Blobs,
        number: GenerationNumber,
        prepare: &Prepare,
        now: i64,
    ) -> Result<Prepared> {
        let hold = blobs.hold();
        let _files = self.files();
        let state = self.read();
        let mut artifacts = state.catalog.set(&prepare.artifacts)?;
        index::sort(&mut artifacts);
        let highest = state.generations.values().map(|generation| generation.timestamp).max();
        if let Some(existing) = state.generations.get(&number) {
            return existing.same(&artifacts);
        }
        if state.promoted.contains(&Promotion { number }) {
            let detail = format!("generation {number} was published, and is removed; its number is used");
            return Err(Error::refused(Code::Gone, detail));
        }
        let earlier = state.once_current();
        // What clients had once they may have again: rules that came later, or another declaration of what is provided,
        // must not stand in the way of a rollback.
        let again = earlier.iter().any(|generation| generation.has(&artifacts));
        drop(state);
        blobs.require(artifacts.iter().map(|artifact| artifact.published), &hold)?;
        generation::one_per_cpv(&artifacts)?;
        if !again {
            closed(&artifacts, prepare)?;
        }
        let carries = earlier.iter().map(|generation| generation.number).collect();
        let timestamp = generation::timestamp(now, highest);
        let generation = Generation::new(number, timestamp, artifacts, carries);
        generation.write(&self.directory, blobs, &earlier)?;
        let prepared = generation.prepared();
        self.write().generations.insert(number, Arc::new(generation));
        Ok(prepared)
    }

    /// Makes a prepared generation the current one, by one rename.
    pub(crate) fn promote(&self, blobs: &Blobs, promote: &Promote) -> Result<Current> {
        let mut files = self.files();
        let state = self.read();
        let current = state.current.as_ref().map(|published| Arc::clone(&published.generation));
        let wanted = state.generations.get(&promote.number).cloned();
        let earlier = state.once_current();
        drop(state);
        if let Some(next) = promote::decide(promote, current.as_deref(), wanted)? {
            next.carry(&self.directory, blobs, &earlier)?;
            let published = Published::load(&self.directory, next)?;
            promote::switch(&self.directory, promote.number)?;
            self.write().current = Some(Arc::new(published));
        }
        self.remember_promotion(&mut files)?;
        Ok(self.current())
    }

    /// Notes that the current generation was promoted, if that is not noted. The symlink goes first and is the truth; a
    /// crash between the two is made good by the next start.
    fn remember_promotion(&self, files: &mut Files) -> Result<()> {
        let state = self.read();
        let Some(current) = &state.current else { return Ok(()) };
        let promotion = Promotion { number: current.generation.number };
        if state.promoted.contains(&promotion) {
            return Ok(());
        }
        drop(state);
        files.promotions.append(&promotion)?;
        self.write().promoted.push(promotion);
        Ok(())
    }

    /// Which generation is current.
    pub(crate) fn current(&self) -> Current {
        let state = self.read();
        let generation = state.current.as_ref().map(|published| &published.generation);
        Current { number: generation.map(|g| g.number), timestamp: generation.map(|g| g.timestamp) }
    }

    /// The current generation's index.
    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.read().current.clone()
    }

    /// The artifact at a public path: in the current generation, then in those before it, youngest first (law 9).
    pub(crate) fn public(&self, path: &str) -> Option<Arc<Artifact>> {
        let state = self.read();
        let current = state.current.iter().map(|published| &published.generation);
        let older =
            state.promoted.iter().rev().filter_map(|promotion| state.generations.get(&promotion.number));
        current.chain(older).find_map(|generation| generation.at(path))
    }

    /// A generation that is on disk, promoted or not.
    pub(crate) fn generation(&self, number: GenerationNumber) -> Option<Arc<Generation>> {
        self.read().generations.get(&number).cloned()
    }

    /// A generation's index, from its directory.
    pub(crate) fn index_of(&self, generation: Arc<Generation>) -> Result<Published> {
        Published::load(&self.directory, generation)
    }

    /// Reads a target's directory; a missing one is created.
    pub(crate) fn open(targets: &Path, name: &str) -> Result<Self> {
        recover::open(targets, name)
    }
}

/// Refuses a set that cannot be installed whole, or would not run.
fn closed(artifacts: &[Arc<Artifact>], prepare: &Prepare) -> Result<()> {
    let findings = closure::check(artifacts.iter().map(AsRef::as_ref), prepare);
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::Refused(Problem::new(Code::BrokenSet, closure::summary(&findings)).with_findings(findings)))
}

/// Reads the upload and compares it with what was asked for.
fn inspect(blobs: &Blobs, stage: &Stage) -> Result<Gpkg> {
    let path = blobs.path(stage.built);
    let file = blobs.open_blob(stage.built)?;
    let io = |source| Error::Io { doing: format!("cannot read {}", path.display()), source };
    let package = match gpkg::read(file).map_err(GpkgError::into_io) {
        Ok(package) if package.blake3 == stage.built => package,
        Err(Ok(source)) => return Err(io(source)),
        Err(Err(error)) if blobs.verify(stage.built)? => {
            return Err(Error::refused(Code::InvalidPackage, error.to_string()));
        }
        _ => return Err(publish::changed(blobs, stage.built)),
    };
    check::check_package(&package, &stage.expected).map_err(|mismatch| unexpected(&mismatch))?;
    let suspects = &package.metadata.secrets().suspects;
    if !suspects.is_empty() {
        tracing::warn!(package.cpv = %stage.expected.cpv, ?suspects, "the package's environment may hold secrets");
    }
    Ok(package)
}

fn unexpected(mismatch: &check::Mismatch) -> Error {
    Error::refused(Code::UnexpectedPackage, mismatch.to_string())
}
