//! What former runs learnt, so that a file is hashed once: `.Packages.reindex-cache` in the directory itself.
//!
//! ```text
//! build-binhost reindex cache 1 af1349b9f5f9a1a6a0404dea36dcc949…
//!
//! BUILD_ID: 2
//! CPV: sys-libs/zlib-1.3.1
//! MD5: 0cc175b9c0f1b6a831c399e269772661
//! PATH: sys-libs/zlib/zlib-1.3.1-2.gpkg.tar
//! SIZE: 122880
//! MTIME: 1699990012.000000250
//! …
//! ```
//!
//! The first line names format and version, and has the BLAKE3 digest of the rest: a cache that a crash or a disk damaged
//! is not believed. What follows is the text of an index ([`crate::packages`]) without header, except that MTIME has its
//! nanoseconds. An entry counts as long as the file at PATH has that size and that time. The version changes with
//! whatever changes what is read from a package.
//!
//! A file whose time is that of the run, or later, is not cached: it could still change without its time changing.

use super::walk::{Candidate, Stamp};
use crate::durable::remove_leftover;
use crate::error::{Doing, Result};
use crate::packages::{self, Index, Values};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use swarm_protocol::Digest;

const NAME: &str = ".Packages.reindex-cache";
const HEAD: &str = "build-binhost reindex cache 1 ";
/// More than an index of 50,000 entries needs; a larger file is no cache of ours.
const LARGEST: u64 = 1 << 30;
/// The coarsest clock of a file system that has seconds at all (FAT) ticks every two.
const TICK_SECONDS: i64 = 2;

/// Why a cache is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CacheError {
    /// It is of another program or version.
    #[error("it is no cache of this version")]
    Version,
    /// It is damaged.
    #[error("its digest differs")]
    Digest,
}

/// The values of index entries by the path and state of their files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache(HashMap<String, (Stamp, Values)>);

impl Cache {
    /// The cache of a directory; empty if there is none that can be used.
    #[must_use]
    pub fn load(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the cache cannot be read: every file is read anew");
                return Self::default();
            }
        };
        Self::parse(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the cache is not used: every file is read anew");
            Self::default()
        })
    }

    /// Reads the text of a cache.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, CacheError> {
        let body = bytes.strip_prefix(HEAD.as_bytes()).ok_or(CacheError::Version)?;
        let end = body.iter().position(|byte| *byte == b'\n').ok_or(CacheError::Version)?;
        let (digest, text) = body.split_at(end);
        if digest != Digest::of(text).to_string().as_bytes() {
            return Err(CacheError::Digest);
        }
        // Reading from memory does not fail.
        let Ok(index) = Index::read(&text[1..]) else { return Err(CacheError::Digest) };
        Ok(Self(index.filter_map(|entry| known(entry.ok()?)).collect()))
    }

    pub(super) fn get(&self, candidate: &Candidate) -> Option<&Values> {
        let (stamp, values) = self.0.get(&candidate.path)?;
        (*stamp == candidate.stamp).then_some(values)
    }

    pub(super) fn insert(&mut self, candidate: &Candidate, values: Values) {
        self.0.insert(candidate.path.clone(), (candidate.stamp, values));
    }

    /// Writes what is known of these files, the present ones of the directory. Another run may have the lock next, so
    /// this runs under it as well.
    pub(super) fn save(&self, directory: &Path, candidates: &[Candidate], now: i64) -> Result<()> {
        let path = directory.join(NAME);
        let bytes = self.compose(candidates, now);
        if read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        // Not synced: what a power cut makes of it is not believed.
        let part = directory.join(format!("{NAME}.part"));
        remove_leftover(&part)?;
        fs::write(&part, bytes).doing("write", &part)?;
        fs::rename(&part, &path).doing("rename", &part)
    }

    fn compose(&self, candidates: &[Candidate], now: i64) -> Vec<u8> {
        let mut text = String::from("\n");
        let settled = candidates.iter().filter(|candidate| candidate.stamp.mtime.0 < now - TICK_SECONDS);
        for (candidate, values) in settled.filter_map(|file| Some((file, self.get(file)?))) {
            let mut entry = candidate.entry(values);
            let (seconds, nanoseconds) = candidate.stamp.mtime;
            entry.insert("_mtime_".to_owned(), format!("{seconds}.{nanoseconds:09}"));
            let lines = entry.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            packages::push_entry(&mut text, &Values::new(), lines);
        }
        let text = format!("\n{text}");
        format!("{HEAD}{}{text}", Digest::of(text.as_bytes())).into_bytes()
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn known(mut entry: Values) -> Option<(String, (Stamp, Values))> {
    let path = entry.remove("PATH")?;
    let size = entry.remove("SIZE")?.parse().ok()?;
    let mtime = entry.remove("_mtime_")?;
    let (seconds, nanoseconds) = mtime.split_once('.')?;
    let mtime = (seconds.parse().ok()?, nanoseconds.parse().ok()?);
    Some((path, (Stamp { size, mtime }, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(path: &str, mtime: (i64, i64)) -> Candidate {
        Candidate { path: path.to_owned(), stamp: Stamp { size: 7, mtime } }
    }

    fn values(cpv: &str) -> Values {
        [("CPV", cpv), ("EAPI", "8"), ("SLOT", "1"), ("MD5", "x")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn what_is_saved_is_known_while_the_file_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new, gone) = (
            candidate("a/b-1.tbz2", (100, 5)),
            candidate("a/c-1.tbz2", (999, 0)),
            candidate("a/d-1.tbz2", (1, 0)),
        );
        let mut cache = Cache::default();
        for file in [&old, &new, &gone] {
            cache.insert(file, values(&file.path));
        }
        for _ in 0..2 {
            fs::write(directory.path().join(".Packages.reindex-cache.part"), "of a crash").unwrap();
            cache.save(directory.path(), &[old.clone(), new.clone()], 1000).unwrap();
        }
        let loaded = Cache::load(directory.path());
        assert_eq!(loaded.get(&old), Some(&values("a/b-1.tbz2")));
        assert_eq!((loaded.get(&new), loaded.get(&gone)), (None, None));
        assert_eq!(loaded.get(&candidate("a/b-1.tbz2", (100, 6))), None);
    }

    #[test]
    fn a_damaged_cache_is_not_believed() {
        let mut cache = Cache::default();
        let file = candidate("a/b-1.tbz2", (100, 5));
        cache.insert(&file, values("a/b-1"));
        let whole = cache.compose(&[file], 1000);
        assert_eq!(Cache::parse(&whole).unwrap(), cache);
        for length in 0..whole.len() {
            assert!(Cache::parse(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(Cache::parse(&flipped).is_err(), "{at}");
        }
    }
}
