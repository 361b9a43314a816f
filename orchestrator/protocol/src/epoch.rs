//! The epoch: the content hash of everything that decides a build's result (DESIGN, words).

use crate::digest::Digest;
use crate::gentoo::RepoName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an epoch is made of. Its hash is [`Epoch::digest`]; drones and orchestrator compare hashes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The id of the directory tree that builds start from.
    pub base_root: Digest,
    /// The whole `/etc/portage`, with the resolved profile.
    pub configuration: Digest,
    /// Every ebuild repository with its revision, ordered by name.
    pub repositories: Vec<Repository>,
    /// What decides whether binaries may live together.
    pub compat: Compat,
}

/// An ebuild repository at a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Its name.
    pub name: RepoName,
    /// A commit id, or the content hash of the tree.
    pub revision: String,
}

/// The part of an epoch that binaries must share to live in one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compat {
    /// As in `x86_64-pc-linux-gnu`.
    pub chost: String,
    /// CFLAGS, CXXFLAGS, LDFLAGS and the like, each as `NAME=value`, ordered.
    pub flags: Vec<String>,
    /// The resolved profile, as `repository:path`.
    pub profile: String,
    /// The base root's C library and compiler runtime, as cpvs, ordered.
    pub abi: Vec<String>,
}

impl Epoch {
    /// The epoch's hash: BLAKE3 over its JSON, whose field order is the declaration's.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Compat {
    /// The hash by which compats are compared.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
