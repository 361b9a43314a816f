//! The epoch that this drone can build under: what its base root, configuration and repositories are, by content.
//!
//! | part | of |
//! |---|---|
//! | `base_root` | [`base::id`]: the base root's own id file, or its installed packages |
//! | `configuration` | [`tree::content`] of the base root's `/etc/portage` |
//! | `repositories` | [`swarm_bundle::repos`]: each repository's clean git commit, or the content of its tree |
//! | `compat` | [`compat`]: CHOST, flags, profile, C library and compiler runtime |
//!
//! Contents are read again only when something about a file changed ([`tree::fingerprint`]): an administrator may sync a
//! repository under a running drone, and the drone must not claim, nor deliver, under an epoch that it has left.

pub mod base;
pub mod compat;

use crate::config::Config;
use crate::root::Launcher;
use anyhow::Context;
use std::path::{Path, PathBuf};
use swarm_bundle::repos::{self, Repo};
use swarm_bundle::tree;
use swarm_protocol::Digest;
use swarm_protocol::epoch::{Epoch, Repository};
use tokio::sync::Mutex;

/// Knows the drone's epoch, and whether it still holds.
pub struct Epochs {
    config: Config,
    launcher: Launcher,
    known: Mutex<Option<(Digest, Epoch)>>,
}

impl Epochs {
    /// Of the base root in `config`, entered by `launcher`.
    #[must_use]
    pub fn new(config: Config, launcher: Launcher) -> Self {
        Self { config, launcher, known: Mutex::new(None) }
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
            base_root: self.read(|config| Ok(base::id(&config.base_root)?)).await?,
            configuration: self.read(configuration).await?,
            repositories: self.read(repositories).await?,
            compat: compat::of(&self.config, &self.launcher).await?,
        };
        *known = Some((seen, epoch.clone()));
        Ok(epoch)
    }

    /// Reads files, away from the threads that must not wait.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Config) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || work(&config)).await?
    }
}

/// The directory of Portage's configuration in the base root.
#[must_use]
pub fn portage_dir(config: &Config) -> PathBuf {
    config.base_root.join("etc/portage")
}

fn configuration(config: &Config) -> anyhow::Result<Digest> {
    let dir = portage_dir(config);
    tree::content(&dir, SKIPPED).with_context(|| format!("cannot read {}", dir.display()))
}

/// The keyring says whom a client trusts, not what a build gives, and gpg-agent keeps sockets and seeds in it.
const SKIPPED: &[&str] = &["gnupg"];

/// The repositories that Portage finds, and where they are on the host. It passes over those that are not there.
fn present(config: &Config) -> anyhow::Result<Vec<(Repo, PathBuf)>> {
    let located = |repo: Repo| (config.on_host(Path::new(&repo.location)), repo);
    let repos = repos::configured(&config.base_root)?.into_iter().map(located);
    let present: Vec<_> =
        repos.filter(|(location, _)| location.is_dir()).map(|(location, repo)| (repo, location)).collect();
    anyhow::ensure!(!present.is_empty(), "no repository of the base root's repos.conf is there");
    Ok(present)
}

fn repositories(config: &Config) -> anyhow::Result<Vec<Repository>> {
    let mut repositories = Vec::new();
    for (repo, location) in present(config)? {
        let revision = repos::revision(&location)
            .with_context(|| format!("repository {} at {}", repo.name, location.display()))?;
        repositories.push(Repository { name: repo.name, revision });
    }
    repositories.sort();
    Ok(repositories)
}

/// Changes whenever a file of the configuration, of a repository or of the base's identity was touched.
fn fingerprint(config: &Config) -> anyhow::Result<Digest> {
    let mut places = vec![portage_dir(config)];
    places.extend(present(config)?.into_iter().map(|(_, location)| location));
    places.extend(base::places(&config.base_root));
    let mut hasher = blake3::Hasher::new();
    for place in places {
        let digest = tree::fingerprint(&place).with_context(|| format!("cannot read {}", place.display()))?;
        hasher.update(digest.to_string().as_bytes());
    }
    Ok(hasher.finalize().into())
}
