//! A tree to a bundle: a tar (POSIX.1-1988 with GNU long names) of its directories, files and symlinks, sorted by path,
//! compressed with zstd.
//!
//! Owners are root, times are constant, modes are kept: what differs between machines that hold the same is left out.
//! Hard links become files of their own. What cannot be a part of a configuration is refused, by name: a device node, a
//! fifo, a socket; a symlink that leads nowhere, or out of the tree by `..`. A symlink with an absolute target is the
//! caller's to judge: in `/etc/portage` only `make.profile` may be one.

use crate::{Limits, tree};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use swarm_protocol::Digest;
use tar::{Builder, EntryType, Header};

/// Of every entry: before any other time, and not 0, which some programs take for none.
const MTIME: u64 = 1;
/// Of zstd. Bundles are made once and fetched by every drone.
const LEVEL: i32 = 9;

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Of the tree.
    pub content: Digest,
    /// Of the archive.
    pub bundle: Digest,
    /// The archive's size.
    pub bytes: u64,
}

/// Why a tree cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It cannot be read, or the archive cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// What of.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something that is neither file, directory nor symlink.
    #[error("{} is {what}; only files, directories and symlinks can be packed", path.display())]
    Kind {
        /// It.
        path: PathBuf,
        /// As in `a device node`.
        what: &'static str,
    },
    /// A symlink leads nowhere.
    #[error("{} is a symlink to {}, which does not exist", path.display(), target.display())]
    Broken {
        /// The symlink.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// A symlink leads out of the tree.
    #[error("{} is a symlink to {}, which is not within {}", path.display(), target.display(), root.display())]
    Outside {
        /// The symlink.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
        /// The tree.
        root: PathBuf,
    },
    /// There is too much.
    #[error("{} holds more than {limit} {what}; the largest file is {} with {size} bytes", root.display(), largest.display())]
    TooLarge {
        /// The tree.
        root: PathBuf,
        /// How much there may be.
        limit: u64,
        /// Of what.
        what: &'static str,
        /// The largest file so far.
        largest: PathBuf,
        /// Its size.
        size: u64,
    },
}

/// Packs the tree at `root`, without the entries directly in it that are named in `skipped`, into `archive`. Symlinks
/// for which `leads_out` holds are packed wherever they lead; it is asked with the path relative to the root.
pub fn pack(
    root: &Path,
    skipped: &[&str],
    leads_out: impl Fn(&Path) -> bool,
    limits: Limits,
    archive: &mut File,
) -> Result<Packed, PackError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Io { path, source }
    };
    let hashed = Hashed { file: archive, hasher: blake3::Hasher::new(), bytes: 0 };
    let zstd = zstd::Encoder::new(hashed, LEVEL).map_err(at(root))?;
    let mut tar = Builder::new(zstd);
    let mut used = Room::of(root, limits);
    for relative in tree::paths(root, skipped).map_err(at(root))? {
        let path = root.join(&relative);
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        used.take(&path, &metadata)?;
        kind(&path, &metadata)?;
        let mut header = header(&metadata);
        let written = if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(at(&path))?;
            if !leads_out(&relative) {
                within(root, &relative, &path, &target)?;
            }
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, &relative, &target)
        } else if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, &relative, io::empty())
        } else {
            header.set_entry_type(EntryType::Regular);
            let file = File::open(&path).map_err(at(&path))?;
            tar.append_data(&mut header, &relative, file)
        };
        written.map_err(at(&path))?;
    }
    let zstd = tar.into_inner().map_err(at(root))?;
    let Hashed { hasher, bytes, .. } = zstd.finish().map_err(at(root))?;
    let content = tree::content(root, skipped).map_err(at(root))?;
    Ok(Packed { content, bundle: hasher.finalize().into(), bytes })
}

/// Refuses what [`pack`] would refuse, and reads no file.
pub fn check(
    root: &Path,
    skipped: &[&str],
    leads_out: impl Fn(&Path) -> bool,
    limits: Limits,
) -> Result<(), PackError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Io { path, source }
    };
    let mut used = Room::of(root, limits);
    for relative in tree::paths(root, skipped).map_err(at(root))? {
        let path = root.join(&relative);
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        used.take(&path, &metadata)?;
        if metadata.is_symlink() && !leads_out(&relative) {
            let target = fs::read_link(&path).map_err(at(&path))?;
            within(root, &relative, &path, &target)?;
        }
        kind(&path, &metadata)?;
    }
    Ok(())
}

/// Refuses what is neither a file nor a directory nor a symlink.
fn kind(path: &Path, metadata: &Metadata) -> Result<(), PackError> {
    let kind = metadata.file_type();
    let what = if kind.is_symlink() || kind.is_dir() || kind.is_file() {
        return Ok(());
    } else if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device node"
    };
    Err(PackError::Kind { path: path.to_owned(), what })
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MTIME);
    header.set_size(metadata.len());
    header
}

/// A symlink must lead to something in the tree, whatever the machine.
fn within(root: &Path, relative: &Path, path: &Path, target: &Path) -> Result<(), PackError> {
    let outside =
        || PackError::Outside { path: path.to_owned(), target: target.to_owned(), root: root.to_owned() };
    let mut depth = relative.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(outside)?,
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(_) => Err(PackError::Broken { path: path.to_owned(), target: target.to_owned() }),
    }
}

/// What there is room for.
struct Room<'a> {
    root: &'a Path,
    limits: Limits,
    entries: u64,
    bytes: u64,
    largest: (u64, PathBuf),
}

impl<'a> Room<'a> {
    fn of(root: &'a Path, limits: Limits) -> Self {
        Self { root, limits, entries: 0, bytes: 0, largest: (0, PathBuf::new()) }
    }

    fn take(&mut self, path: &Path, metadata: &Metadata) -> Result<(), PackError> {
        self.entries += 1;
        if metadata.is_file() {
            self.bytes += metadata.len();
            if metadata.len() > self.largest.0 {
                self.largest = (metadata.len(), path.to_owned());
            }
        }
        let (limit, what) = if self.entries > self.limits.entries {
            (self.limits.entries, "files")
        } else if self.bytes > self.limits.bytes {
            (self.limits.bytes, "bytes")
        } else {
            return Ok(());
        };
        let (size, largest) = self.largest.clone();
        Err(PackError::TooLarge { root: self.root.to_owned(), limit, what, largest, size })
    }
}

/// Writes, and hashes what is written.
struct Hashed<'a> {
    file: &'a mut File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
