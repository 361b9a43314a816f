//! The metadata archive: a tar of `metadata/KEY` files, the package's build-info directory (PMS calls it the VDB entry).
//!
//! Values end in a newline and may be reflowed over several lines; Portage joins their words by single spaces when it
//! reads them for an index (`bintree.py`, `_read_metadata`: `" ".join(v.split())`), and so do we. What is left must
//! have no control character: one that reached the index could forge entries in it. Of the many files, among them the
//! whole environment, only those of the index and those that are checked are kept; all are searched for secrets.

use super::compression::CompressionError;
use super::secrets::Secrets;
use super::tar::{Reader, TarError};
use crate::packages::METADATA_KEYS;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// The largest decompressed archive. The environment is the largest part of real ones: some hundred KiB.
pub(super) const LARGEST_TOTAL: u64 = 16 << 20;
/// The most that is decompressed of an archive that only passes; it costs time, not memory.
const LARGEST_SCAN: u64 = 256 << 20;
/// The largest single value.
const LARGEST_VALUE: u64 = 4 << 20;

/// The keys that are kept beside those of the index ([`METADATA_KEYS`]): they are checked.
const CHECKED_KEYS: &[&str] =
    &["BUILD_ID", "CATEGORY", "CFLAGS", "CXXFLAGS", "IUSE_EFFECTIVE", "LDFLAGS", "PF"];

fn is_kept(key: &str) -> bool {
    METADATA_KEYS.contains(&key) || CHECKED_KEYS.contains(&key)
}

/// Why metadata is refused.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The archive cannot be decompressed.
    #[error(transparent)]
    Compression(CompressionError),
    /// The archive is no tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A member is not `metadata/KEY`.
    #[error("the member {0:?} is not metadata/KEY")]
    Place(String),
    /// A key comes twice.
    #[error("{0} comes twice")]
    Twice(String),
    /// A value is too large.
    #[error("{key} has {size} bytes, more than a value may have")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size.
        size: u64,
    },
    /// A value is not UTF-8.
    #[error("{0} is not UTF-8")]
    Encoding(String),
    /// A value has a control character.
    #[error("{0} has a control character")]
    Control(String),
}

/// A package's values, words joined by single spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    values: BTreeMap<String, String>,
    secrets: Secrets,
}

impl Metadata {
    /// The value of `key`, one of those that are kept; empty where the package has none, as Portage has it.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// Sets a value, as tests do.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.values.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What the package should not tell anybody, in whichever value.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Reads the decompressed archive.
    pub(super) fn read(archive: &[u8]) -> Result<Self, MetadataError> {
        let mut tar = Reader::new(archive);
        let mut keys = BTreeSet::new();
        let mut metadata = Self::default();
        while let Some(entry) = tar.next()? {
            let key =
                entry.name.strip_prefix("metadata/").filter(|key| !key.is_empty() && !key.contains('/'));
            let key = key.ok_or_else(|| MetadataError::Place(entry.name.clone()))?.to_owned();
            if !keys.insert(key.clone()) {
                return Err(MetadataError::Twice(key));
            }
            if entry.size > LARGEST_VALUE {
                return Err(MetadataError::TooLarge { key, size: entry.size });
            }
            let bytes = read_all(&mut tar)?;
            metadata.secrets.scan(&key, &bytes);
            if is_kept(&key) {
                let value = value(&key, bytes)?;
                metadata.values.insert(key, value);
            }
        }
        Ok(metadata)
    }
}

/// The values of `keys` as they stand in an archive that Portage would read: a name may come twice, and then the later
/// one counts.
pub(super) fn values(archive: impl Read, keys: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, MetadataError> {
    let mut tar = Reader::lenient(Capped { inner: archive, left: LARGEST_SCAN });
    let mut values = BTreeMap::new();
    while let Some(entry) = tar.next()? {
        let key = entry.name.strip_prefix("metadata/");
        let key = key.ok_or_else(|| MetadataError::Place(entry.name.clone()))?.to_owned();
        if !keys.contains(&key.as_str()) {
            continue;
        }
        if entry.size > LARGEST_VALUE {
            return Err(MetadataError::TooLarge { key, size: entry.size });
        }
        values.insert(key, read_all(&mut tar)?);
    }
    Ok(values)
}

/// Passes so many bytes, and fails at more.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!("it decompresses to more than the {LARGEST_SCAN} bytes allowed"))
        })?;
        Ok(count)
    }
}

fn read_all(tar: &mut Reader<impl Read>) -> Result<Vec<u8>, TarError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match tar.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn value(key: &str, bytes: Vec<u8>) -> Result<String, MetadataError> {
    let text = String::from_utf8(bytes).map_err(|_| MetadataError::Encoding(key.to_owned()))?;
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().any(char::is_control) {
        Err(MetadataError::Control(key.to_owned()))
    } else {
        Ok(joined)
    }
}
