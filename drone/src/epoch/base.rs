//! The identity of a base root.
//!
//! Whoever makes a base root may write `/etc/build-swarm/base-id` into it; its content is the identity. Otherwise it is
//! what is installed: every package of the VDB with the fields that tell one build of it from another, `os-release`, and
//! dpkg's list where the base is no Gentoo at all. That does not see a file edited by hand: the id file is for that.

use crate::vdb;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use swarm_bundle::tree;
use swarm_protocol::Digest;

/// Where whoever makes a base root may name it.
pub const ID_FILE: &str = "etc/build-swarm/base-id";
const DPKG: &str = "var/lib/dpkg/status";
/// What tells two installations of one version apart.
const FIELDS: &[&str] = &["BUILD_TIME", "BUILD_ID", "COUNTER", "USE", "SLOT"];

/// The identity of the base root at `root`.
pub fn id(root: &Path) -> io::Result<Digest> {
    if let Ok(id) = fs::read(root.join(ID_FILE)) {
        return Ok(Digest::of(&[b"base-id\0", id.as_slice()].concat()));
    }
    let mut text = String::new();
    for (cpv, dir) in packages(root)? {
        text.push_str(&cpv);
        for field in FIELDS {
            let value = fs::read_to_string(dir.join(field)).unwrap_or_default();
            text.push('\0');
            text.push_str(value.trim_end());
        }
        text.push('\n');
    }
    for file in ["etc/os-release", "usr/lib/os-release", DPKG] {
        text.push_str(file);
        text.push('\0');
        text.push_str(&fs::read_to_string(root.join(file)).unwrap_or_default());
    }
    Ok(Digest::of(text.as_bytes()))
}

/// Changes whenever something was touched that the identity is read from.
pub fn fingerprint(root: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    for place in [ID_FILE, DPKG, vdb::VDB].map(|place| root.join(place)) {
        if place.exists() {
            hasher.update(tree::fingerprint(&place)?.as_bytes());
        }
    }
    Ok(hasher.finalize().into())
}

/// The installed packages of a root, sorted, with their directories.
pub fn packages(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let vdb = root.join(vdb::VDB);
    let mut packages = Vec::new();
    for category in vdb::directories(&vdb)? {
        for pf in vdb::directories(&vdb.join(&category))? {
            packages.push((format!("{category}/{pf}"), vdb.join(&category).join(pf)));
        }
    }
    Ok(packages)
}

/// The versions of some of dpkg's installed packages, as `dpkg:NAME-VERSION`.
#[must_use]
pub fn dpkg_versions(root: &Path, names: &[&str]) -> Vec<String> {
    let status = fs::read_to_string(root.join(DPKG)).unwrap_or_default();
    let field = |block: &str, key: &str| {
        block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ").map(str::to_owned))
    };
    let mut versions: Vec<_> = status
        .split("\n\n")
        .filter_map(|block| Some((field(block, "Package")?, field(block, "Version")?)))
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, version)| format!("dpkg:{name}-{version}"))
        .collect();
    versions.sort();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_packages_or_the_id_file() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("var/db/pkg/sys-libs/glibc-2.40");
        fs::create_dir_all(&package).unwrap();
        let empty = id(root.path()).unwrap();
        fs::write(package.join("BUILD_TIME"), "1\n").unwrap();
        let built = id(root.path()).unwrap();
        assert_ne!(built, empty);
        fs::create_dir_all(root.path().join("etc/build-swarm")).unwrap();
        fs::write(root.path().join(ID_FILE), "base 1").unwrap();
        let named = id(root.path()).unwrap();
        assert_ne!(named, built);
        fs::write(package.join("BUILD_TIME"), "2\n").unwrap();
        assert_eq!(id(root.path()).unwrap(), named);
    }

    #[test]
    fn dpkg_knows_the_c_library() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/lib/dpkg")).unwrap();
        let status =
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: vim\nVersion: 9\n";
        fs::write(root.path().join(DPKG), status).unwrap();
        assert_eq!(dpkg_versions(root.path(), &["libc6"]), ["dpkg:libc6-2.36-9"]);
    }
}
