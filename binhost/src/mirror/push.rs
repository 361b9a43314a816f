//! One target's push: look, send what is missing, put the index in place, prune.

use super::destination::Destination;
use super::record::Record;
use crate::artifact::Artifact;
use crate::blobs;
use crate::clock::Clock;
use crate::target::public::Public;
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::GenerationNumber;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What Portage adds to the TIMESTAMP that it holds (`util/_urlopen.py`, `TIMESTAMP_TOLERANCE`), in seconds.
const TOLERANCE: i64 = 5;
/// Where clients find the keys (`http::client`).
const KEYS: &str = "key.asc";
/// How many files travel at a time.
const AT_A_TIME: usize = 4;
/// How many are sent before the record is written: what an interruption makes us send again.
const BATCH: usize = 64;
/// Parts of a large file; smaller ones are sent whole.
const PART: usize = 10 << 20;
/// How many parts of a file travel at a time. What is in memory is bounded by this, files and parts multiplied.
const PARTS: usize = 2;
/// How long we wait for the store's clock at most. Promotions in quick succession run ahead by 6 seconds each.
const LONGEST_WAIT: i64 = 600;

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pushed {
    pub(super) target: TargetName,
    /// The current one, whose index is there.
    pub(super) generation: GenerationNumber,
    /// How many files were sent.
    pub(super) files: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// How many were there already.
    pub(super) present: usize,
    /// How many were removed.
    pub(super) pruned: usize,
    /// Whether the index was sent.
    pub(super) index: bool,
}

/// A push on its way.
pub(super) struct Push<'a> {
    destination: &'a Destination,
    target: &'a TargetName,
    blobs: PathBuf,
    clock: &'a dyn Clock,
}

impl<'a> Push<'a> {
    pub(super) fn new(
        destination: &'a Destination,
        target: &'a TargetName,
        store: &Path,
        clock: &'a dyn Clock,
    ) -> Self {
        Self { destination, target, blobs: blobs::directory(store), clock }
    }

    /// Where the target is.
    fn directory(&self) -> ObjectPath {
        self.destination.prefix.parts().chain([self.target.as_str().into()]).collect()
    }

    /// The object of a path of the target. Portage's paths hold no character that would be escaped.
    fn at(&self, path: &str) -> ObjectPath {
        let directory = self.directory();
        directory.parts().chain(path.split('/').map(Into::into)).collect()
    }

    pub(super) async fn run(&self, public: &Public, keys: Option<&str>, prune: bool) -> Result<Pushed> {
        let place = self.at(".mirror.json");
        let mut record = Record::read(self.destination, &place).await.context("cannot read the mirror")?;
        if let Some(newer) = record.timestamp.filter(|timestamp| *timestamp > public.timestamp) {
            bail!(
                "the mirror's index has the TIMESTAMP {newer}, ours {}; it does not go back",
                public.timestamp
            );
        }
        let there = self.list().await.context("cannot list the mirror")?;
        if let Some(keys) = keys {
            self.send_keys(keys, &there).await.context("cannot send the keys")?;
        }
        let missing = missing(&public.files, &record, &there)?;
        let bytes = missing.iter().map(|artifact| artifact.size).sum();
        for batch in missing.chunks(BATCH) {
            let sending = futures::stream::iter(batch.iter().map(|artifact| self.send(artifact)));
            sending.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
            record.files.extend(batch.iter().map(|artifact| (artifact.path.clone(), artifact.published)));
            record.write(self.destination, &place).await?;
        }
        let index = !self.has_index(public, &there).await?;
        if index {
            // First, so that whatever comes between is known to have had this TIMESTAMP.
            let before = record.timestamp.replace(public.timestamp);
            record.write(self.destination, &place).await?;
            self.send_index(public, before).await?;
        }
        let pruned = if prune { self.prune(public, &mut record, &place, &there).await? } else { 0 };
        let (files, present) = (missing.len(), public.files.len() - missing.len());
        let (target, generation) = (self.target.clone(), public.generation);
        Ok(Pushed { target, generation, files, bytes, present, pruned, index })
    }

    /// What is there, by path, with its size.
    async fn list(&self) -> Result<BTreeMap<String, u64>> {
        let prefix = self.directory();
        let mut objects = self.destination.store.list(Some(&prefix));
        let mut there = BTreeMap::new();
        while let Some(object) = objects.try_next().await? {
            let path = object
                .location
                .prefix_match(&prefix)
                .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            there.extend(path.map(|path| (path, object.size)));
        }
        Ok(there)
    }

    /// Puts the public keys in place, before anything that they have signed.
    async fn send_keys(&self, keys: &str, there: &BTreeMap<String, u64>) -> Result<()> {
        let (at, store) = (self.at(KEYS), &self.destination.store);
        let same_size = there.get(KEYS) == Some(&(keys.len() as u64));
        if !same_size || store.get(&at).await?.bytes().await? != keys {
            store.put(&at, PutPayload::from(keys.to_owned())).await?;
        }
        Ok(())
    }

