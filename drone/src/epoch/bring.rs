//! From a definition to an epoch that the drone holds: what is not on the disk yet is brought there, and Portage is asked
//! in a root on it.

use super::git::{self, Mirror};
use super::store::{Part, Store};
use super::toolchain::Toolchains;
use super::{Epochs, base, compat, judge};
use crate::download;
use crate::root::Foundation;
use anyhow::{Context, anyhow, ensure};
use rustix::fs::XattrFlags;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_bundle::repos::Repo;
use swarm_bundle::{Limits, unpack};
use swarm_protocol::Digest;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::definition::{Bundle, Definition, RepositorySource, Source};
use swarm_protocol::epoch::Epoch;

/// An epoch of a definition, and what its roots stand on.
pub struct Held {
    /// The definition.
    pub definition: Definition,
    /// The epoch.
    pub epoch: Epoch,
    /// Its hash.
    pub digest: Digest,
    /// What its roots stand on.
    pub foundation: Foundation,
    /// The fingerprint of the base root's identity, when the epoch was computed.
    base: Digest,
    parts: Vec<Part>,
}

impl Held {
    /// Where its parts are on the disk.
    #[must_use]
    pub fn places(&self, store: &Store) -> Vec<PathBuf> {
        self.parts.iter().map(|part| store.place(*part)).collect()
    }
}

/// Those of `held` that somebody has changed a part of, or whose base root is another. Each part is looked at once: targets
/// share repositories, and the largest has more than a hundred thousand files.
pub fn changed(held: &[Arc<Held>], store: &Store) -> io::Result<Vec<Arc<Held>>> {
    let (mut parts, mut roots) = (BTreeMap::new(), BTreeMap::new());
    for held in held {
        for part in &held.parts {
            if let Entry::Vacant(new) = parts.entry(*part) {
                new.insert(store.is_sound(*part)?);
            }
        }
        if let Entry::Vacant(new) = roots.entry(held.foundation.base_root()) {
            new.insert(base::fingerprint(held.foundation.base_root())?);
        }
    }
    let is_changed = |held: &&Arc<Held>| {
        held.parts.iter().any(|part| parts.get(part) == Some(&false))
            || roots.get(held.foundation.base_root()) != Some(&held.base)
    };
    Ok(held.iter().filter(is_changed).cloned().collect())
}

/// What the parts of a definition are called on the disk, as far as that is known before they are brought: the name of a
/// toolchain also depends on the base root.
#[must_use]
pub fn places(definition: &Definition, store: &Store) -> Vec<PathBuf> {
    let mut places = vec![store.place(Part::Configuration(definition.configuration.content))];
    for repository in &definition.repositories {
        match &repository.source {
            Source::Tree { content, .. } => places.push(store.place(Part::Tree(*content))),
            Source::Git { uri, commit } => {
                places.push(store.mirror(git::mirror_id(uri, commit)));
                places.extend(store.tree_of(commit).map(|tree| store.place(tree)));
            }
        }
    }
    places
}

/// Brings a definition about; `binhost` may read its bundles. Gives the epoch, and how many parts had to be made.
pub async fn bring(
    epochs: &Epochs,
    binhost: &BinhostClient,
    definition: Definition,
) -> anyhow::Result<(Held, usize)> {
    RepositorySource::check_all(&definition.repositories)?;
    let bringer = Bringer { store: &epochs.store, binhost };
    let mut made = 0;
    let configuration = bringer.configuration(definition.configuration).await;
    let (configuration, new) = configuration.context("its configuration")?;
    made += usize::from(new);
    let (mut parts, mut trees) = (vec![configuration], Vec::new());
    for repository in &definition.repositories {
        let brought = bringer.repository(&repository.source).await;
        let (tree, new) = brought.with_context(|| format!("its repository {}", repository.name))?;
        made += usize::from(new);
        parts.push(tree);
        let repo = Repo { name: repository.name.clone(), location: repository.location.clone() };
        trees.push((repo, epochs.store.place(tree)));
    }
    let (config, launcher) = (&epochs.config, &epochs.launcher);
    let mut foundation = Foundation::of_definition(config, epochs.store.place(configuration), trees);
    judge::profile(&foundation)?;
    let root = foundation.base_root().to_owned();
    let identity = move || io::Result::Ok((base::fingerprint(&root)?, base::id(&root)?));
    let (base, mut base_root) = tokio::task::spawn_blocking(identity).await??;
    let toolchains = Toolchains { config, launcher, store: &epochs.store, binhost };
    let layer = toolchains.bring(&foundation, base_root, &definition.toolchain).await;
    if let Some((layer, new)) = layer.context("its toolchain")? {
        made += usize::from(new);
        parts.push(layer);
        base_root = layer.id();
        foundation = foundation.with_toolchain(Store::layer_of(&epochs.store.place(layer)));
    }
    let compat = compat::of(config, launcher, &foundation, &definition.id.to_string()).await?;
    judge::no_native(&compat, &foundation.portage_dir())?;
    judge::same_repositories(config, launcher, &foundation, definition.id).await?;
    let epoch = Epoch {
        base_root,
        configuration: definition.configuration.content,
        repositories: definition.revisions(),
        compat,
    };
    Ok((Held { digest: epoch.digest(), definition, epoch, foundation, base, parts }, made))
}

