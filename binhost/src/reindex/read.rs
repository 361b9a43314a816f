//! Reads one package file: its metadata, its digests, and that it kept still meanwhile.

use super::package::{self, Refusal};
use super::walk::{Candidate, Format, Stamp, format};
use crate::gpkg::{self, FileDigests, GpkgError, Indexed};
use crate::packages::Values;
use crate::xpak::{Xpak, XpakError};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// Many small files are read in one call, large ones in few.
const BUFFER: usize = 64 << 10;

/// The values of the package's index entry, but for PATH, SIZE and MTIME.
pub(super) fn package(directory: &Path, candidate: &Candidate) -> Result<Values, Refusal> {
    let unreadable = |error: io::Error| Refusal::Unreadable(error.to_string());
    let file = open(&directory.join(&candidate.path)).map_err(unreadable)?;
    let keeps_still = || -> io::Result<bool> {
        let metadata = file.metadata()?;
        Ok(metadata.is_file() && Stamp::of(&metadata) == candidate.stamp)
    };
    if !keeps_still().map_err(unreadable)? {
        return Err(Refusal::Changing);
    }
    let read = match format(&candidate.path) {
        Some((Format::Xpak | Format::Tbz2, _)) => xpak(&file),
        _ => gpkg(&file),
    };
    if !keeps_still().map_err(unreadable)? {
        return Err(Refusal::Changing);
    }
    let (metadata, digests) = read?;
    let mut entry = package::entry(&candidate.path, metadata)?;
    entry.retain(|_, value| !value.is_empty());
    entry.insert("MD5".to_owned(), digests.md5);
    entry.insert("SHA1".to_owned(), digests.sha1);
    Ok(entry)
}

/// Opens a regular file; what a link or a pipe has taken the place of is refused, or found out without waiting for it.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn gpkg(file: &File) -> Result<(Values, FileDigests), Refusal> {
    let inspected = gpkg::inspect(BufReader::with_capacity(BUFFER, file), &package::keys());
    let (values, digests) = inspected.map_err(|error| match GpkgError::into_io(error) {
        Ok(error) => Refusal::Unreadable(error.to_string()),
        Err(error) => Refusal::Invalid(error.to_string()),
    })?;
    Ok((values.into_iter().map(|(key, bytes)| (key, package::value(&bytes))).collect(), digests))
}

fn xpak(mut file: &File) -> Result<(Values, FileDigests), Refusal> {
    let read = Xpak::read(file).map_err(|error| match error {
        XpakError::Io(error) => Refusal::Unreadable(error.to_string()),
        error => Refusal::Invalid(error.to_string()),
    })?;
    let present = |key: &'static str| Some((key.to_owned(), package::value(read.get(key)?)));
    let values = package::keys().into_iter().filter_map(present).collect();
    let mut hash = || -> io::Result<FileDigests> {
        file.rewind()?;
        let mut indexed = Indexed::new(file);
        let mut buffer = vec![0; BUFFER];
        while indexed.read(&mut buffer)? > 0 {}
        Ok(indexed.finish())
    };
    Ok((values, hash().map_err(|error| Refusal::Unreadable(error.to_string()))?))
}
