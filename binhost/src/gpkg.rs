//! GPKG, Gentoo's binary package (GLEP 78), read in one pass: nothing is unpacked, no child process is started.
//! [`sign`] writes the signed container of one that was read.
//!
//! # The format
//!
//! An uncompressed ustar or GNU tar (GNU where the name is too long or the package too large, `portage/gpkg.py`,
//! `compress`), every member a regular file directly below one directory, in this order, each name once:
//!
//! ```text
//! zlib-1.3.1-2/gpkg-1                 marks format and version; empty
//! zlib-1.3.1-2/metadata.tar.zst       a ustar of metadata/KEY files, one value each
//! zlib-1.3.1-2/metadata.tar.zst.sig   optional: detached OpenPGP signature
//! zlib-1.3.1-2/image.tar.zst          a tar of image/…, what gets installed
//! zlib-1.3.1-2/image.tar.zst.sig      optional
//! zlib-1.3.1-2/Manifest               size and digests of all of the above, possibly clear-signed
//! ```
//!
//! The directory is named PF, or PF-BUILD_ID under `FEATURES=binpkg-multi-instance` (`bin/misc-functions.sh`). Both
//! inner archives are compressed with one method, told by the suffix: none, `.gz`, `.bz2`, `.xz`, `.zst`, `.lz4`, and
//! the rare `.lz` and `.lzo`, whose metadata we do not read. After the Manifest come two zero blocks and zero padding,
//! nothing else. The Manifest has one line per member:
//!
//! ```text
//! DATA metadata.tar.zst 2519 BLAKE2B 0dc5…(128 digits) SHA512 9b71…(128 digits)
//! ```
//!
//! # What is checked
//!
//! Order, unique and plain names, one directory, sizes, both digests of every member, and that Manifest and members
//! name each other exactly. The image is hashed as it passes and never decompressed. Only when the Manifest agrees is
//! the metadata decompressed, under a cap. Signatures are not judged here: the binhost replaces them when it signs.
//!
//! That is [`read`], for what the binhost publishes, and stricter than Portage. [`inspect`] takes what Portage takes
//! when it makes an index: members in any order and others besides if the Manifest lists them, anything behind the
//! archive, and an image that is there in full but may not have its digests.

mod compression;
mod container;
mod digests;
mod manifest;
mod metadata;
mod secrets;
mod sign;
mod tar;
mod tar_writer;

pub use compression::Compression;
pub use manifest::ManifestError;
pub use metadata::{Metadata, MetadataError};
pub use secrets::Secrets;
pub(crate) use sign::{SignError, Signed, sign};
pub use tar::TarError;

pub use digests::FileDigests;
pub(crate) use digests::Indexed;

use container::Rigour;
use digests::Whole;
use std::collections::BTreeMap;
use std::io::{self, Read};
use swarm_protocol::Digest;

/// What is told about a well-formed package.
#[derive(Clone, Debug)]
pub struct Gpkg {
    /// The directory within the container: PF or PF-BUILD_ID.
    pub basename: String,
    /// The values that we use.
    pub metadata: Metadata,
    /// The file's length in bytes.
    pub size: u64,
    /// The file's BLAKE3 digest.
    pub blake3: Digest,
    /// The file's MD5 in hexadecimal, as the index carries it.
    pub md5: String,
    /// The file's SHA-1 in hexadecimal, as the index carries it.
    pub sha1: String,
}