/// Brings parts; each call says whether it had to make it.
struct Bringer<'a> {
    store: &'a Arc<Store>,
    binhost: &'a BinhostClient,
}

impl Bringer<'_> {
    async fn configuration(&self, bundle: Bundle) -> anyhow::Result<(Part, bool)> {
        let part = Part::Configuration(bundle.content);
        let made = self.unbundle(part, bundle, Limits::CONFIGURATION, "etc/portage").await?;
        Ok((part, made))
    }

    async fn repository(&self, source: &Source) -> anyhow::Result<(Part, bool)> {
        match source {
            Source::Tree { content, bundle, bytes } => {
                let part = Part::Tree(*content);
                let bundle = Bundle { content: *content, bundle: *bundle, bytes: *bytes };
                Ok((part, self.unbundle(part, bundle, Limits::REPOSITORY, "").await?))
            }
            Source::Git { uri, commit } => self.commit(uri, commit).await,
        }
    }

    /// Makes a part of a bundle, whose tree comes to lie at `below` in it.
    async fn unbundle(
        &self,
        part: Part,
        bundle: Bundle,
        limits: Limits,
        below: &'static str,
    ) -> anyhow::Result<bool> {
        let _making = self.store.making(&self.store.place(part)).await;
        if self.is_sound(part).await? {
            return Ok(false);
        }
        let aside = self.store.incoming()?;
        let archive = aside.path().join("bundle");
        let call = self.binhost.bundle(bundle.bundle);
        let fetched = download::to_file(call, bundle.bundle, bundle.bytes, &archive).await;
        // Its text has its causes already.
        fetched.map_err(|error| anyhow!("the bundle {} cannot be brought: {error}", bundle.bundle))?;
        let store = self.store.clone();
        let unpacked = move || {
            let made = aside.path().join("made");
            let content = layer(&archive, &made, below, limits)?;
            ensure!(content == part.id(), "its bundle holds the tree {content} and not {}", part.id());
            Ok(store.keep(part, &made)?)
        };
        tokio::task::spawn_blocking(unpacked).await??;
        Ok(true)
    }

    async fn commit(&self, uri: &str, commit: &str) -> anyhow::Result<(Part, bool)> {
        let mirror = Mirror { dir: self.store.mirror(git::mirror_id(uri, commit)), uri };
        let _making = self.store.making(&mirror.dir).await;
        if let Some(part) = self.store.tree_of(commit)
            && self.is_sound(part).await?
        {
            return Ok((part, false));
        }
        mirror.bring(commit).await?;
        let aside = self.store.incoming()?;
        let made = aside.path().join("made");
        let content = mirror.export(commit, &made, Limits::REPOSITORY).await?;
        let (store, commit, part) = (self.store.clone(), commit.to_owned(), Part::Tree(content));
        let kept = move || {
            store.keep(part, &made)?;
            drop(aside);
            store.note_commit(&commit, content)
        };
        tokio::task::spawn_blocking(kept).await??;
        Ok((part, true))
    }

    async fn is_sound(&self, part: Part) -> anyhow::Result<bool> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || store.is_sound(part)).await??)
    }
}

/// Unpacks `archive` below `made`. A directory on the way down to the tree hides nothing of the layers beneath; the tree
/// hides all of it there (overlayfs.rst, "whiteouts and opaque directories").
fn layer(archive: &Path, made: &Path, below: &'static str, limits: Limits) -> anyhow::Result<Digest> {
    let tree = made.join(below);
    if below.is_empty() {
        return Ok(unpack(File::open(archive)?, made, limits)?);
    }
    for dir in [made, tree.parent().unwrap_or(made)] {
        fs::create_dir_all(dir)?;
        // A layer's modes become the root's: whatever our umask is, Portage's own user must pass.
        fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    }
    let content = unpack(File::open(archive)?, &tree, limits)?;
    rustix::fs::setxattr(&tree, "trusted.overlay.opaque", b"y", XattrFlags::empty())
        .with_context(|| format!("{} takes no trusted.overlay.opaque", tree.display()))?;
    Ok(content)
}
