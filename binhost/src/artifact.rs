//! A published artifact: what the index and the served view need to know of it, without opening its file again.

use crate::error::{Error, Result};
use crate::gpkg::{FileDigests, Gpkg, Signed};
use crate::packages::METADATA_KEYS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_protocol::binhost::Staged;
use swarm_protocol::gentoo::{Cpv, Slot};
use swarm_protocol::id::BuildId;
use swarm_protocol::{Code, Digest};

/// One binary package file at its path. Within a target, a path names one artifact for ever (law 9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// The bytes that the drone uploaded.
    pub(crate) built: Digest,
    /// The bytes that are served: the signed container, or the same where nothing is signed.
    pub(crate) published: Digest,
    pub(crate) cpv: Cpv,
    pub(crate) build_id: BuildId,
    /// Below the target, as in `sys-libs/zlib/zlib-1.3.1-2.gpkg.tar`.
    pub(crate) path: String,
    /// Of the published bytes.
    pub(crate) size: u64,
    /// The published file's modification time in Unix seconds: `MTIME` in the index, `Last-Modified` when served.
    pub(crate) mtime: i64,
    pub(crate) md5: String,
    pub(crate) sha1: String,
    /// The values of the index's keys, empty ones left out.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Artifact {
    /// The artifact that an unsigned package becomes.
    pub(crate) fn of(package: &Gpkg, cpv: &Cpv, build_id: BuildId, mtime: i64) -> Self {
        let value = |key: &&str| Some(((*key).to_owned(), package.metadata.get(key).to_owned()));
        let metadata = METADATA_KEYS.iter().filter_map(value).filter(|(_, value)| !value.is_empty());
        Self {
            built: package.blake3,
            published: package.blake3,
            cpv: cpv.clone(),
            build_id,
            path: path(cpv, build_id),
            size: package.size,
            mtime,
            md5: package.md5.clone(),
            sha1: package.sha1.clone(),
            metadata: metadata.collect(),
        }
    }

    /// The artifact that this one becomes when it is signed; its file was written at `mtime`.
    pub(crate) fn signed(self, signed: Signed, mtime: i64) -> Self {
        let Signed { file: FileDigests { size, md5, sha1 }, blake3: published, .. } = signed;
        Self { published, size, mtime, md5, sha1, ..self }
    }

    /// A value of the metadata, empty where there is none.
    pub(crate) fn value(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }

    /// Slot and sub-slot; staging has compared them with the plan's.
    pub(crate) fn slot(&self) -> Slot {
        self.value("SLOT").parse().unwrap_or_else(|_| Slot::zero())
    }

    pub(crate) fn staged(&self) -> Staged {
        Staged { published: self.published, size: self.size, path: self.path.clone() }
    }
}

/// Portage's path of one of several instances of a cpv: `cat/pn/pf-BUILD_ID.gpkg.tar`
/// (`bintree.py`, `_allocate_filename_multi`). A [`Cpv`] has neither `..` nor more slashes, so this is below the root.
pub(crate) fn path(cpv: &Cpv, build_id: BuildId) -> String {
    format!("{}/{}-{build_id}.gpkg.tar", cpv.cp(), cpv.pf())
}

/// Refuses what Portage would not take as a BUILD_ID (`bintree.py`, `_parse_build_id`).
pub(crate) fn valid_build_id(build_id: BuildId) -> Result<()> {
    if build_id.0 >= 1 { Ok(()) } else { Err(Error::refused(Code::InvalidValue, "a BUILD_ID is at least 1")) }
}

#[cfg(test)]
impl Artifact {
    /// An artifact without a file, for tests of what is done with many; `bytes` stand for the file's.
    pub(crate) fn sample(cpv: &str, build_id: i32, bytes: &[u8]) -> std::sync::Arc<Self> {
        let (cpv, build_id, digest): (Cpv, _, _) =
            (cpv.parse().unwrap(), BuildId(build_id), Digest::of(bytes));
        std::sync::Arc::new(Self {
            built: digest,
            published: digest,
            path: path(&cpv, build_id),
            cpv,
            build_id,
            size: 1,
            mtime: 2,
            md5: "5".repeat(32),
            sha1: "1".repeat(40),
            metadata: BTreeMap::from([("SLOT".to_owned(), "0/1".to_owned())]),
        })
    }
}
