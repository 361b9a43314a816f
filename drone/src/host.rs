//! `isolation = "host"`: builds on the live system, for people who want plain emerge there.
//!
//! Nothing is around emerge but its environment and the limits: no overlay, no namespaces, no root of its own. What a build
//! needs is installed into the live system, as binaries, and stays there; the package itself is only packed
//! (`--buildpkgonly`). Hence:
//!
//! - what is installed already, as the very build that the plan names, is not installed again: here the installed-package
//!   database (VDB) is not empty at the beginning;
//! - Portage's own sandboxes are left as the system's configuration has them;
//! - paths that are bound into a root elsewhere are the host's here.

use crate::emerge::Invocation;
use crate::index;
use crate::root::Mount;
use crate::vdb::VDB;
use std::fs;
use std::path::Path;
use swarm_protocol::drone::Dependency;

/// FEATURES that a build root switches off because it does the same itself, or because it is thrown away.
const OF_ROOTS: [&str; 5] =
    ["-ipc-sandbox", "-merge-sync", "-mount-sandbox", "-network-sandbox", "-pid-sandbox"];

/// The call as it is made on the live system: where a path of the environment is one that `mounts` would bring into a root,
/// its source takes the place, and Portage works below `temporary`.
#[must_use]
pub fn on_live_system(mut call: Invocation, mounts: &[Mount], temporary: &Path) -> Invocation {
    for value in call.environment.values_mut() {
        if let Some(mount) = mounts.iter().find(|mount| mount.target == Path::new(value)) {
            *value = mount.source.display().to_string();
        }
    }
    if let Some(features) = call.environment.get_mut("FEATURES") {
        let ours = features.split(' ').filter(|word| !OF_ROOTS.contains(word));
        *features = ours.collect::<Vec<_>>().join(" ");
    }
    call.environment.insert("PORTAGE_TMPDIR".to_owned(), temporary.display().to_string());
    call
}

/// Those of `closure` that the system at `root` has not installed as the build that `packages`, the closure's index, names.
///
/// A `BUILD_ID` is of a target, and the system may have the same one of another target: `BUILD_TIME` tells them apart.
#[must_use]
pub fn absent(closure: &[Dependency], packages: &str, root: &Path) -> Vec<Dependency> {
    let times = index::build_times(packages);
    let is_there = |dependency: &&Dependency| {
        let entry = root.join(VDB).join(dependency.cpv.to_string());
        let field = |name| fs::read_to_string(entry.join(name)).unwrap_or_default().trim().to_owned();
        let built = times.get(dependency.path.as_str());
        field("BUILD_ID") == dependency.build_id.to_string()
            && built.is_some_and(|time| *time == field("BUILD_TIME"))
    };
    closure.iter().filter(|dependency| !is_there(dependency)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dependency;

    #[test]
    fn paths_and_features_are_the_systems() {
        let environment = [
            ("DISTDIR", "/var/cache/swarm/distfiles"),
            ("FEATURES", "-getbinpkg -network-sandbox -news -pid-sandbox"),
            ("HOME", "/root"),
            ("PORTAGE_TMPDIR", "/var/tmp"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let call = Invocation { argv: vec!["emerge".to_owned()], environment, network: false };
        let mounts = [Mount {
            source: "/state/attempts/7/distfiles".into(),
            target: "/var/cache/swarm/distfiles".into(),
            read_only: true,
        }];
        let call = on_live_system(call, &mounts, Path::new("/state/attempts/7/upper"));
        let shown: Vec<_> = call.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let wanted = [
            "DISTDIR=/state/attempts/7/distfiles",
            "FEATURES=-getbinpkg -news",
            "HOME=/root",
            "PORTAGE_TMPDIR=/state/attempts/7/upper",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn the_same_build_is_not_installed_again() {
        let root = tempfile::tempdir().unwrap();
        let closure = [dependency("a/x-1"), dependency("a/y-1")];
        let packages = "VERSION: 0\n\nBUILD_TIME: 5\nCPV: a/x-1\nPATH: a/x/x-1-1.gpkg.tar\n\n";
        let install = |build_id: &str, time: &str| {
            let entry = root.path().join(VDB).join("a/x-1");
            fs::create_dir_all(&entry).unwrap();
            fs::write(entry.join("BUILD_ID"), build_id).unwrap();
            fs::write(entry.join("BUILD_TIME"), time).unwrap();
            absent(&closure, packages, root.path()).len()
        };
        assert_eq!(absent(&closure, packages, root.path()).len(), 2);
        assert_eq!((install("2\n", "5\n"), install("1\n", "4\n"), install("1\n", "5\n")), (2, 2, 1));
    }
}