    /// Sends a file; bytes that are no longer what they were stay here.
    async fn send(&self, artifact: &Artifact) -> Result<()> {
        let from = blobs::place(&self.blobs, artifact.published);
        let mut file =
            tokio::fs::File::open(&from).await.with_context(|| format!("cannot open {}", from.display()))?;
        let store = Arc::clone(&self.destination.store);
        let mut to =
            BufWriter::with_capacity(store, self.at(&artifact.path), PART).with_max_concurrency(PARTS);
        let (mut hasher, mut chunk) = (blake3::Hasher::new(), vec![0; 1 << 20]);
        let sent = async {
            loop {
                let length = file.read(&mut chunk).await?;
                if length == 0 {
                    break;
                }
                hasher.update(&chunk[..length]);
                to.write_all(&chunk[..length]).await?;
            }
            anyhow::Ok(Digest::from(hasher.finalize()))
        };
        let sent = match sent.await {
            Ok(digest) if digest == artifact.published => Ok(()),
            Ok(_) => Err(anyhow::anyhow!("{} is damaged: see `build-binhost verify`", from.display())),
            Err(error) => Err(error),
        };
        if sent.is_err() {
            // What cannot be given up expires by the store's own rules; the first error is the one to tell.
            let _ = to.abort().await;
        }
        sent.with_context(|| format!("cannot send {}", artifact.path))?;
        // Only here does the file come to be.
        to.shutdown().await.with_context(|| format!("cannot send {}", artifact.path))
    }

    /// Whether both files of the current index are in place. `Packages` is sent last and says which one it is.
    async fn has_index(&self, public: &Public, there: &BTreeMap<String, u64>) -> Result<bool> {
        let same = |name, bytes: &[u8]| there.get(name) == Some(&(bytes.len() as u64));
        if !same("Packages", &public.text) || !same("Packages.gz", &public.gzip) {
            return Ok(false);
        }
        // The TIMESTAMP is in the header, within the first lines.
        let length = public.text.len().min(256);
        let head = self.destination.store.get_range(&self.at("Packages"), 0..length as u64).await?;
        Ok(head[..] == public.text[..length])
    }

    /// Puts the index in place, so late that a client that holds the one `before` is given it.
    async fn send_index(&self, public: &Public, before: Option<i64>) -> Result<()> {
        let earliest = before.map_or(i64::MIN, |before| before + TOLERANCE + 1);
        for (name, bytes) in [("Packages.gz", &public.gzip), ("Packages", &public.text)] {
            let at = self.at(name);
            let mut waited = 0;
            let mut wait = earliest.saturating_sub(self.clock.now());
            loop {
                if wait > 0 {
                    waited += wait;
                    ensure!(
                        waited <= LONGEST_WAIT,
                        "a client that has the index before would be told that {name} is unmodified for another \
                         {wait} seconds: is a clock wrong?"
                    );
                    tracing::info!(seconds = wait, "waiting, so that clients see the new index");
                    tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())).await;
                }
                self.destination.store.put(&at, PutPayload::from(bytes.clone())).await?;
                let modified = self.destination.store.head(&at).await?.last_modified.timestamp();
                if modified >= earliest {
                    break;
                }
                wait = earliest - modified;
            }
        }
        Ok(())
    }

    /// Removes packages that no kept generation has. Files of other kinds are somebody else's.
    async fn prune(
        &self,
        public: &Public,
        record: &mut Record,
        place: &ObjectPath,
        there: &BTreeMap<String, u64>,
    ) -> Result<usize> {
        let surplus: Vec<&String> = there.keys().filter(|path| is_surplus(path, public)).collect();
        record.files.retain(|path, _| public.files.contains_key(path));
        // The record first: it never names what is not there.
        record.write(self.destination, place).await?;
        for path in &surplus {
            self.destination
                .store
                .delete(&self.at(path))
                .await
                .with_context(|| format!("cannot remove {path}"))?;
        }
        Ok(surplus.len())
    }
}

/// A package at Portage's path that clients can no longer know of.
fn is_surplus(path: &str, public: &Public) -> bool {
    path.ends_with(".gpkg.tar") && path.split('/').count() == 3 && !public.files.contains_key(path)
}

/// What is not there. A path that was pushed with other bytes is another binhost's: to replace it would break clients
/// that hold an index with the old ones (law 9).
fn missing<'f>(
    files: &'f BTreeMap<String, Arc<Artifact>>,
    record: &Record,
    there: &BTreeMap<String, u64>,
) -> Result<Vec<&'f Artifact>> {
    let mut missing = Vec::new();
    for (path, artifact) in files {
        match record.files.get(path) {
            Some(other) if *other != artifact.published => {
                bail!("{path} was pushed with other bytes: the mirror is of another binhost");
            }
            Some(_) if there.get(path) == Some(&artifact.size) => {}
            _ => missing.push(&**artifact),
        }
    }
    Ok(missing)
}
