//! What a build root stands on: the overlay's layers below the one that is written to, and the host's directories in it.
//!
//! ```text
//! upper           what the build writes; thrown away
//! configuration   a definition's /etc/portage, in the place of the base root's
//! base root       the tree that every build starts from
//! ```
//!
//! The configured binds come first, then the definition's repositories: a location that both name is the definition's,
//! and so is everything below it, else the host could add to a tree whose revision is in the epoch.

use super::Mount;
use crate::config::{Bind, Config};
use std::path::{Path, PathBuf};

/// What a root stands on. Nothing in it is ever written to, but where a configured bind allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foundation {
    base_root: PathBuf,
    configuration: Option<PathBuf>,
    mounts: Vec<Mount>,
}

impl Foundation {
    /// The drone's own: the base root with its own `/etc/portage`.
    #[must_use]
    pub fn own(config: &Config) -> Self {
        let mounts = config.binds.iter().map(bound).collect();
        Self { base_root: config.base_root.clone(), configuration: None, mounts }
    }

    /// A definition's: its configuration as a layer, and the trees of its repositories, each as (location, tree).
    #[must_use]
    pub fn of_definition(config: &Config, configuration: PathBuf, trees: &[(PathBuf, PathBuf)]) -> Self {
        let is_covered = |bind: &&Bind| trees.iter().any(|(location, _)| bind.target.starts_with(location));
        let binds = config.binds.iter().filter(|bind| !is_covered(bind)).map(bound);
        let repositories = trees.iter().map(|(location, tree)| Mount {
            source: tree.clone(),
            target: location.clone(),
            read_only: true,
        });
        let mounts = binds.chain(repositories).collect();
        Self { base_root: config.base_root.clone(), configuration: Some(configuration), mounts }
    }

    /// The base root, which has the installed packages.
    #[must_use]
    pub fn base_root(&self) -> &Path {
        &self.base_root
    }

    /// The overlay's lower layers, the uppermost first.
    #[must_use]
    pub fn layers(&self) -> Vec<PathBuf> {
        self.configuration.iter().chain([&self.base_root]).cloned().collect()
    }

    /// The host's directories in the root, in order.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// `/etc/portage`, on the host.
    #[must_use]
    pub fn portage_dir(&self) -> PathBuf {
        self.configuration.as_ref().unwrap_or(&self.base_root).join("etc/portage")
    }

    /// The path on the host of a path in the root outside of `/etc/portage`: through the innermost mount, else in the
    /// base root.
    #[must_use]
    pub fn on_host(&self, in_root: &Path) -> PathBuf {
        let innermost = self
            .mounts
            .iter()
            .filter_map(|mount| Some((mount, in_root.strip_prefix(&mount.target).ok()?)))
            .max_by_key(|(mount, _)| mount.target.components().count());
        match innermost {
            Some((mount, rest)) if rest.as_os_str().is_empty() => mount.source.clone(),
            Some((mount, rest)) => mount.source.join(rest),
            None => self.base_root.join(in_root.strip_prefix("/").unwrap_or(in_root)),
        }
    }
}

fn bound(bind: &Bind) -> Mount {
    Mount { source: bind.source.clone(), target: bind.target.clone(), read_only: bind.read_only }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn binds_lead_to_the_host() {
        let own = Foundation::own(&testing::config("/base", &[("/host/repo", "/var/db/repos/box")]));
        assert!(own.mounts()[0].read_only);
        assert_eq!(own.on_host(Path::new("/var/db/repos/box")), Path::new("/host/repo"));
        assert_eq!(own.on_host(Path::new("/var/db/repos/box/a")), Path::new("/host/repo/a"));
        assert_eq!(own.on_host(Path::new("/var/db/repos/boxes")), Path::new("/base/var/db/repos/boxes"));
        assert_eq!((own.layers(), own.portage_dir()), (vec!["/base".into()], "/base/etc/portage".into()));
    }

    #[test]
    fn what_a_definition_has_is_not_the_hosts() {
        let binds = [
            ("/host/repo", "/var/db/repos/box"),
            ("/host/more", "/var/db/repos/box/more"),
            ("/host/repos", "/var/db/repos"),
            ("/host/mirror", "/mirror"),
        ];
        let config = testing::config("/base", &binds);
        let trees = [("/var/db/repos/box".into(), "/trees/1".into())];
        let foundation = Foundation::of_definition(&config, "/layer".into(), &trees);
        let mounts: Vec<_> = foundation.mounts().iter().map(|mount| mount.source.to_str().unwrap()).collect();
        assert_eq!(mounts, ["/host/repos", "/host/mirror", "/trees/1"]);
        assert_eq!(foundation.on_host(Path::new("/var/db/repos/box/more")), Path::new("/trees/1/more"));
        assert_eq!(foundation.layers(), [Path::new("/layer"), Path::new("/base")]);
        assert_eq!(foundation.portage_dir(), Path::new("/layer/etc/portage"));
    }
}
