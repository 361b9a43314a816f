//! Signatures of packages, and the keys that make them.
//!
//! The binhost signs a package when it is staged and never before, with a key that only it holds (law 11). Clients
//! have the public halves, from `/binhost/TARGET/key.asc` or from `build-binhost key export`. The keys live in the
//! binhost's directory and are read anew each time one is needed: what `build-binhost key` changes holds at once, and
//! no secret stays in memory.
//!
//! ```text
//! keys/                        0700
//! keys/9A0F….asc               0600, a secret key; every one of them is published
//! keys/signing -> 9A0F….asc    the one that signs
//! ```
//!
//! **Rotation.** `key create` makes a second key, which is published and does not sign yet; when clients have it,
//! `key use` switches. The former key stays published as long as there are packages that it signed: a path never
//! names other bytes (law 9), so nothing is signed anew, and `key extend` keeps those packages installable.

mod command;
mod key;
mod keyring;
mod watch;

pub use command::KeyCommand;
pub(crate) use key::Key;
pub(crate) use keyring::{KeyError, Keyring};
pub(crate) use watch::{warnings, watch};
