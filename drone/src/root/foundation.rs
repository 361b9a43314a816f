//! What a build root stands on: the overlay's layers below the one that is written to, and the host's directories in it.
//!
//! ```text
//! upper           what the build writes; thrown away
//! configuration   a definition's /etc/portage, in the place of the base root's
//! toolchain       a definition's, where it is newer than the base root's: crate::epoch::toolchain
//! base root       the tree that every build starts from
//! ```
//!
//! The configured binds come first, then the definition's repositories: a location that both name is the definition's,
//! and so is everything below it, else the host could add to a tree whose revision is in the epoch.

use super::Mount;
use crate::config::{Bind, Config, Isolation};
use std::path::{Path, PathBuf};
use swarm_bundle::repos::{self, Repo, ReposError};

/// What a root stands on. Nothing in it is ever written to, but where a configured bind allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foundation {
    base_root: PathBuf,
    /// What lies over it, and has all of its installed packages.
    toolchain: Option<PathBuf>,
    /// A definition's.
    pushed: Option<Pushed>,
    mounts: Vec<Mount>,
    live: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pushed {
    configuration: PathBuf,
    repositories: Vec<Repo>,
}

impl Foundation {
    /// The drone's own: the base root with its own `/etc/portage`.
    #[must_use]
    pub fn own(config: &Config) -> Self {
        let mounts = config.binds.iter().map(bound).collect();
        let live = config.isolation == Isolation::Host;
        Self { base_root: config.base_root.clone(), toolchain: None, pushed: None, mounts, live }
    }

    /// A definition's: its configuration as a layer, and its repositories, each with its tree.
    #[must_use]
    pub fn of_definition(config: &Config, configuration: PathBuf, trees: Vec<(Repo, PathBuf)>) -> Self {
        let is_covered = |bind: &&Bind| trees.iter().any(|(repo, _)| bind.target.starts_with(&repo.location));
        let binds = config.binds.iter().filter(|bind| !is_covered(bind)).map(bound);
        let mount = |(repo, tree): &(Repo, PathBuf)| Mount {
            source: tree.clone(),
            target: PathBuf::from(&repo.location),
            read_only: true,
        };
        let mounts = binds.chain(trees.iter().map(mount)).collect();
        let repositories = trees.into_iter().map(|(repo, _)| repo).collect();
        let pushed = Some(Pushed { configuration, repositories });
        Self { base_root: config.base_root.clone(), toolchain: None, pushed, mounts, live: false }
    }

    /// The same with this layer over the base root.
    #[must_use]
    pub fn with_toolchain(self, layer: PathBuf) -> Self {
        Self { toolchain: Some(layer), ..self }
    }

    /// The drone's base root.
    #[must_use]
    pub fn base_root(&self) -> &Path {
        &self.base_root
    }

    /// The tree below which the VDB is: everything that is installed before a build installs something.
    #[must_use]
    pub fn installed(&self) -> &Path {
        self.toolchain.as_ref().unwrap_or(&self.base_root)
    }

    /// Whether nothing stands on it, and commands run in the live system itself.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The overlay's lower layers, the uppermost first.
    #[must_use]
    pub fn layers(&self) -> Vec<PathBuf> {
        let configuration = self.pushed.iter().map(|pushed| &pushed.configuration);
        configuration.chain(&self.toolchain).chain([&self.base_root]).cloned().collect()
    }

    /// The host's directories in the root, in order.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// `/etc/portage`, on the host.
    #[must_use]
    pub fn portage_dir(&self) -> PathBuf {
        self.pushed.as_ref().map_or(&self.base_root, |pushed| &pushed.configuration).join("etc/portage")
    }

    /// The ebuild repositories that Portage has there, by name, whether or not they are there.
    pub fn repositories(&self) -> Result<Vec<Repo>, ReposError> {
        match &self.pushed {
            Some(pushed) => Ok(pushed.repositories.clone()),
            None => repos::configured(&self.base_root),
        }
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
        let repo = Repo { name: "box".parse().unwrap(), location: "/var/db/repos/box".to_owned() };
        let trees = vec![(repo.clone(), "/trees/1".into())];
        let foundation = Foundation::of_definition(&config, "/layer".into(), trees);
        assert_eq!(foundation.repositories().unwrap(), [repo]);
        let mounts: Vec<_> = foundation.mounts().iter().map(|mount| mount.source.to_str().unwrap()).collect();
        assert_eq!(mounts, ["/host/repos", "/host/mirror", "/trees/1"]);
        assert_eq!(foundation.on_host(Path::new("/var/db/repos/box/more")), Path::new("/trees/1/more"));
        assert_eq!(foundation.layers(), [Path::new("/layer"), Path::new("/base")]);
        assert_eq!(foundation.portage_dir(), Path::new("/layer/etc/portage"));
        assert_eq!(foundation.installed(), Path::new("/base"));
        let moved = foundation.with_toolchain("/gcc".into());
        assert_eq!(moved.layers(), [Path::new("/layer"), Path::new("/gcc"), Path::new("/base")]);
        assert_eq!((moved.installed(), moved.base_root()), (Path::new("/gcc"), Path::new("/base")));
    }
}
