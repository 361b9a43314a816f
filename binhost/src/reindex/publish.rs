//! The index files: what is there, and how it is replaced. A reader finds the old file or the new one, whatever happens.

use crate::clock::system_time;
use crate::durable::{TempFile, remove_leftover};
use crate::error::{Doing, Result};
use crate::packages::{Index, Values, gzip};
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// The largest index that is read.
const LARGEST: u64 = 1 << 30;

/// The index as it was.
#[derive(Debug, Default)]
pub(super) struct Old {
    pub(super) text: Vec<u8>,
    pub(super) header: Values,
    pub(super) entries: Vec<Values>,
}

impl Old {
    /// Reads what is there, and warns of what is wrong in it. What Portage would not read counts as absent.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("Packages");
        let mut text = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            file => file.and_then(|file| file.take(LARGEST).read_to_end(&mut text)).doing("read", &path)?,
        };
        let mut index = Index::read(&text[..]).doing("read", &path)?;
        let entries: Vec<_> = index.by_ref().filter_map(io::Result::ok).collect();
        for skipped in index.skipped() {
            tracing::warn!(path = %path.display(), "{skipped}");
        }
        let version = index.header().get("VERSION").and_then(|version| version.trim().parse::<i64>().ok());
        if version.is_none_or(|version| version > 0) {
            tracing::warn!(path = %path.display(), "its VERSION is not 0: nothing is kept of it");
            return Ok(Self { text, ..Self::default() });
        }
        let header = index.header().clone();
        Ok(Self { text, header, entries })
    }

    pub(super) fn timestamp(&self) -> Option<i64> {
        self.header.get("TIMESTAMP")?.trim().parse().ok()
    }
}

/// Replaces the files that are not as they should be, and says whether there were any. The time of both is TIMESTAMP:
/// web servers make it `Last-Modified`, and `emaint` compares the two.
pub(super) fn write(directory: &Path, old: &Old, timestamp: i64, text: &[u8]) -> Result<bool> {
    let same = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        let timed = fs::metadata(&path).is_ok_and(|metadata| metadata.mtime() == timestamp);
        timed && (name == "Packages" && old.text == bytes || fs::read(&path).is_ok_and(|old| old == bytes))
    };
    let gzip = gzip(timestamp, text);
    let stale: Vec<_> = [("Packages", text), ("Packages.gz", &gzip)]
        .into_iter()
        .filter(|(name, bytes)| !same(name, bytes))
        .collect();
    // Both are complete and durable before the first takes its name: there is as little as can be between the two.
    let parts = stale.iter().map(|(name, bytes)| part(directory, name, timestamp, bytes));
    for (part, (name, _)) in parts.collect::<Result<Vec<_>>>()?.into_iter().zip(&stale) {
        part.persist(&directory.join(name))?;
    }
    Ok(!stale.is_empty())
}

/// The file under a temporary name, with the time and the permissions that it shall have.
fn part(directory: &Path, name: &str, timestamp: i64, bytes: &[u8]) -> Result<TempFile> {
    let path = directory.join(format!(".{name}.part"));
    remove_leftover(&path)?;
    let mut file = TempFile::create(path.clone())?;
    file.write(bytes)?;
    let set = || -> io::Result<()> {
        let time = system_time(timestamp);
        File::open(&path)?.set_times(FileTimes::new().set_accessed(time).set_modified(time))?;
        // Whoever may read or write the directory as its group may do so with the index (`_file_permissions`).
        let directory = fs::metadata(directory)?;
        let group = directory.mode() & 0o060;
        if fs::metadata(&path)?.gid() != directory.gid()
            && std::os::unix::fs::chown(&path, None, Some(directory.gid())).is_err()
        {
            tracing::debug!(path = %path.display(), "the directory's group cannot be given to it");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644 | group))
    };
    set().doing("prepare", &path)?;
    file.sync()?;
    Ok(file)
}
