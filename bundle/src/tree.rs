//! The content hash of a directory tree: BLAKE3 over its entries, sorted by path.
//!
//! Each entry is its kind, its permission bits in octal and its path relative to the root, then what it holds: a file's
//! digest, a symlink's target. Symlinks are not followed. Parts are separated by NUL, which no path contains, so that no
//! two trees give one text. Owners and times are left out: they differ between machines that hold the same.
//!
//! ```text
//! d 755 package.use \0
//! f 644 package.use/zlib \0 <BLAKE3 of the file> \0
//! l 777 make.profile \0 ../../var/db/repos/gentoo/profiles/default/linux/amd64/23.0 \0
//! ```

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;

/// The content hash of the tree at `root`, without the entries directly in it that are named in `skipped`.
pub fn content(root: &Path, skipped: &[&str]) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    walk(root, skipped, &mut |path, relative, metadata| {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            line(&mut hasher, b'l', metadata, relative);
            part(&mut hasher, fs::read_link(path)?.as_os_str().as_bytes());
        } else if kind.is_file() {
            line(&mut hasher, b'f', metadata, relative);
            let mut content = blake3::Hasher::new();
            content.update_reader(fs::File::open(path)?)?;
            part(&mut hasher, content.finalize().as_bytes());
        } else if kind.is_dir() {
            line(&mut hasher, b'd', metadata, relative);
        } else if kind.is_socket() || kind.is_fifo() {
            // Left by a process that ran there; it holds nothing.
        } else {
            return Err(io::Error::other(format!("{} is a device node", path.display())));
        }
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}

/// A hash that changes when any entry of the tree was touched, without reading contents.
pub fn fingerprint(root: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    walk(root, &[], &mut |_, relative, metadata| {
        line(&mut hasher, b'?', metadata, relative);
        for number in [metadata.ino(), metadata.size()] {
            hasher.update(&number.to_le_bytes());
        }
        for time in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
            hasher.update(&time.to_le_bytes());
        }
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}

/// Everything below the root, relative to it, each directory before what is in it.
pub fn paths(root: &Path, skipped: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    walk(root, skipped, &mut |_, relative, _| {
        paths.push(relative.to_owned());
        Ok(())
    })?;
    Ok(paths)
}

fn line(hasher: &mut blake3::Hasher, kind: u8, metadata: &Metadata, relative: &Path) {
    hasher.update(&[kind, b' ']);
    hasher.update(format!("{:o} ", metadata.mode() & 0o7777).as_bytes());
    part(hasher, relative.as_os_str().as_bytes());
}

fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(bytes);
    hasher.update(b"\0");
}

/// Visits the root (as an empty path, if it is no directory) and everything below it, each directory's names sorted.
fn walk(
    root: &Path,
    skipped: &[&str],
    visit: &mut dyn FnMut(&Path, &Path, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let metadata = fs::symlink_metadata(root)?;
    if !metadata.is_dir() && !metadata.is_symlink() {
        return visit(root, Path::new(""), &metadata);
    }
    // The root itself may be a symlink to where the tree lies.
    let mut pending: Vec<(PathBuf, PathBuf)> = children(root, Path::new(""))?;
    pending.retain(|(_, relative)| !skipped.iter().any(|name| relative == Path::new(name)));
    while let Some((path, relative)) = pending.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        visit(&path, &relative, &metadata)?;
        if metadata.is_dir() {
            pending.extend(children(&path, &relative)?);
        }
    }
    Ok(())
}

/// The entries of a directory in reverse order, ready to be popped in order.
fn children(dir: &Path, relative: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<DirEntry>>>()?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    Ok(entries.iter().map(|entry| (entry.path(), relative.join(entry.file_name()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn build(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        for name in names {
            fs::write(dir.path().join(name), name).unwrap();
        }
        symlink("target", dir.path().join("link")).unwrap();
        dir
    }

    #[test]
    fn the_order_of_making_does_not_count() {
        let names = ["a", "d/b", "d/c", "z"];
        let mut backwards = names;
        backwards.reverse();
        let (one, two) = (build(&names), build(&backwards));
        assert_eq!(content(one.path(), &[]).unwrap(), content(two.path(), &[]).unwrap());
        assert_ne!(fingerprint(one.path()).unwrap(), fingerprint(two.path()).unwrap());
    }

    #[test]
    fn every_change_counts() {
        let changes: [&dyn Fn(&Path); 7] = [
            &|dir| fs::write(dir.join("a"), "A").unwrap(),
            &|dir| fs::rename(dir.join("a"), dir.join("b")).unwrap(),
            &|dir| fs::remove_file(dir.join("d/b")).unwrap(),
            &|dir| fs::create_dir(dir.join("e")).unwrap(),
            &|dir| fs::set_permissions(dir.join("a"), Permissions::from_mode(0o755)).unwrap(),
            &|dir| {
                fs::remove_file(dir.join("link")).unwrap();
                symlink("elsewhere", dir.join("link")).unwrap();
            },
            &|dir| {
                fs::remove_file(dir.join("link")).unwrap();
                fs::write(dir.join("link"), "target").unwrap();
            },
        ];
        for change in changes {
            let dir = build(&["a", "d/b"]);
            let before = (content(dir.path(), &[]).unwrap(), fingerprint(dir.path()).unwrap());
            change(dir.path());
            assert_ne!(content(dir.path(), &[]).unwrap(), before.0);
            assert_ne!(fingerprint(dir.path()).unwrap(), before.1);
        }
    }

    #[test]
    fn skips_only_at_the_top() {
        let dir = build(&["a", "d/a"]);
        let before = content(dir.path(), &["a"]).unwrap();
        fs::write(dir.path().join("a"), "changed").unwrap();
        assert_eq!(content(dir.path(), &["a"]).unwrap(), before);
        fs::write(dir.path().join("d/a"), "changed").unwrap();
        assert_ne!(content(dir.path(), &["a"]).unwrap(), before);
    }
}
