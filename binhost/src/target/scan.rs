//! Reads a target's directory as a stranger would, beside the process that writes it, and says what is wrong in it.
//!
//! Nothing is locked. What is being written is under a name that is not looked at, and what is being removed lost its
//! name or got a line in `dropped.log` first; so a fault that a second scan does not see was somebody at work.

use super::catalog::Catalog;
use super::generation::{self, SIDECAR, Sidecar};
use super::pins::Pin;
use super::promote::{self, Promotion};
use super::recover;
use super::runs::{DROPPED, Dropped};
use super::staging::Record;
use crate::artifact::Artifact;
use crate::blobs;
use crate::clock;
use crate::error::{Doing, Error, Result};
use crate::index;
use crate::journal;
use crate::verify::{Fault, Finding};
use flate2::read::MultiGzDecoder;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_protocol::Digest;
use swarm_protocol::id::RunId;

/// What a target's directory says.
#[derive(Default)]
pub(crate) struct Scan {
    pub(crate) findings: Vec<Finding>,
    /// Bytes that must be there, and who needs them.
    pub(crate) references: Vec<(Digest, PathBuf)>,
}

/// Scans `target`; `blobs` is the store's directory of them.
pub(crate) fn scan(target: &Path, blobs: &Path) -> Scan {
    let mut scan = Scan::default();
    let mut catalog = Catalog::default();
    for artifact in scan.journal::<Artifact>(&target.join("artifacts.log")) {
        catalog.insert(artifact);
    }
    scan.journal::<Promotion>(&target.join("promotions.log"));
    scan.journal::<Pin>(&target.join("pins.log"));
    let dropped = scan.journal::<Dropped>(&target.join(DROPPED));
    let dropped: BTreeSet<RunId> = dropped.into_iter().map(|dropped| dropped.run).collect();
    for (run, path) in scan.numbered(&target.join("runs")) {
        if !dropped.contains(&RunId(run)) {
            scan.run(&catalog, &path);
        }
    }
    for (_, path) in scan.numbered(&target.join("generations")) {
        scan.generation(&catalog, &path, blobs);
    }
    scan.current(target);
    scan
}

impl Scan {
    fn found(&mut self, fault: Fault, path: PathBuf, detail: impl Into<String>) {
        self.findings.push(Finding { fault, path, detail: detail.into(), needed_by: Vec::new() });
    }

