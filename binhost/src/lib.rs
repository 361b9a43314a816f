//! The binhost: artifact store, generations and `Packages` index, served the way Portage asks.
//!
//! It knows nothing of queues or drones, and keeps all it knows in one directory (`README.md` has its layout), so that
//! a plain nginx can serve that directory too, and `kill -9` at any point leaves a state that the next start reads.
//!
//! | module | what |
//! |---|---|
//! | [`gpkg`] | reads, verifies and signs GLEP 78 packages: no unpacking, no child process |
//! | [`check`] | the pure comparison of a package with what was asked for (law 8) |
//! | `closure` | the pure check of a whole set: dependencies, slots, blockers, sonames (law 8) |
//! | [`xpak`] | reads and writes the build information of XPAK packages |
//! | [`packages`] | the text of the `Packages` index: reader and writer |
//! | [`evaluate`] | USE conditionals, evaluated as Portage does for an index |
//! | [`index`] | the index that is served |
//! | [`reindex`] | writes the index of any PKGDIR |
//! | `signing` | OpenPGP signatures of packages, and the keys that make them |
//! | `journal`, `durable` | append-only logs and writes that survive a power cut |
//! | `blobs` | bytes by BLAKE3 digest: the upload's temporary file and its rename |
//! | `bundles` | marks of those blobs that are configurations and trees, not packages |
//! | `distfiles` | source archives that drones share, by BLAKE2B digest |
//! | `target` | one target: catalog of paths, staging of runs, generations, which is current |
//! | `store` | the directory: its lock, the sweep at start, its targets |
//! | [`verify`] | reads a whole store and says what is wrong in it, beside the daemon |
//! | `collect` | removes bytes that nothing refers to |
//! | `upkeep` | the daemon's own work: collecting and scrubbing |
//! | [`mirror`] | pushes what clients need to an S3 store, or to another directory |
//! | [`tools`] | the commands beside the daemon |
//! | `http`, `server` | routes and tickets; the accept loop, its bounds, TLS |
//! | [`access`] | who may read |
//! | `files`, `watched` | blobs kept open for a moment; files read again when they change |

pub mod access;
pub mod check;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod evaluate;
pub mod gpkg;
pub mod index;
pub mod mirror;
pub mod packages;
pub mod reindex;
pub mod signing;
pub mod tools;
pub mod verify;
pub mod xpak;

mod artifact;
mod blobs;
mod bundles;
mod closure;
mod collect;
mod distfiles;
mod durable;
mod error;
mod files;
mod http;
mod journal;
mod room;
mod server;
mod store;
mod target;
mod upkeep;
mod watched;

#[cfg(test)]
#[path = "../tests/binhost/package.rs"]
mod testing;
