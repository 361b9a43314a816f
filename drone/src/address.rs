//! Digests that name bytes: BLAKE3 of the swarm's own files, BLAKE2B of source archives.

use blake2::{Blake2b512, Digest as _};
use std::fmt::Display;
use std::io::{self, Read};
use std::str::FromStr;
use swarm_protocol::Digest;
use swarm_protocol::distfile::Blake2b;

/// A digest that names bytes, and how it is taken of them.
pub trait Address: Copy + Eq + Display + FromStr + Send + Sync + 'static {
    /// What has seen the bytes so far.
    type Hasher: Default + Send;

    /// Shows it more.
    fn update(hasher: &mut Self::Hasher, bytes: &[u8]);

    /// The digest of all it has seen.
    fn of(hasher: Self::Hasher) -> Self;

    /// The digest of all that can be read.
    fn read(mut from: impl Read) -> io::Result<Self> {
        let (mut hasher, mut chunk) = (Self::Hasher::default(), vec![0; 1 << 18]);
        loop {
            let length = from.read(&mut chunk)?;
            if length == 0 {
                return Ok(Self::of(hasher));
            }
            Self::update(&mut hasher, chunk.get(..length).unwrap_or_default());
        }
    }
}

impl Address for Digest {
    type Hasher = blake3::Hasher;

    fn update(hasher: &mut Self::Hasher, bytes: &[u8]) {
        hasher.update(bytes);
    }

    fn of(hasher: Self::Hasher) -> Self {
        hasher.finalize().into()
    }
}

impl Address for Blake2b {
    type Hasher = Blake2b512;

    fn update(hasher: &mut Self::Hasher, bytes: &[u8]) {
        hasher.update(bytes);
    }

    fn of(hasher: Self::Hasher) -> Self {
        let bytes: [u8; 64] = hasher.finalize().into();
        bytes.into()
    }
}