    /// What a fallible step gives, or a finding.
    fn of<T>(&mut self, fault: Fault, path: &Path, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.found(fault, path.to_owned(), error.to_string());
                None
            }
        }
    }

    fn journal<T: serde::de::DeserializeOwned>(&mut self, path: &Path) -> Vec<T> {
        let records = journal::read(path);
        self.of(Fault::Journal, path, records).unwrap_or_default()
    }

    fn numbered(&mut self, directory: &Path) -> Vec<(i64, PathBuf)> {
        let listed = (|| {
            let mut numbered = Vec::new();
            for entry in directory.read_dir().doing("list", directory)? {
                let path = entry.doing("list", directory)?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                numbered.extend(name.and_then(|name| name.parse().ok()).map(|number| (number, path.clone())));
            }
            numbered.sort_unstable();
            Ok(numbered)
        })();
        self.of(Fault::Missing, directory, listed).unwrap_or_default()
    }

    fn run(&mut self, catalog: &Catalog, run: &Path) {
        let log = run.join("staging.log");
        let records = self.journal::<Record>(&log);
        let view = recover::replay(records, catalog, run);
        if let Some(view) = self.of(Fault::Journal, &log, view) {
            self.references.extend(view.artifacts().map(|artifact| (artifact.published, log.clone())));
        }
    }

    fn generation(&mut self, catalog: &Catalog, directory: &Path, blobs: &Path) {
        let path = directory.join(SIDECAR);
        let sidecar = Sidecar::read(directory);
        let Some(sidecar) = self.of(Fault::Sidecar, &path, sidecar) else { return };
        let artifacts = catalog.set(&sidecar.artifacts);
        let Some(artifacts) = self.of(Fault::Sidecar, &path, artifacts) else { return };
        let name = directory.file_name().and_then(|name| name.to_str());
        if name != Some(&sidecar.number.to_string()) {
            self.found(Fault::Sidecar, path.clone(), format!("it is generation {}'s", sidecar.number));
        }
        self.index(directory, sidecar.timestamp, &artifacts);
        for artifact in &artifacts {
            self.references.push((artifact.published, path.clone()));
            self.linked(&directory.join(&artifact.path), &blobs::place(blobs, artifact.published));
        }
        let own: HashSet<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
        for artifact in carried(catalog, directory, &sidecar) {
            let blob = blobs::place(blobs, artifact.published);
            // Bytes that an earlier generation had lost by then could not be linked; that is said of it.
            if !own.contains(artifact.path.as_str()) && blob.exists() {
                self.linked(&directory.join(&artifact.path), &blob);
            }
        }
    }

    fn index(&mut self, directory: &Path, timestamp: i64, artifacts: &[Arc<Artifact>]) {
        let expected = index::files(timestamp, artifacts.iter().map(AsRef::as_ref)).text.pieces().concat();
        for (name, unpack) in [("Packages", false), ("Packages.gz", true)] {
            let path = directory.join(name);
            let found = read_index(&path, unpack);
            let Some((text, modified)) = self.of(Fault::Index, &path, found) else { continue };
            if text != expected {
                self.found(Fault::Index, path, format!("it does not list what {SIDECAR} names"));
            } else if modified != timestamp {
                let detail = format!("it is dated {modified}, and its TIMESTAMP is {timestamp}");
                self.found(Fault::Index, path, detail);
            }
        }
    }

    /// A generation's file is its blob, under another name.
    fn linked(&mut self, file: &Path, blob: &Path) {
        let inode = |path: &Path| fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        match (inode(file), inode(blob)) {
            (Ok(file), Ok(blob)) if file == blob => {}
            (Ok(_), Ok(_)) => {
                let detail = format!("it is no hard link of {}", blob.display());
                self.found(Fault::NotLinked, file.to_owned(), detail);
            }
            // That is said of the blob, once.
            (Ok(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            (Err(error), _) | (_, Err(error)) => {
                self.found(Fault::Missing, file.to_owned(), error.to_string());
            }
        }
    }

    fn current(&mut self, target: &Path) {
        let link = target.join(promote::LINK);
        let number = promote::read(target);
        if let Some(Some(number)) = self.of(Fault::Current, &link, number)
            && !generation::directory(target, number).is_dir()
        {
            self.found(Fault::Current, link, format!("generation {number} is not there"));
        }
    }
}

/// What is there of the generations that this one carries and that are still kept; of others, nobody knows any more what
/// they had. A fault in their descriptions is found where those are.
fn carried(catalog: &Catalog, directory: &Path, sidecar: &Sidecar) -> Vec<Arc<Artifact>> {
    let generations = directory.parent().unwrap_or(directory);
    let sidecars =
        sidecar.carries.iter().filter_map(|number| Sidecar::read(&generations.join(number.to_string())).ok());
    sidecars.filter_map(|sidecar| catalog.set(&sidecar.artifacts).ok()).flatten().collect()
}

/// The text of an index, and its modification time.
fn read_index(path: &Path, unpack: bool) -> Result<(Vec<u8>, i64)> {
    let bytes = fs::read(path).doing("read", path)?;
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).doing("look at", path)?;
    let mut text = Vec::new();
    if unpack {
        let unpacked = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text);
        unpacked.map_err(|error| Error::Damaged(format!("it does not unpack: {error}")))?;
    } else {
        text = bytes;
    }
    Ok((text, clock::unix_seconds(modified)))
}