/// Why a file is no acceptable GPKG.
#[derive(Debug, thiserror::Error)]
pub enum GpkgError {
    /// The container is no tar as described.
    #[error("the container: {0}")]
    Container(#[source] TarError),
    /// A member's name is not `DIRECTORY/FILE`, or its directory is another one.
    #[error("the member {0:?} is not a file directly below the package's one directory")]
    Place(String),
    /// A member that the format does not know.
    #[error("the member {0:?} is none of gpkg-1, metadata.tar, image.tar, their signatures, and Manifest")]
    Unknown(String),
    /// A member comes twice, or too late.
    #[error("the member {0:?} comes twice or out of order")]
    Order(String),
    /// A member is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// A member is larger than its kind may be.
    #[error("the member {name:?} has {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The member.
        name: String,
        /// Its size.
        size: u64,
        /// The most it may have.
        limit: u64,
    },
    /// The Manifest cannot be read, or disagrees with the members.
    #[error("the Manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The metadata archive cannot be read.
    #[error("the metadata: {0}")]
    Metadata(#[from] MetadataError),
}

impl GpkgError {
    /// The fault of the reader, if the package is not to blame.
    pub fn into_io(self) -> Result<io::Error, Self> {
        match self {
            Self::Container(TarError::Io(error)) => Ok(error),
            other => Err(other),
        }
    }
}

/// Reads and verifies a whole package.
pub fn read(reader: impl Read) -> Result<Gpkg, GpkgError> {
    let mut whole = Whole::new(reader);
    let parts = container::read(&mut whole, Rigour::Whole)?;
    let tar = parts.compression.decompress(&parts.metadata, metadata::LARGEST_TOTAL);
    let metadata = Metadata::read(&tar.map_err(MetadataError::Compression)?)?;
    let (FileDigests { size, md5, sha1 }, blake3) = whole.finish();
    Ok(Gpkg { basename: parts.basename, metadata, size, blake3, md5, sha1 })
}

/// Reads a package as Portage does for an index: the values of `keys` as they stand there.
pub fn inspect(
    reader: impl Read,
    keys: &[&str],
) -> Result<(BTreeMap<String, Vec<u8>>, FileDigests), GpkgError> {
    let mut indexed = Indexed::new(reader);
    let parts = container::read(&mut indexed, Rigour::Portage)?;
    let archive = parts.compression.reader(&parts.metadata).map_err(MetadataError::Compression)?;
    let values = metadata::values(archive, keys)?;
    Ok((values, indexed.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Member, Package};
    use proptest::prelude::*;

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn reads_every_compression() {
        for compression in ["", ".gz", ".bz2", ".xz", ".zst", ".lz4"] {
            let bytes = Package::zlib().compression(compression).bytes();
            let package = read(&bytes[..]).unwrap();
            assert_eq!(package.metadata.get("PF"), "zlib-1.3.1", "{compression}");
            assert_eq!((package.size, package.blake3), (bytes.len() as u64, Digest::of(&bytes)));
        }
    }

    #[test]
    fn reads_signed_and_long_named_packages() {
        assert!(read(&Package::zlib().signed().bytes()[..]).is_ok());
        let long = format!("zlib-{}-1", "1".repeat(180));
        let package = read(&Package::zlib().basename(&long).bytes()[..]).unwrap();
        assert_eq!(package.basename, long);
    }

    #[test]
    fn refuses_what_lies_about_its_members() {
        let zlib = || Package::zlib().members();
        let build = |edit: &dyn Fn(&mut Vec<Member>)| {
            let mut members = zlib();
            edit(&mut members);
            Package::container(&members)
        };
        for (edit, part) in [
            (&(|m: &mut Vec<Member>| m.swap(1, 2)) as &dyn Fn(&mut Vec<Member>), "out of order"),
            (&|m: &mut Vec<Member>| m.swap(0, 1), "out of order"),
            (&|m: &mut Vec<Member>| m.insert(1, m[1].clone()), "comes twice"),
            (&|m: &mut Vec<Member>| drop(m.pop()), "there is no Manifest"),
            (&|m: &mut Vec<Member>| drop(m.remove(2)), "there is no image.tar"),
            (&|m: &mut Vec<Member>| drop(m.remove(1)), "there is no metadata.tar"),
            (&|m: &mut Vec<Member>| drop(m.remove(0)), "there is no gpkg-1"),
            (&|m: &mut Vec<Member>| m.clear(), "there is no gpkg-1"),
            (&|m: &mut Vec<Member>| m[2].data.push(0), "image.tar.zst has"),
            (&|m: &mut Vec<Member>| m[2].data[0] ^= 1, "BLAKE2B of image.tar.zst"),
            (&|m: &mut Vec<Member>| m[1].data[9] ^= 1, "BLAKE2B of metadata.tar.zst"),
            (&|m: &mut Vec<Member>| m[1].name = "other/metadata.tar.zst".to_owned(), "one directory"),
            (&|m: &mut Vec<Member>| m[1].name = "../metadata.tar.zst".to_owned(), "one directory"),
            (&|m: &mut Vec<Member>| m[0].name = "/gpkg-1".to_owned(), "one directory"),
            (&|m: &mut Vec<Member>| m[0].name = "../gpkg-1".to_owned(), "one directory"),
            (&|m: &mut Vec<Member>| m[0].name = "a/b/gpkg-1".to_owned(), "one directory"),
            (&|m: &mut Vec<Member>| m[0].name = "zlib-1.3.1-2/gpkg-2".to_owned(), "is none of"),
            (&|m: &mut Vec<Member>| m[1].kind = b'2', "entry type"),
            (&|m: &mut Vec<Member>| m[0].kind = b'x', "entry type"),
            (&|m: &mut Vec<Member>| m[3].data.extend_from_slice(b"DATA more 0\n"), "more"),
        ] {
            let said = refusal(&build(edit));
            assert!(said.contains(part), "{said:?} does not say {part:?}");
        }
    }

    #[test]
    fn refuses_truncation_and_trailing_bytes() {
        let whole = Package::zlib().bytes();
        for length in (0..whole.len() - 1024).step_by(97) {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        let mut more = whole.clone();
        more.extend_from_slice(b"x");
        assert!(refusal(&more).contains("after the end"));
        assert!(refusal(&whole[..whole.len() - 1]).contains("ends in the middle"));
    }

    #[test]
    fn refuses_a_bomb() {
        let bomb = Package::zlib().value("RDEPEND", &"x".repeat(17 << 20)).bytes();
        assert!(bomb.len() < 1 << 20, "the bomb is small: {}", bomb.len());
        assert!(refusal(&bomb).contains("decompress"), "{}", refusal(&bomb));
        let value = Package::zlib().value("RDEPEND", &"x".repeat(5 << 20)).bytes();
        assert!(refusal(&value).contains("RDEPEND"));
    }

    #[test]
    fn refuses_values_that_would_forge_the_index() {
        for value in ["0\u{0}", "a\u{1b}[2J", "a\u{1c}b"] {
            let said = refusal(&Package::zlib().value("DESCRIPTION", "").value("LICENSE", value).bytes());
            assert!(said.contains("control character"), "{said}");
        }
        let reflowed = Package::zlib().value("RDEPEND", "a/b\n\tc/d \r\n\nPATH: x\n").bytes();
        assert_eq!(read(&reflowed[..]).unwrap().metadata.get("RDEPEND"), "a/b c/d PATH: x");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn any_change_is_survived(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            compression in prop::sample::select(vec!["", ".gz", ".bz2", ".xz", ".zst", ".lz4"]),
        ) {
            let mut bytes = Package::zlib().compression(compression).bytes();
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(index) = cut {
                bytes.truncate(index.index(bytes.len()));
            }
            drop(read(&bytes[..]));
        }

        #[test]
        fn hostile_metadata_under_a_good_manifest_is_survived(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            compression in prop::sample::select(vec!["", ".gz", ".bz2", ".xz", ".zst", ".lz4"]),
        ) {
            let damage = |data: &mut Vec<u8>| {
                for (index, value) in &flips {
                    let at = index.index(data.len());
                    data[at] = *value;
                }
            };
            drop(read(&Package::zlib().compression(compression).damage(&damage).bytes()[..]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert!(read(&bytes[..]).is_err());
        }
    }
}
