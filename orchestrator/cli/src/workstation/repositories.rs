//! The workstation's ebuild repositories, and where drones get the same: by git, where the checkout is clean and its
//! commit is among what its `origin` has; else as a snapshot of the tree.

use super::{Packed, below, packed, unread};
use crate::failure::Failure;
use std::path::{Path, PathBuf};
use swarm_bundle::repos::{self, Repo, ReposError};
use swarm_bundle::{Limits, tree};
use swarm_protocol::Digest;
use swarm_protocol::definition::{Bundle, RepositorySource, Source, is_fetchable};
use swarm_protocol::epoch::Repository;

/// Not a part of a tree ([`repos::revision`]).
const SKIPPED: &[&str] = &[".git"];

/// A repository that is there.
#[derive(Debug)]
pub(crate) struct Found {
    /// As `repos.conf` names it.
    pub(crate) repo: Repo,
    /// Where this machine sees it.
    path: PathBuf,
    /// Where drones can clone it, and the commit.
    git: Option<(String, String)>,
}

/// What Portage of the workstation at `root` knows, by name. Like it, we pass over those that are not there.
pub(crate) fn find(root: &Path, snapshots: bool) -> Result<Vec<Found>, Failure> {
    let configured =
        repos::configured(root).map_err(|error: ReposError| Failure::usage(error.to_string()))?;
    let found = configured.into_iter().map(|repo| (below(root, &repo.location), repo));
    let found: Vec<_> = found
        .filter(|(path, _)| path.is_dir())
        .map(|(path, repo)| Found { git: if snapshots { None } else { public_commit(&path) }, repo, path })
        .collect();
    if found.is_empty() {
        let file = below(root, "/etc/portage/repos.conf");
        return Err(Failure::usage(format!("{} names no repository that is there", file.display())));
    }
    Ok(found)
}

/// The origin of a clean checkout and its commit, if others can have it from there. What is asked is the local copy of
/// what the origin has: no network.
fn public_commit(path: &Path) -> Option<(String, String)> {
    let commit = repos::clean_commit(path)?;
    let uri = repos::git(path, &["remote", "get-url", "origin"]).filter(|uri| is_fetchable(uri))?;
    let with =
        repos::git(path, &["for-each-ref", "--contains", &commit, "--count=1", "refs/remotes/origin"])?;
    (!with.is_empty()).then_some((uri, commit))
}

impl Found {
    /// As an epoch has it.
    pub(crate) fn revision(&self) -> Result<Repository, Failure> {
        let revision = if let Some((_, commit)) = &self.git {
            format!("git:{commit}")
        } else {
            format!("tree:{}", self.content()?)
        };
        Ok(Repository { name: self.repo.name.clone(), revision })
    }

    fn content(&self) -> Result<Digest, Failure> {
        tree::content(&self.path, SKIPPED).map_err(|error| unread(&self.path, &error))
    }

    /// As a definition has it, with the snapshot that is to be sent. Where the tree is still what the snapshot `there` at the
    /// binhost holds, it is only read, and not packed.
    pub(crate) fn source(
        &self,
        there: Option<Bundle>,
    ) -> Result<(RepositorySource, Option<Packed>), Failure> {
        let (source, snapshot) = if let Some((uri, commit)) = &self.git {
            (Source::Git { uri: uri.clone(), commit: commit.clone() }, None)
        } else {
            let seen = || tree::fingerprint(&self.path).map_err(|error| unread(&self.path, &error));
            let before = seen()?;
            let (bundle, snapshot) = match there {
                Some(there) if self.content()? == there.content => (there, None),
                _ => {
                    let packed = packed(&self.path, SKIPPED, |_| false, Limits::REPOSITORY)?;
                    (packed.bundle, Some(packed))
                }
            };
            if seen()? != before {
                let path = self.path.display();
                let detail = format!("{path} changed while it was read; when it is synced, push again");
                return Err(Failure::usage(detail));
            }
            let Bundle { content, bundle, bytes } = bundle;
            (Source::Tree { content, bundle, bytes }, snapshot)
        };
        let (name, location) = (self.repo.name.clone(), self.repo.location.clone());
        Ok((RepositorySource { name, location, source }, snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detail, workstation};
    use std::fs;

    fn git(path: &Path, line: &str) {
        let arguments: Vec<_> =
            ["-c", "user.name=t", "-c", "user.email=t@t"].into_iter().chain(line.split(' ')).collect();
        repos::git(path, &arguments).unwrap_or_else(|| panic!("git {line}"));
    }

    fn source(root: &Path, snapshots: bool) -> Source {
        find(root, snapshots).unwrap()[0].source(None).unwrap().0.source
    }

    #[test]
    fn git_where_others_can_have_the_commit_and_a_snapshot_elsewhere() {
        let root = workstation();
        let tree = root.path().join("var/db/repos/gentoo");
        assert!(matches!(source(root.path(), false), Source::Tree { .. }), "no checkout");
        git(&tree, "init -q -b main");
        git(&tree, "add .");
        git(&tree, "commit -q -m one");
        assert!(matches!(source(root.path(), false), Source::Tree { .. }), "no origin");
        git(&tree, "remote add origin https://example.org/gentoo.git");
        assert!(matches!(source(root.path(), false), Source::Tree { .. }), "the origin does not have it");
        git(&tree, "update-ref refs/remotes/origin/main HEAD");
        let Source::Git { uri, commit } = source(root.path(), false) else { panic!("it is published") };
        assert_eq!((uri.as_str(), commit.len()), ("https://example.org/gentoo.git", 40));
        let found = &find(root.path(), false).unwrap()[0];
        assert_eq!(found.revision().unwrap().revision, format!("git:{commit}"));
        assert!(matches!(source(root.path(), true), Source::Tree { .. }), "snapshots are wanted");
        git(&tree, "remote set-url origin /srv/gentoo");
        assert!(matches!(source(root.path(), false), Source::Tree { .. }), "drones have no /srv");
        git(&tree, "remote set-url origin https://me:secret@example.org/gentoo.git");
        assert!(matches!(source(root.path(), false), Source::Tree { .. }), "the password stays here");
        git(&tree, "remote set-url origin git@example.org:gentoo.git");
        assert!(matches!(source(root.path(), false), Source::Git { .. }));
        fs::write(tree.join("profiles/new"), "").unwrap();
        let dirty = &find(root.path(), false).unwrap()[0];
        let (at, snapshot) = dirty.source(None).unwrap();
        assert_eq!(at.source.revision(), dirty.revision().unwrap().revision);
        let there = snapshot.unwrap().bundle;
        assert!(there.bytes > 0);
        let (same, unpacked) = dirty.source(Some(there)).unwrap();
        assert!(same == at && unpacked.is_none(), "what the binhost has is not packed again");
        fs::write(tree.join("profiles/new"), "changed").unwrap();
        let (other, packed) = dirty.source(Some(there)).unwrap();
        assert!(other != at && packed.unwrap().bundle.content != there.content);
    }

    #[test]
    fn repositories_that_are_not_there_are_none() {
        let root = workstation();
        let file = root.path().join("etc/portage/repos.conf");
        fs::write(&file, "[gentoo]\nlocation = /nowhere\n").unwrap();
        let said = detail(find(root.path(), false).unwrap_err());
        assert!(said.ends_with("/etc/portage/repos.conf names no repository that is there"), "{said}");
    }
}
