//! A generation: a numbered, complete, immutable directory that any web server can serve.
//!
//! ```text
//! generations/7/Packages                                modification time = TIMESTAMP
//! generations/7/Packages.gz
//! generations/7/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar     a hard link to its blob
//! generations/7/sys-libs/zlib/zlib-1.3.1-1.gpkg.tar     one of an earlier generation, which the index does not name
//! generations/7/.generation.json                        what the next start reads
//! ```
//!
//! It is written under the name `.new-7`, made durable, and renamed: a directory with a number is whole.
//!
//! The files of the generations that were current before, and are kept, are there for clients that still hold their
//! index (law 9): a web server knows the one directory that `current` points at. They cost a directory entry each and no
//! bytes, as long as those generations are kept; after that, until this one goes as well. What those had linked of their
//! predecessors is not linked on: the count is bounded by what is kept.

use crate::artifact::Artifact;
use crate::blobs::{self, Blobs};
use crate::clock::system_time;
use crate::durable;
use crate::error::{Doing, Error, Result};
use crate::index;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_protocol::binhost::Prepared;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::{Code, Digest};

pub(super) const SIDECAR: &str = ".generation.json";
/// A client asks with the TIMESTAMP it holds plus 5 s (`util/_urlopen.py`): a nearer one would look unmodified (law 9).
const STEP: i64 = 6;

/// What `.generation.json` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sidecar {
    pub(super) number: GenerationNumber,
    pub(super) timestamp: i64,
    /// Published digests, in the index's order.
    pub(super) artifacts: Vec<Digest>,
    /// The generations whose files are there, too.
    #[serde(default)]
    pub(super) carries: BTreeSet<GenerationNumber>,
}

/// A generation on disk.
pub(crate) struct Generation {
    pub(crate) number: GenerationNumber,
    pub(crate) timestamp: i64,
    /// In the index's order.
    artifacts: Vec<Arc<Artifact>>,
    by_path: HashMap<String, Arc<Artifact>>,
    carries: BTreeSet<GenerationNumber>,
}

/// A generation with its index in memory.
pub(crate) struct Published {
    pub(crate) generation: Arc<Generation>,
    pub(crate) files: index::Files,
    /// The same bytes as the kernel can send them.
    pub(crate) open: OpenIndex,
}

/// The index's files, open as long as somebody may ask for them.
pub(crate) struct OpenIndex {
    pub(crate) text: Arc<File>,
    pub(crate) gzip: Arc<File>,
}

/// The TIMESTAMP of a new generation, fixed when it is prepared.
pub(super) fn timestamp(now: i64, highest: Option<i64>) -> i64 {
    highest.map_or(now, |highest| now.max(highest + STEP))
}

/// A generation is the plan: one instance per cpv. Several would be ranked by their builders' clocks (PORTAGE.md 5).
pub(super) fn one_per_cpv(artifacts: &[Arc<Artifact>]) -> Result<()> {
    let mut seen: BTreeSet<&Cpv> = BTreeSet::new();
    match artifacts.iter().find(|artifact| !seen.insert(&artifact.cpv)) {
        Some(twice) => {
            let detail = format!("{} is there in several instances; a generation has one", twice.cpv);
            Err(Error::refused(Code::InvalidValue, detail))
        }
        None => Ok(()),
    }
}

pub(super) fn directory(target: &Path, number: GenerationNumber) -> PathBuf {
    target.join("generations").join(number.to_string())
}

impl Generation {
    /// `artifacts` come in the index's order.
    pub(super) fn new(
        number: GenerationNumber,
        timestamp: i64,
        artifacts: Vec<Arc<Artifact>>,
        carries: BTreeSet<GenerationNumber>,
    ) -> Self {
        let by_path =
            artifacts.iter().map(|artifact| (artifact.path.clone(), Arc::clone(artifact))).collect();
        Self { number, timestamp, artifacts, by_path, carries }
    }

    /// In the index's order.
    pub(super) fn artifacts(&self) -> &[Arc<Artifact>] {
        &self.artifacts
    }

    pub(crate) fn at(&self, path: &str) -> Option<Arc<Artifact>> {
        self.by_path.get(path).cloned()
    }

    /// Whether these are its artifacts, in the same order.
    pub(super) fn has(&self, artifacts: &[Arc<Artifact>]) -> bool {
        self.artifacts == artifacts
    }

    pub(super) fn prepared(&self) -> Prepared {
        let bytes = self.artifacts.iter().map(|artifact| artifact.size).sum();
        Prepared {
            number: self.number,
            packages: self.artifacts.len() as u64,
            bytes,
            timestamp: self.timestamp,
        }
    }

    /// The answer to a repeated prepare: the first one's, if it is about the same artifacts in the same order.
    pub(super) fn same(&self, artifacts: &[Arc<Artifact>]) -> Result<Prepared> {
        if self.has(artifacts) {
            return Ok(self.prepared());
        }
        let detail = format!("generation {} exists with other artifacts", self.number);
        Err(Error::refused(Code::Conflict, detail))
    }

