//! A bundle to a tree, whoever made it: nothing is written outside of the directory, nothing is followed, and there is no
//! more than allowed.

use crate::{Limits, tree};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use swarm_protocol::Digest;
use tar::{Archive, EntryType};

/// Why a bundle cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read as a tar within zstd, or its tree cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An entry is not what [`crate::pack()`] writes.
    #[error("the bundle's entry {path:?} {what}")]
    Entry {
        /// Its path.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// There is more than allowed.
    #[error("the bundle holds more than {limit} {what}")]
    TooLarge {
        /// How much there may be.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

/// Unpacks into the new directory `into`, and gives the tree's content. What was written so far stays after an error.
pub fn unpack(bundle: impl Read, into: &Path, limits: Limits) -> Result<Digest, UnpackError> {
    unpack_tar(zstd::Decoder::new(bundle)?, into, limits)
}

/// The same of a tar that is not compressed, such as `git archive` writes.
pub fn unpack_tar(archive: impl Read, into: &Path, limits: Limits) -> Result<Digest, UnpackError> {
    DirBuilder::new().mode(0o755).create(into)?;
    fs::set_permissions(into, Permissions::from_mode(0o755))?;
    let mut archive = Archive::new(archive);
    let (mut entries, mut room) = (0, limits.bytes);
    // An entry lies in a directory that an entry made: no symlink is ever on the way.
    let mut directories = HashSet::from([PathBuf::new()]);
    // Set at the end: a directory may be one that even we cannot write into.
    let mut modes = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let relative = entry.path()?.into_owned();
        let wrong = |what| UnpackError::Entry { path: relative.display().to_string(), what };
        entries += 1;
        if entries > limits.entries {
            return Err(UnpackError::TooLarge { limit: limits.entries, what: "files" });
        }
        if !relative.components().all(|part| matches!(part, Component::Normal(_)))
            || relative.as_os_str().is_empty()
        {
            return Err(wrong("has a path that leads elsewhere"));
        }
        if !relative.parent().is_some_and(|parent| directories.contains(parent)) {
            return Err(wrong("lies in no directory of the bundle"));
        }
        let (path, mode) = (into.join(&relative), entry.header().mode()? & 0o7777);
        match entry.header().entry_type() {
            EntryType::Directory => {
                DirBuilder::new().mode(0o700).create(&path)?;
                modes.push((path, mode));
                directories.insert(relative);
            }
            EntryType::Regular => {
                let mut file = File::options().write(true).create_new(true).open(&path)?;
                // One byte beyond the room is one too many.
                let written = io::copy(&mut entry.by_ref().take(room + 1), &mut file)?;
                room = room
                    .checked_sub(written)
                    .ok_or(UnpackError::TooLarge { limit: limits.bytes, what: "bytes" })?;
                file.set_permissions(Permissions::from_mode(mode))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| wrong("is a symlink to nothing"))?;
                symlink(target, &path)?;
            }
            _ => return Err(wrong("is neither a file, a directory nor a symlink")),
        }
    }
    for (path, mode) in modes {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(tree::content(into, &[])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack;
    use crate::pack::PackError;
    use std::path::Path;
    use tar::{Builder, Header};

    const LIMITS: Limits = Limits { entries: 20, bytes: 100 };

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("package.use/deep")).unwrap();
        fs::write(dir.path().join("package.use/zlib"), "sys-libs/zlib static\n").unwrap();
        fs::write(dir.path().join("bashrc"), "true\n").unwrap();
        fs::set_permissions(dir.path().join("bashrc"), Permissions::from_mode(0o750)).unwrap();
        symlink("package.use", dir.path().join("link")).unwrap();
        dir
    }

    fn packed(root: &Path, leads_out: bool, limits: Limits) -> Result<(pack::Packed, Vec<u8>), PackError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let packed = pack::pack(root, &["gnupg"], |_| leads_out, limits, &mut file.reopen().unwrap())?;
        Ok((packed, fs::read(file.path()).unwrap()))
    }

    #[test]
    fn there_and_back() {
        let tree = tree();
        fs::create_dir(tree.path().join("gnupg")).unwrap();
        let (packed, bytes) = packed(tree.path(), false, LIMITS).unwrap();
        assert_eq!((packed.bundle, packed.bytes), (Digest::of(&bytes), bytes.len() as u64));
        let into = tempfile::tempdir().unwrap();
        let into = into.path().join("new");
        assert_eq!(unpack(bytes.as_slice(), &into, LIMITS).unwrap(), packed.content);
        assert_eq!(fs::metadata(into.join("bashrc")).unwrap().permissions().mode() & 0o7777, 0o750);
        assert_eq!(fs::read_link(into.join("link")).unwrap(), Path::new("package.use"));
        assert!(!into.join("gnupg").exists());
        assert!(unpack(bytes.as_slice(), &into, LIMITS).is_err(), "only into a new directory");
    }

    #[test]
    fn one_tree_is_one_bundle() {
        let bytes = || packed(tree().path(), false, LIMITS).unwrap().1;
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let tree = tree();
        let link = |target: &str| {
            let link = tree.path().join("link");
            fs::remove_file(&link).unwrap();
            symlink(target, link).unwrap();
            packed(tree.path(), false, LIMITS).unwrap_err().to_string()
        };
        for (target, fault) in [
            ("nowhere", "does not exist"),
            ("/etc/passwd", "not within"),
            ("package.use/../../x", "not within"),
        ] {
            let said = link(target);
            assert!(said.contains("/link is a symlink to") && said.contains(fault), "{said}");
        }
        assert!(packed(tree.path(), true, LIMITS).is_ok());
        let large = packed(tree.path(), true, Limits { bytes: 20, ..LIMITS }).unwrap_err().to_string();
        assert!(large.contains("more than 20 bytes") && large.contains("zlib with 21 bytes"), "{large}");
        let many = packed(tree.path(), true, Limits { entries: 3, ..LIMITS }).unwrap_err();
        assert!(many.to_string().contains("more than 3 files"), "{many}");
        let socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
        let said = packed(tree.path(), true, LIMITS).unwrap_err().to_string();
        assert!(said.contains("socket is a socket"), "{said}");
        drop(socket);
    }

    type Written<'a> = (&'a str, EntryType, &'a str);

    fn archive(entries: &[Written<'_>]) -> Vec<u8> {
        let mut tar = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for (path, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_mtime(0);
            let symlink = *kind == EntryType::Symlink;
            header.set_size(if symlink { 0 } else { content.len() as u64 });
            // As a stranger would: the crate's own setters refuse such names.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            if symlink {
                header.set_link_name_literal(content).unwrap();
            }
            header.set_cksum();
            tar.append(&header, if symlink { "" } else { content }.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_stranger_writes_nowhere_else() {
        use EntryType::{Directory, Regular, Symlink};
        let place = tempfile::tempdir().unwrap();
        let cases: [(&[Written<'_>], &str); 8] = [
            (&[("../evil", Regular, "x")], "leads elsewhere"),
            (&[("/evil", Regular, "x")], "leads elsewhere"),
            (&[("a/evil", Regular, "x")], "in no directory"),
            (&[("out", Symlink, ".."), ("out/evil", Regular, "x")], "in no directory"),
            (&[("a", Directory, ""), ("a/dev", EntryType::Char, "")], "neither"),
            (&[("a", EntryType::Link, "")], "neither"),
            (&[("a", Regular, "x"), ("a", Regular, "y")], "exists"),
            (
                &[(
                    "a",
                    Regular,
                    "many bytes, more than there is room for, since a hundred is the most that there \
                               may be in such a bundle",
                )],
                "more than 100 bytes",
            ),
        ];
        for (number, (entries, fault)) in cases.into_iter().enumerate() {
            let into = place.path().join(number.to_string());
            let error = unpack(archive(entries).as_slice(), &into, LIMITS).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
        assert!(!place.path().join("evil").exists() && !Path::new("/evil").exists());
        assert!(unpack(&b"no archive"[..], &place.path().join("no"), LIMITS).is_err());
    }
}
