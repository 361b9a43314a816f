//! Digests taken while bytes pass: of a member for the Manifest, of the whole file for the index and the store.

use blake2::Blake2b512;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha512};
use std::io::{self, Read, Write};
use swarm_protocol::Digest;

/// Lower-case hexadecimal digits.
fn hex(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The two digests of Portage's Manifests (`MANIFEST2_HASH_DEFAULTS`).
#[derive(Default)]
pub(super) struct MemberDigests {
    blake2b: Blake2b512,
    sha512: Sha512,
}

impl MemberDigests {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blake2b.update(bytes);
        self.sha512.update(bytes);
    }

    /// BLAKE2B and SHA512 in hexadecimal.
    pub(super) fn finish(self) -> (String, String) {
        (hex(self.blake2b.finalize()), hex(self.sha512.finalize()))
    }
}

/// What the index says of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigests {
    /// The length in bytes.
    pub size: u64,
    /// MD5 in hexadecimal.
    pub md5: String,
    /// SHA-1 in hexadecimal.
    pub sha1: String,
}

/// Passes a file through, in either direction, and takes what the index says of it.
pub(crate) struct Indexed<R> {
    inner: R,
    size: u64,
    md5: Md5,
    sha1: Sha1,
}

impl<R> Indexed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, size: 0, md5: Md5::new(), sha1: Sha1::new() }
    }

    pub(crate) fn finish(self) -> FileDigests {
        FileDigests { size: self.size, md5: hex(self.md5.finalize()), sha1: hex(self.sha1.finalize()) }
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha1.update(bytes);
    }
}

impl<R: Read> Read for Indexed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.passed(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<W: Write> Write for Indexed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.passed(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The same with the BLAKE3 digest, by which the store knows the file.
pub(super) struct Whole<R> {
    indexed: Indexed<R>,
    blake3: blake3::Hasher,
}

impl<R> Whole<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { indexed: Indexed::new(inner), blake3: blake3::Hasher::new() }
    }

    pub(super) fn finish(self) -> (FileDigests, Digest) {
        (self.indexed.finish(), self.blake3.finalize().into())
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.indexed.read(buffer)?;
        self.blake3.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<W: Write> Write for Whole<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.indexed.write(bytes)?;
        self.blake3.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.indexed.flush()
    }
}
