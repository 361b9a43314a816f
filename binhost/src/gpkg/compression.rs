//! The compressions of the inner archives (`portage/gpkg.py`, `ext_list`), and decompression in memory under a cap.

use liblzma::stream::{CONCATENATED, Stream};
use std::io::{self, Read};

/// What an `.xz` may ask for: its largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// How an inner archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.lz4`
    Lz4,
    /// `.lz`; not decompressed here.
    Lzip,
    /// `.lzo`; not decompressed here.
    Lzop,
}

/// Why an archive cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// We have no decoder.
    #[error("metadata compressed by {0} is not read here; set BINPKG_COMPRESS to zstd")]
    Unsupported(&'static str),
    /// The compressed bytes are broken.
    #[error("it cannot be decompressed: {0}")]
    Broken(#[source] io::Error),
    /// More comes out than may.
    #[error("it decompresses to more than the {0} bytes allowed")]
    TooLarge(u64),
}

impl Compression {
    /// By the suffix behind `.tar`.
    #[must_use]
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "" => Self::None,
            ".gz" => Self::Gzip,
            ".bz2" => Self::Bzip2,
            ".xz" => Self::Xz,
            ".zst" => Self::Zstd,
            ".lz4" => Self::Lz4,
            ".lz" => Self::Lzip,
            ".lzo" => Self::Lzop,
            _ => return None,
        })
    }

    /// The decompressed bytes, at most `limit` of them.
    pub fn decompress(self, bytes: &[u8], limit: u64) -> Result<Vec<u8>, CompressionError> {
        let reader = self.reader(bytes)?;
        let mut out = Vec::new();
        reader.take(limit.saturating_add(1)).read_to_end(&mut out).map_err(CompressionError::Broken)?;
        if out.len() as u64 > limit { Err(CompressionError::TooLarge(limit)) } else { Ok(out) }
    }

    pub(super) fn reader<'a>(self, bytes: &'a [u8]) -> Result<Box<dyn Read + 'a>, CompressionError> {
        Ok(match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(bytes)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED);
                let stream = stream.map_err(|error| CompressionError::Broken(error.into()))?;
                Box::new(liblzma::read::XzDecoder::new_stream(bytes, stream))
            }
            // The decoder's own bound on its window is 128 MiB.
            Self::Zstd => Box::new(zstd::Decoder::new(bytes).map_err(CompressionError::Broken)?),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
            Self::Lzip => return Err(CompressionError::Unsupported("lzip")),
            Self::Lzop => return Err(CompressionError::Unsupported("lzop")),
        })
    }
}
