//! What clients of a target may ask for, read from its directory beside the daemon that writes it: the current index,
//! and the files of every generation that was published and is kept. Without a lock: the current generation is read
//! first, and is not removed before many others have followed it.

use super::catalog::Catalog;
use super::generation::{self, Sidecar};
use super::promote::{self, Promotion};
use crate::artifact::Artifact;
use crate::error::{Doing, Error, Result};
use crate::journal;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use swarm_protocol::id::GenerationNumber;

/// What a client may ask for.
pub(crate) struct Public {
    pub(crate) generation: GenerationNumber,
    pub(crate) timestamp: i64,
    /// `Packages`
    pub(crate) text: Vec<u8>,
    /// `Packages.gz`
    pub(crate) gzip: Vec<u8>,
    /// By path.
    pub(crate) files: BTreeMap<String, Arc<Artifact>>,
}

/// Reads it; nothing, before the first promotion.
pub(crate) fn read(target: &Path) -> Result<Option<Public>> {
    let Some(current) = promote::read(target)? else { return Ok(None) };
    let directory = generation::directory(target, current);
    let timestamp = Sidecar::read(&directory)?.timestamp;
    let index = |name| {
        let path = directory.join(name);
        fs::read(&path).doing("read", &path)
    };
    let (text, gzip) = (index("Packages")?, index("Packages.gz")?);
    let mut catalog = Catalog::default();
    for artifact in journal::read::<Artifact>(&target.join("artifacts.log"))? {
        catalog.insert(artifact);
    }
    let mut numbers: Vec<GenerationNumber> =
        journal::read::<Promotion>(&target.join("promotions.log"))?.iter().map(|p| p.number).collect();
    // The link is replaced before the journal says so.
    numbers.push(current);
    let mut files = BTreeMap::new();
    for number in numbers {
        let sidecar = match Sidecar::read(&generation::directory(target, number)) {
            // It is no longer kept.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
            sidecar => sidecar?,
        };
        let artifacts = catalog.set(&sidecar.artifacts)?;
        files.extend(artifacts.into_iter().map(|artifact| (artifact.path.clone(), artifact)));
    }
    Ok(Some(Public { generation: current, timestamp, text, gzip, files }))
}
