//! What is served from memory: bytes in pieces that others share, with their length and their validator.

use bytes::Bytes;
use swarm_protocol::Digest;

/// Bytes to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pieces: Vec<Bytes>,
    length: u64,
    /// A strong `ETag`, quotes included.
    pub(crate) etag: String,
}

impl Document {
    /// The pieces in their order; `digest` stands for all of their bytes.
    pub(crate) fn of(pieces: Vec<Bytes>, digest: Digest) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, length, etag: format!("\"{digest}\"") }
    }

    /// All of it.
    pub(crate) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The pieces of `length` bytes from `first` on, cut where they have to be; nothing is copied.
    pub(crate) fn part(&self, first: u64, length: u64) -> Vec<Bytes> {
        let (mut skip, mut left) = (first, length);
        let mut part = Vec::new();
        for piece in &self.pieces {
            let size = piece.len() as u64;
            if skip >= size {
                skip -= size;
                continue;
            }
            let taken = left.min(size - skip);
            if taken == 0 {
                break;
            }
            // Both are within the piece, whose length is a usize.
            let (from, to) = (index(skip), index(skip + taken));
            part.push(piece.slice(from..to));
            (skip, left) = (0, left - taken);
        }
        part
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl From<Vec<u8>> for Document {
    fn from(bytes: Vec<u8>) -> Self {
        let digest = Digest::of(&bytes);
        Self::of(vec![bytes.into()], digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_is_what_a_slice_is(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6), from in 0..12_u64, length in 0..12_u64,
        ) {
            let whole = pieces.concat();
            let document = Document::of(pieces.into_iter().map(Bytes::from).collect(), Digest::of(&whole));
            prop_assert_eq!(document.length(), whole.len() as u64);
            let end = (from + length).min(whole.len() as u64);
            let slice = whole.get(index(from)..index(end)).unwrap_or_default();
            prop_assert_eq!(document.part(from, length).concat(), slice);
        }
    }
}
