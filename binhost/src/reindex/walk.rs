//! Finds the package files of a PKGDIR: `cat/pf.SUFFIX`, `All/pf.SUFFIX`, `cat/pn/pf-BUILD_ID.SUFFIX`. Portage looks
//! deeper as well, but takes nothing from there (`bintree.py`, `_populate_local`).

use super::{LeftOut, Refusal};
use crate::error::{Doing, Result};
use crate::packages::Values;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// The modification time: seconds and nanoseconds.
    pub(super) mtime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.size(), mtime: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// A file that may be a package.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Below the directory.
    pub(super) path: String,
    pub(super) stamp: Stamp,
}

impl Candidate {
    /// The index entry of the package whose values these are.
    pub(super) fn entry(&self, values: &Values) -> Values {
        let mut entry = values.clone();
        entry.insert("PATH".to_owned(), self.path.clone());
        entry.insert("SIZE".to_owned(), self.stamp.size.to_string());
        entry.insert("_mtime_".to_owned(), self.stamp.mtime.0.to_string());
        entry
    }
}

/// The format and layout by the file's name, which is what Portage goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `.gpkg.tar`
    Gpkg,
    /// `.xpak`: an XPAK with a BUILD_ID in its name.
    Xpak,
    /// `.tbz2`: an XPAK without.
    Tbz2,
}

/// The format of a file, and its name without the suffix.
pub(super) fn format(name: &str) -> Option<(Format, &str)> {
    let suffixes = [(".gpkg.tar", Format::Gpkg), (".xpak", Format::Xpak), (".tbz2", Format::Tbz2)];
    suffixes.into_iter().find_map(|(suffix, format)| Some((format, name.strip_suffix(suffix)?)))
}

/// How many directories deep packages lie.
const DEEPEST: usize = 2;

/// The files that may be packages, in the order of their paths, and what could not be looked at. Links are not followed
/// and not taken, as by Portage.
pub(super) fn candidates(root: &Path) -> Result<(Vec<Candidate>, Vec<LeftOut>)> {
    // Where the directory itself cannot be read there is nothing to index, and that must not look like an empty one.
    fs::read_dir(root).doing("read", root)?;
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    let mut directories = vec![(String::new(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let listed = match fs::read_dir(root.join(&directory)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                left_out.push(Refusal::Unreadable(error.to_string()).left_out(&directory));
                continue;
            }
            Ok(listed) => listed,
        };
        for file in listed {
            let file = file.doing("read", &root.join(&directory))?;
            let metadata = match file.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.doing("look at", &file.path())?,
            };
            let name = file.file_name();
            let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
            let path = format!("{prefix}{}", name.to_string_lossy());
            if metadata.is_dir() {
                if depth < DEEPEST && name.to_str().is_some() {
                    directories.push((path, depth + 1));
                }
            } else if metadata.is_file() && format(&path).is_some() {
                if name.to_str().is_some() {
                    candidates.push(Candidate { path, stamp: Stamp::of(&metadata) });
                } else {
                    left_out.push(Refusal::Name("its metadata".to_owned()).left_out(&path));
                }
            }
        }
    }
    candidates.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok((candidates, left_out))
}
