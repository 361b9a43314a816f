//! What a target is, as its workstations have it: the definition that `swarm target push` sends, and drones bring themselves
//! to.
//!
//! A definition is the part of an epoch that a person decides: configuration and repositories. The other part, base root
//! and compat, is a drone's; where the toolchain has moved beyond it, the definition says what the base root is given
//! besides. Its trees travel as bundles (`swarm-bundle`), which the binhost keeps and shows to nobody without a ticket, and
//! so do the toolchain's packages.

use crate::digest::Digest;
use crate::drone::Dependency;
use crate::epoch::{Epoch, Repository};
use crate::gentoo::RepoName;
use crate::id::DefinitionId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A directory tree, and the archive that it travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

/// Why repositories cannot be part of a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepository {
    /// A definition without repositories builds nothing.
    #[error("there is no repository")]
    None,
    /// They are not ordered by name, or one is there twice.
    #[error("the repositories are not ordered by name, each of them once")]
    Disordered,
    /// A drone could not bind it there.
    #[error("the location {1:?} of repository {0} is no plain absolute path")]
    Location(RepoName, String),
    /// It would not be fetched, or with a secret that is then everybody's.
    #[error("the URI of repository {0} is none of https or ssh, or holds a password")]
    Uri(RepoName),
    /// A branch's or tag's name moves.
    #[error("the commit of repository {0} is not all of its 40 or 64 hexadecimal digits")]
    Commit(RepoName),
}

impl RepositorySource {
    /// Refuses what drones could not hold.
    pub fn check_all(repositories: &[Self]) -> Result<(), InvalidRepository> {
        if repositories.is_empty() {
            return Err(InvalidRepository::None);
        }
        if !repositories.windows(2).all(|pair| pair[0].name < pair[1].name) {
            return Err(InvalidRepository::Disordered);
        }
        repositories.iter().try_for_each(Self::check)
    }

    fn check(&self) -> Result<(), InvalidRepository> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let location = &self.location;
        let parts = location.strip_prefix('/').filter(|rest| rest.split('/').all(plain));
        if parts.is_none() || location.contains(['\0', '\n']) {
            return Err(InvalidRepository::Location(self.name.clone(), location.clone()));
        }
        if let Source::Git { uri, commit } = &self.source {
            if !is_fetchable(uri) {
                return Err(InvalidRepository::Uri(self.name.clone()));
            }
            let hexadecimal = commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !hexadecimal || !matches!(commit.len(), 40 | 64) {
                return Err(InvalidRepository::Commit(self.name.clone()));
            }
        }
        Ok(())
    }

    fn is(&self, other: &Self) -> bool {
        let source = match (&self.source, &other.source) {
            (Source::Tree { content, .. }, Source::Tree { content: other, .. }) => content == other,
            (one, other) => one == other,
        };
        (&self.name, &self.location) == (&other.name, &other.location) && source
    }
}

/// Whether a drone may fetch from a URI: `https://host/path`, `ssh://user@host/path`, or `user@host:path`
/// (gitremote(7) and git-clone(1), "GIT URLS"), without a password, and nothing that git takes for an option or runs.
#[must_use]
pub fn is_fetchable(uri: &str) -> bool {
    if uri.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return false;
    }
    let is_host = |host: &str| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    if let Some(rest) = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("ssh://")) {
        let authority = rest.split('/').next().unwrap_or_default();
        return match authority.rsplit_once('@') {
            // A user alone may be a token: only ssh has a use for one.
            Some((user, host)) => {
                uri.starts_with("ssh") && !user.contains(':') && is_host(user) && is_host(host)
            }
            None => is_host(authority),
        };
    }
    // As ssh(1) names places. Another scheme, or a helper (`ext::`), has no `@` before its first colon.
    let name = |text: &str| is_host(text) && !text.contains(['/', '@']);
    uri.split_once(':').is_some_and(|(place, path)| {
        !path.is_empty() && place.split_once('@').is_some_and(|(user, host)| name(user) && name(host))
    })
}

impl Source {
    /// The archive, where there is one.
    #[must_use]
    pub fn bundle(&self) -> Option<Digest> {
        match self {
            Self::Git { .. } => None,
            Self::Tree { bundle, .. } => Some(*bundle),
        }
    }

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What is installed in a drone's base root before anything else, in this order: the toolchain of the generation that was
    /// current when the definition was made. Empty, where drones build with their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub toolchain: Vec<Dependency>,
}

impl Definition {
    /// The bundles that a drone needs for it.
    #[must_use]
    pub fn bundles(&self) -> Vec<Digest> {
        let trees = self.repositories.iter().filter_map(|repository| repository.source.bundle());
        let toolchain = self.toolchain.iter().map(|package| package.published);
        std::iter::once(self.configuration.bundle).chain(trees).chain(toolchain).collect()
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

    /// Whether these are the same configuration and repositories. How they are packed does not count.
    #[must_use]
    pub fn says(&self, configuration: &Bundle, repositories: &[RepositorySource]) -> bool {
        self.configuration.content == configuration.content
            && self.repositories.len() == repositories.len()
            && self.repositories.iter().zip(repositories).all(|(one, other)| one.is(other))
    }

    /// Whether an epoch is one of this definition, on whatever base root.
    #[must_use]
    pub fn is_of(&self, epoch: &Epoch) -> bool {
        epoch.configuration == self.configuration.content && epoch.repositories == self.revisions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_drone_may_fetch_from() {
        for right in [
            "https://github.com/gentoo-mirror/guru.git",
            "https://[2001:db8::1]/guru",
            "ssh://git@host:2222/repo.git",
            "git@github.com:gentoo/gentoo.git",
        ] {
            assert!(is_fetchable(right), "{right}");
        }
        for wrong in [
            "",
            "/var/db/repos/gentoo",
            "file:///srv/gentoo",
            "git://host/gentoo",
            "http://host/gentoo",
            "https://token@host/gentoo",
            "https://user:secret@host/gentoo",
            "ssh://user:secret@host/gentoo",
            "ssh://-oProxyCommand=reboot/x",
            "-oProxyCommand=reboot@host:x",
            "ext::sh -c reboot",
            "host:path",
            "https://host/a b",
        ] {
            assert!(!is_fetchable(wrong), "{wrong}");
        }
    }

    #[test]
    fn repositories_that_no_drone_could_hold() {
        let source = Source::Git { uri: "https://host/a".to_owned(), commit: "0".repeat(40) };
        let good = RepositorySource {
            name: "gentoo".parse().unwrap(),
            location: "/var/db/repos/gentoo".to_owned(),
            source,
        };
        let check =
            |repository: &RepositorySource| RepositorySource::check_all(std::slice::from_ref(repository));
        assert_eq!(check(&good), Ok(()));
        for location in ["", "/", "var/db", "/var/../etc", "/var//db", "/var/./db", "/var/db/"] {
            let wrong = RepositorySource { location: location.to_owned(), ..good.clone() };
            assert!(matches!(check(&wrong), Err(InvalidRepository::Location(..))), "{location:?}");
        }
        for (uri, commit) in [("/srv/a", "0".repeat(40)), ("https://host/a", "main".to_owned())] {
            let wrong =
                RepositorySource { source: Source::Git { uri: uri.to_owned(), commit }, ..good.clone() };
            assert!(check(&wrong).is_err(), "{uri}");
        }
        assert_eq!(RepositorySource::check_all(&[]), Err(InvalidRepository::None));
        assert_eq!(RepositorySource::check_all(&[good.clone(), good]), Err(InvalidRepository::Disordered));
    }
}
