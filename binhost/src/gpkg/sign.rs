//! Makes the signed container of an unsigned one, as Portage's `gpkg-sign` does (`portage/gpkg.py`, `update_signature`).
//!
//! The two archives are copied as they were built, so BUILD_TIME and everything else in them stays; behind each stands
//! its detached signature, and the Manifest that lists all of it is clear-signed. Signatures that the package came with
//! are left out. One pass: the image is hashed and signed while it is copied, and never held in memory.

use super::container::place;
use super::digests::{FileDigests, MemberDigests, Whole};
use super::tar::{Reader, TarError};
use super::tar_writer::{Dialect, Writer};
use crate::signing::Key;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use swarm_protocol::Digest;

/// The longest name that a member can have.
const LONGEST: &str = "metadata.tar.zst.sig";
/// More than signatures, Manifest and headers take.
const OVERHEAD: u64 = 1 << 20;
const CHUNK: usize = 256 << 10;

/// A signed container that was written.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// What the index says of it.
    pub(crate) file: FileDigests,
    pub(crate) blake3: Digest,
    /// The BLAKE3 of the unsigned container, as it was read this time.
    pub(crate) source: Digest,
}

/// Why a container was not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// It cannot be read, or no longer is what was verified.
    #[error("the unsigned package: {0}")]
    Read(#[from] TarError),
    /// The signed one cannot be written.
    #[error("the signed package: {0}")]
    Write(#[source] io::Error),
    /// The key does not do it.
    #[error("the signature: {0}")]
    OpenPgp(#[from] pgp::errors::Error),
}

/// Copies a container of `size` bytes that [`super::read`] found good and named `basename`, signed at `now` by `key`.
pub(crate) fn sign(
    unsigned: impl Read,
    size: u64,
    basename: &str,
    signed: impl Write,
    key: &Key,
    now: i64,
) -> Result<Signed, SignError> {
    let mut source = Traced { inner: unsigned, blake3: blake3::Hasher::new() };
    let dialect = Dialect::of(basename, LONGEST, size.saturating_add(OVERHEAD));
    let out = Writer::new(Whole::new(signed), dialect, basename, u64::try_from(now).unwrap_or(0));
    let mut copy = Copy { out, manifest: String::new(), key, now };
    let mut tar = Reader::new(&mut source);
    while let Some(entry) = tar.next()? {
        match place(&entry.name, Some(basename)) {
            Ok((_, "gpkg-1")) => copy.plain("gpkg-1", &read_all(&mut tar)?)?,
            Ok((_, file)) if file != "Manifest" && file.strip_suffix(".sig").is_none() => {
                copy.archive(file, entry.size, &mut tar)?;
            }
            _ => {}
        }
    }
    let (file, blake3) = copy.finish()?.finish();
    Ok(Signed { file, blake3, source: source.blake3.finalize().into() })
}

/// The unsigned bytes as they are read.
struct Traced<R> {
    inner: R,
    blake3: blake3::Hasher,
}

impl<R: Read> Read for Traced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.blake3.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

struct Copy<'a, W> {
    out: Writer<Whole<W>>,
    manifest: String,
    key: &'a Key,
    now: i64,
}

impl<W: Write> Copy<'_, W> {
    /// A member that gets no signature: the version mark, and signatures themselves.
    fn plain(&mut self, file: &str, bytes: &[u8]) -> Result<(), SignError> {
        let mut digests = MemberDigests::default();
        digests.update(bytes);
        self.out.member(file, bytes).map_err(SignError::Write)?;
        self.list(file, bytes.len() as u64, digests);
        Ok(())
    }

    /// An archive with its signature.
    fn archive<R: Read>(&mut self, file: &str, size: u64, tar: &mut Reader<R>) -> Result<(), SignError> {
        let mut digests = MemberDigests::default();
        let mut signature = self.key.detached(self.now)?;
        let mut buffer = vec![0; CHUNK];
        self.out.begin(file, size).map_err(SignError::Write)?;
        loop {
            let count = tar.read(&mut buffer)?;
            let Some(bytes @ [_, ..]) = buffer.get(..count) else { break };
            digests.update(bytes);
            signature.update(bytes).and_then(|()| self.out.write(bytes)).map_err(SignError::Write)?;
        }
        self.out.end().map_err(SignError::Write)?;
        self.list(file, size, digests);
        self.plain(&format!("{file}.sig"), &signature.finish()?)
    }

    fn list(&mut self, file: &str, size: u64, digests: MemberDigests) {
        let (blake2b, sha512) = digests.finish();
        // Writing to a String does not fail.
        let _ = writeln!(self.manifest, "DATA {file} {size} BLAKE2B {blake2b} SHA512 {sha512}");
    }

    fn finish(mut self) -> Result<Whole<W>, SignError> {
        let manifest = self.key.clear_signed(&self.manifest, self.now)?;
        self.out.member("Manifest", manifest.as_bytes()).map_err(SignError::Write)?;
        self.out.finish().map_err(SignError::Write)
    }
}

/// The version mark's few bytes; [`super::read`] has bounded them.
fn read_all<R: Read>(tar: &mut Reader<R>) -> Result<Vec<u8>, TarError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    loop {
        match tar.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
