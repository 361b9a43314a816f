//! The drone's own epoch: its base root with the `/etc/portage` that lies there, and the repositories as they are bound.
//!
//! Contents are read again only when something about a file changed ([`tree::fingerprint`]): an administrator may sync a
//! repository under a running drone, and the drone must not claim, nor deliver, under an epoch that it has left.

use super::{base, compat};
use crate::config::Config;
use crate::root::{Foundation, Launcher};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use swarm_bundle::repos::{self, Repo};
use swarm_bundle::tree;
use swarm_protocol::Digest;
use swarm_protocol::epoch::{Epoch, Repository};
use tokio::sync::Mutex;

/// Knows the drone's own epoch, and whether it still holds.
pub struct Own {
    config: Config,
    launcher: Launcher,
    foundation: Foundation,
    known: Mutex<Option<(Digest, Epoch)>>,
}

impl Own {
    /// Of the base root in `config`, entered by `launcher`.
    #[must_use]
    pub fn new(config: Config, launcher: Launcher) -> Self {
        let foundation = Foundation::own(&config);
        Self { config, launcher, foundation, known: Mutex::new(None) }
    }

    /// What its roots stand on.
    #[must_use]
    pub fn foundation(&self) -> &Foundation {
        &self.foundation
    }

    /// The epoch as it is now.
    pub async fn current(&self) -> anyhow::Result<Epoch> {
        let mut known = self.known.lock().await;
        let seen = self.read(fingerprint).await?;
        if let Some((fingerprint, epoch)) = known.as_ref()
            && *fingerprint == seen
        {
            return Ok(epoch.clone());
        }
        let epoch = Epoch {
            base_root: self.read(|foundation| Ok(base::id(foundation.base_root())?)).await?,
            configuration: self.read(configuration).await?,
            repositories: self.read(repositories).await?,
            compat: compat::of(&self.config, &self.launcher, &self.foundation, "own").await?,
        };
        *known = Some((seen, epoch.clone()));
        Ok(epoch)
    }

    /// Reads files, away from the threads that must not wait.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Foundation) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let foundation = self.foundation.clone();
        tokio::task::spawn_blocking(move || work(&foundation)).await?
    }
}

fn configuration(foundation: &Foundation) -> anyhow::Result<Digest> {
    let dir = foundation.portage_dir();
    tree::content(&dir, SKIPPED).with_context(|| format!("cannot read {}", dir.display()))
}

/// The keyring says whom a client trusts, not what a build gives, and gpg-agent keeps sockets and seeds in it.
const SKIPPED: &[&str] = &["gnupg"];

/// The repositories that Portage finds, and where they are on the host. It passes over those that are not there.
fn present(foundation: &Foundation) -> anyhow::Result<Vec<(Repo, PathBuf)>> {
    let located = |repo: Repo| (foundation.on_host(Path::new(&repo.location)), repo);
    let repos = foundation.repositories()?.into_iter().map(located);
    let present: Vec<_> =
        repos.filter(|(location, _)| location.is_dir()).map(|(location, repo)| (repo, location)).collect();
    ensure!(!present.is_empty(), "no repository of the base root's repos.conf is there");
    Ok(present)
}

fn repositories(foundation: &Foundation) -> anyhow::Result<Vec<Repository>> {
    let mut repositories = Vec::new();
    for (repo, location) in present(foundation)? {
        let revision = repos::revision(&location)
            .with_context(|| format!("repository {} at {}", repo.name, location.display()))?;
        repositories.push(Repository { name: repo.name, revision });
    }
    repositories.sort();
    Ok(repositories)
}

/// Changes whenever a file of the configuration, of a repository or of the base's identity was touched.
fn fingerprint(foundation: &Foundation) -> anyhow::Result<Digest> {
    let mut places = vec![foundation.portage_dir()];
    places.extend(present(foundation)?.into_iter().map(|(_, location)| location));
    let mut hasher = blake3::Hasher::new();
    for place in places {
        let digest = tree::fingerprint(&place).with_context(|| format!("cannot read {}", place.display()))?;
        hasher.update(digest.as_bytes());
    }
    hasher.update(base::fingerprint(foundation.base_root())?.as_bytes());
    Ok(hasher.finalize().into())
}
