//! Directory trees by content: `/etc/portage` and ebuild repositories, as a workstation has them and drones shall have
//! them.
//!
//! A tree has two names. Its *content* ([`tree::content`]) is what epochs compare: it depends on nothing but the tree.
//! The *bundle* is the archive that it travels in, named by the BLAKE3 of its bytes, so that whoever stores or fetches it
//! need not look into it. Two packings of one tree usually give one bundle, and need not: zstd may change.
//!
//! | module | what |
//! |---|---|
//! | [`tree`] | the content hash; a fingerprint that needs no reading |
//! | [`pack`] | a tree to a bundle, and why a tree cannot be one |
//! | [`unpack`] | a bundle to a tree, whoever made it |
//! | [`compare`] | what differs between two trees |
//! | [`repos`] | the ebuild repositories of a root, and their revisions |

pub mod compare;
pub mod pack;
pub mod repos;
pub mod tree;
pub mod unpack;

pub use pack::{Packed, pack};
pub use unpack::{unpack, unpack_tar};

/// How much a bundle may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files, directories and symlinks.
    pub entries: u64,
    /// Bytes in all files together.
    pub bytes: u64,
}

impl Limits {
    /// Of a configuration: `/etc/portage`, or the installed packages' database.
    pub const CONFIGURATION: Self = Self { entries: 500_000, bytes: 256 << 20 };
    /// Of an ebuild repository: Gentoo's own has 130,000 files with 600 MiB in 2026.
    pub const REPOSITORY: Self = Self { entries: 1_000_000, bytes: 4 << 30 };
}
