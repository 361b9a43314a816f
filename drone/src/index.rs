//! Portage's `Packages` index, as far as a drone writes it: the closure's, and the stub that fixes a BUILD_ID.
//!
//! The file is a header and entries, each a block of `KEY: value` lines that ends at an empty line
//! (`portage/getbinpkg.py`, `PackageIndex`):
//!
//! ```text
//! ARCH: amd64
//! PACKAGES: 1
//! TIMESTAMP: 1700000000
//! VERSION: 0
//!
//! BUILD_ID: 3
//! CPV: sys-libs/zlib-1.3.1
//! PATH: sys-libs/zlib/zlib-1.3.1-3.gpkg.tar
//! SIZE: 122880
//! ```
//!
//! **The closure's index.** Of a run's staging view we keep the entries that the claim names, by path, and nothing
//! else. Portage then cannot install anything by accident, and needs no network for dependencies (PORTAGE.md 3).
//!
//! **The stub.** Portage numbers an artifact one above the highest BUILD_ID of its cpv in PKGDIR's index
//! (`bintree._allocate_filename_multi`), and ignores a BUILD_ID from the environment. So PKGDIR is seeded with an index
//! that names N − 1. With `FEATURES=pkgdir-index-trusted` Portage does not look for that entry's file; without it, it
//! drops the entry and numbers from 1. The entry needs a CPV, a BUILD_ID and a PATH; MTIME and SIZE are part of
//! Portage's key of an instance, `BUILD_TIME` makes it a specific one.

use std::collections::{BTreeSet, HashMap};
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::BuildId;

/// A block of `KEY: value` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block<'a>(Vec<&'a str>);

impl<'a> Block<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    blocks.map(|block| Block(block.to_vec())).collect()
}

/// What is wrong with the staging view's index.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Nothing, or no header.
    #[error("the staging view's index has no header")]
    NoHeader,
    /// A dependency is not in it.
    #[error("the staging view's index lacks {0}")]
    Missing(String),
    /// The entry at a dependency's path is of another package or size.
    #[error("the staging view's entry at {path} is not {expected}: its {key} is {found:?}")]
    Differs {
        /// The path.
        path: String,
        /// The dependency.
        expected: String,
        /// The key that differs.
        key: &'static str,
        /// Its value.
        found: String,
    },
}

/// The index that lists exactly `closure`, made of the staging view's own index.
pub fn closure(staging: &str, closure: &[Dependency]) -> Result<String, IndexError> {
    let mut blocks = blocks(staging).into_iter();
    let header = blocks.next().filter(|header| header.get("CPV").is_none()).ok_or(IndexError::NoHeader)?;
    let wanted: BTreeSet<&str> = closure.iter().map(|dependency| dependency.path.as_str()).collect();
    let entries: Vec<_> =
        blocks.filter(|entry| entry.get("PATH").is_some_and(|path| wanted.contains(path))).collect();
    for dependency in closure {
        check(dependency, &entries)?;
    }
    let header = header.0.iter().filter(|line| !line.starts_with("PACKAGES: ")).copied();
    let count = format!("PACKAGES: {}", entries.len());
    let mut text = header.chain([count.as_str()]).collect::<Vec<_>>().join("\n");
    for entry in &entries {
        text.push_str("\n\n");
        text.push_str(&entry.0.join("\n"));
    }
    text.push_str("\n\n");
    Ok(text)
}

fn check(dependency: &Dependency, entries: &[Block<'_>]) -> Result<(), IndexError> {
    let Dependency { cpv, build_id, path, size, .. } = dependency;
    let mut at_path = entries.iter().filter(|entry| entry.get("PATH") == Some(path));
    let entry = at_path.next().ok_or_else(|| IndexError::Missing(format!("{cpv} at {path}")))?;
    for (key, expected) in
        [("CPV", cpv.to_string()), ("BUILD_ID", build_id.to_string()), ("SIZE", size.to_string())]
    {
        let found = entry.get(key).unwrap_or_default();
        if found != expected {
            let expected = format!("{cpv} with BUILD_ID {build_id} and {size} bytes");
            return Err(IndexError::Differs { path: path.clone(), expected, key, found: found.to_owned() });
        }
    }
    Ok(())
}

/// When the packages of an index were built, by path.
#[must_use]
pub fn build_times(text: &str) -> HashMap<&str, &str> {
    blocks(text).iter().filter_map(|entry| Some((entry.get("PATH")?, entry.get("BUILD_TIME")?))).collect()
}

/// The index that makes Portage give `build_id` to the next artifact of `cpv`; none is needed for 1.
#[must_use]
pub fn stub(cpv: &Cpv, build_id: BuildId) -> Option<String> {
    let last = build_id.0.checked_sub(1).filter(|last| *last > 0)?;
    let (cp, pf) = (cpv.cp(), cpv.pf());
    Some(format!(
        "PACKAGES: 1\nTIMESTAMP: 1\nVERSION: 0\n\n\
         BUILD_ID: {last}\nBUILD_TIME: 1\nCPV: {cpv}\nMTIME: 1\nPATH: {cp}/{pf}-{last}.gpkg.tar\nSIZE: 1\n\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dependency;

    const STAGING: &str = "ARCH: amd64\nPACKAGES: 3\nVERSION: 0\n\n\
        BUILD_ID: 1\nCPV: a/x-1\nPATH: a/x/x-1-1.gpkg.tar\nSIZE: 10\nUSE: x\n\n\
        BUILD_ID: 2\nCPV: a/x-1\nPATH: a/x/x-1-2.gpkg.tar\nSIZE: 10\n\n\
        BUILD_ID: 1\nCPV: a/y-1\nPATH: a/y/y-1-1.gpkg.tar\nSIZE: 10\n\n";

    #[test]
    fn lists_exactly_the_closure() {
        let index = closure(STAGING, &[dependency("a/x-1")]).unwrap();
        assert_eq!(
            index,
            "ARCH: amd64\nVERSION: 0\nPACKAGES: 1\n\n\
             BUILD_ID: 1\nCPV: a/x-1\nPATH: a/x/x-1-1.gpkg.tar\nSIZE: 10\nUSE: x\n\n"
        );
        assert!(closure(STAGING, &[]).unwrap().contains("PACKAGES: 0\n"));
    }

    #[test]
    fn what_is_missing_or_different_is_named() {
        assert_eq!(closure("", &[]), Err(IndexError::NoHeader));
        let missing = closure(STAGING, &[dependency("a/z-1")]).unwrap_err();
        assert!(missing.to_string().contains("lacks a/z-1"), "{missing}");
        let differs = closure(&STAGING.replace("SIZE: 10", "SIZE: 11"), &[dependency("a/y-1")]).unwrap_err();
        assert!(differs.to_string().contains("SIZE is \"11\""), "{differs}");
    }

    #[test]
    fn the_stub_names_the_number_before() {
        let cpv: Cpv = "sys-libs/zlib-1.3.1".parse().unwrap();
        assert_eq!(stub(&cpv, BuildId(1)), None);
        let text = stub(&cpv, BuildId(42)).unwrap();
        assert!(text.contains("BUILD_ID: 41\n") && text.contains("zlib-1.3.1-41.gpkg.tar\n"), "{text}");
    }
}
