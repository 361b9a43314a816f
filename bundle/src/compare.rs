//! What differs between two trees, path by path.

use crate::tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is only in the second tree.
    Added,
    /// It is only in the first one.
    Removed,
    /// It is in both, with another kind, mode, content or target.
    Changed,
}

#[derive(PartialEq)]
enum Entry {
    Directory(u32),
    File(u32, Digest),
    Symlink(PathBuf),
}

/// What there is to do to the tree at `from` to make it the one at `to`, by path.
pub fn compare(from: &Path, to: &Path) -> io::Result<Vec<(PathBuf, Change)>> {
    let (from, to) = (entries(from)?, entries(to)?);
    let paths: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let change = |path: &PathBuf| match (from.get(path), to.get(path)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(_), Some(_)) => Some(Change::Changed),
        (Some(_), None) => Some(Change::Removed),
        (None, _) => Some(Change::Added),
    };
    Ok(paths.into_iter().filter_map(|path| Some((path.clone(), change(path)?))).collect())
}

fn entries(root: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    for relative in tree::paths(root, &[])? {
        let path = root.join(&relative);
        let metadata = fs::symlink_metadata(&path)?;
        let mode = metadata.mode() & 0o7777;
        let entry = if metadata.is_symlink() {
            Entry::Symlink(fs::read_link(&path)?)
        } else if metadata.is_dir() {
            Entry::Directory(mode)
        } else {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(&path)?)?;
            Entry::File(mode, hasher.finalize().into())
        };
        entries.insert(relative, entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn each_change_once() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [&from, &to] {
            fs::create_dir(root.path().join("d")).unwrap();
            fs::write(root.path().join("d/same"), "same").unwrap();
            fs::write(root.path().join("d/other"), root.path().to_str().unwrap()).unwrap();
        }
        fs::write(from.path().join("gone"), "").unwrap();
        fs::write(from.path().join("kind"), "d").unwrap();
        symlink("d", to.path().join("kind")).unwrap();
        symlink("d", to.path().join("new")).unwrap();
        let changes = compare(from.path(), to.path()).unwrap();
        let changes: Vec<_> =
            changes.iter().map(|(path, change)| (path.to_str().unwrap(), *change)).collect();
        let expected = [
            ("d/other", Change::Changed),
            ("gone", Change::Removed),
            ("kind", Change::Changed),
            ("new", Change::Added),
        ];
        assert_eq!(changes, expected);
        assert_eq!(compare(to.path(), to.path()).unwrap(), []);
    }
}
