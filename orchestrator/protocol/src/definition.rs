//! What a target is, as its workstations have it: the definition that `swarm target push` sends, and drones bring themselves
//! to.
//!
//! A definition is the part of an epoch that a person decides: configuration and repositories. The other part, base root
//! and compat, is a drone's. Its trees travel as bundles (`swarm-bundle`), which the binhost keeps and shows to nobody
//! without a ticket.

use crate::digest::Digest;
use crate::epoch::{Epoch, Repository};
use crate::gentoo::RepoName;
use crate::id::DefinitionId;
use serde::{Deserialize, Serialize};

/// A directory tree, and the archive that it travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The tree's content, by which it is compared.
    pub content: Digest,
    /// The BLAKE3 of the archive, by which it is stored.
    pub bundle: Digest,
    /// The archive's size.
    pub bytes: u64,
}

/// An ebuild repository, where it is in a root, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySource {
    /// Its name.
    pub name: RepoName,
    /// Its directory, as `repos.conf` names it.
    pub location: String,
    /// Where a drone gets it.
    pub source: Source,
}

/// Where a drone gets a repository at exactly its revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A commit, from a URI of `https` or `ssh`.
    Git {
        /// As `git clone` takes it.
        uri: String,
        /// All of its 40 or 64 hexadecimal digits.
        commit: String,
    },
    /// A snapshot, from the binhost.
    Tree {
        /// The tree's content.
        content: Digest,
        /// The archive.
        bundle: Digest,
        /// The archive's size.
        bytes: u64,
    },
}

impl Source {
    /// As in [`Repository::revision`].
    #[must_use]
    pub fn revision(&self) -> String {
        match self {
            Self::Git { commit, .. } => format!("git:{commit}"),
            Self::Tree { content, .. } => format!("tree:{content}"),
        }
    }
}

/// A target's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its row.
    pub id: DefinitionId,
    /// Counts the target's definitions from 1.
    pub number: i32,
    /// `/etc/portage`.
    pub configuration: Bundle,
    /// The repositories, ordered by name.
    pub repositories: Vec<RepositorySource>,
}

impl Definition {
    /// The bundles that a drone needs for it.
    #[must_use]
    pub fn bundles(&self) -> Vec<Digest> {
        let trees = self.repositories.iter().filter_map(|repository| match repository.source {
            Source::Tree { bundle, .. } => Some(bundle),
            Source::Git { .. } => None,
        });
        std::iter::once(self.configuration.bundle).chain(trees).collect()
    }

    /// The repositories as they are in an epoch of this definition.
    #[must_use]
    pub fn revisions(&self) -> Vec<Repository> {
        let revision = |repository: &RepositorySource| Repository {
            name: repository.name.clone(),
            revision: repository.source.revision(),
        };
        let mut revisions: Vec<_> = self.repositories.iter().map(revision).collect();
        revisions.sort();
        revisions
    }

    /// Whether an epoch is one of this definition, on whatever base root.
    #[must_use]
    pub fn is_of(&self, epoch: &Epoch) -> bool {
        epoch.configuration == self.configuration.content && epoch.repositories == self.revisions()
    }
}