    /// Writes the directory, with the files of `earlier` generations, and gives it its name.
    pub(super) fn write(&self, target: &Path, blobs: &Blobs, earlier: &[Arc<Self>]) -> Result<()> {
        let generations = target.join("generations");
        let new = generations.join(format!(".new-{}", self.number));
        if new.try_exists().doing("look for", &new)? {
            fs::remove_dir_all(&new).doing("remove", &new)?;
        }
        let written = self.fill(&new, blobs, earlier).and_then(|()| durable::sync_file_system(&new));
        if let Err(error) = written {
            // What cannot be removed now is removed at the next start; the first error is the one to tell.
            let _ = fs::remove_dir_all(&new);
            return Err(error);
        }
        durable::rename(&new, &directory(target, self.number))
    }

    /// Links the files of generations that became current after this one was prepared; for most, there is none.
    pub(super) fn carry(&self, target: &Path, blobs: &Blobs, earlier: &[Arc<Self>]) -> Result<()> {
        let missing: Vec<_> =
            earlier.iter().filter(|other| !self.carries.contains(&other.number)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let directory = directory(target, self.number);
        self.link_earlier(&directory, blobs, &missing)?;
        durable::sync_file_system(&directory)
    }

    /// What an earlier generation has lost is lost to its clients, and no reason to withhold this one from all others.
    fn link_earlier(&self, directory: &Path, blobs: &Blobs, earlier: &[Arc<Self>]) -> Result<()> {
        let mut linked: HashSet<&str> = HashSet::new();
        for artifact in earlier.iter().flat_map(|generation| &generation.artifacts) {
            let new = self.at(&artifact.path).is_none() && linked.insert(&artifact.path);
            if new && !link(directory, blobs, artifact)? {
                tracing::error!(artifact.path, "a file of an earlier generation is lost: its bytes are gone");
            }
        }
        Ok(())
    }

    fn fill(&self, new: &Path, blobs: &Blobs, earlier: &[Arc<Self>]) -> Result<()> {
        fs::create_dir(new).doing("create", new)?;
        for artifact in &self.artifacts {
            if !link(new, blobs, artifact)? {
                return Err(blobs::gone(artifact.published));
            }
        }
        self.link_earlier(new, blobs, earlier)?;
        let files = index::files(self.timestamp, self.artifacts.iter().map(AsRef::as_ref));
        let sidecar = Sidecar {
            number: self.number,
            timestamp: self.timestamp,
            artifacts: self.artifacts.iter().map(|artifact| artifact.published).collect(),
            carries: self.carries.clone(),
        };
        let sidecar = serde_json::to_vec(&sidecar).doing("describe", new)?;
        for (name, bytes) in [
            ("Packages", files.text.pieces()),
            ("Packages.gz", files.gzip.pieces()),
            (SIDECAR, &[sidecar.into()]),
        ] {
            let path = new.join(name);
            let mut file = File::create_new(&path).doing("create", &path)?;
            for piece in bytes {
                file.write_all(piece).doing("write", &path)?;
            }
            file.set_modified(system_time(self.timestamp)).doing("date", &path)?;
        }
        Ok(())
    }
}

/// Links an artifact to its path; `false`: its bytes are not there. A path names one artifact for ever, so one that is
/// there already is the same.
fn link(directory: &Path, blobs: &Blobs, artifact: &Artifact) -> Result<bool> {
    let path = directory.join(&artifact.path);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent).doing("create", parent)?;
    match fs::hard_link(blobs.path(artifact.published), &path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).doing("link", &path),
        _ => Ok(true),
    }
}

impl Sidecar {
    /// Reads the sidecar of a generation's directory.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(SIDECAR);
        let bytes = fs::read(&path).doing("read", &path)?;
        serde_json::from_slice(&bytes).doing("understand", &path)
    }
}

impl Published {
    /// Reads a generation's index from its directory.
    pub(super) fn load(target: &Path, generation: Arc<Generation>) -> Result<Self> {
        let directory = directory(target, generation.number);
        let read = |name| -> Result<_> {
            let path = directory.join(name);
            let mut file = File::open(&path).doing("open", &path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).doing("read", &path)?;
            Ok((index::Document::from(bytes), Arc::new(file)))
        };
        let ((text, open_text), (gzip, open_gzip)) = (read("Packages")?, read("Packages.gz")?);
        let open = OpenIndex { text: open_text, gzip: open_gzip };
        Ok(Self { files: index::Files { text, gzip }, open, generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_step_beyond_what_a_client_tolerates() {
        assert_eq!(timestamp(100, None), 100);
        assert_eq!(timestamp(100, Some(100)), 106);
        assert_eq!(timestamp(50, Some(100)), 106);
        assert_eq!(timestamp(200, Some(100)), 200);
    }
}
