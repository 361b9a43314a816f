//! What the rooms of Build Swarm say to each other: ids, Gentoo value types, wire messages, the typed client.
//!
//! Nothing here does I/O except [`client`]. Every type parses at the edge: a [`gentoo::Cpv`] or a [`Digest`]
//! that exists is well formed, so the code behind it never checks again.
//!
//! | module | what |
//! |---|---|
//! | [`id`] | newtype ids of rows: runs, packages, attempts, drones, sessions |
//! | [`digest`] | BLAKE3 digests: of artifacts, of epochs |
//! | [`distfile`] | source archives by their Manifest's digest |
//! | [`gentoo`] | `category/name-version`, slots, USE flags, repository names |
//! | [`host_key`] | public ssh host keys |
//! | [`state`] | the states of every machine, with their one spelling |
//! | [`ticket`] | what the orchestrator signs and the binhost verifies offline |
//! | [`problem`] | error codes and the `application/problem+json` body |
//! | [`definition`] | what a target is: configuration and repositories, and where they come from |
//! | [`plan`] | a resolved run: packages and typed edges |
//! | [`resolution`] | resolving a run by Portage on a trusted drone |
//! | [`gate`] | judging a generation by Portage before clients see it |
//! | [`drone`] | enrolment, sessions, heartbeats, claims, reports |
//! | [`admin`] | targets, runs, packages, events as people and scripts see them |
//! | [`repair`] | what the orchestrator asks of a node over SSH, and what that answers |
//! | [`request_id`] | what ties the log lines of a request together |
//! | [`binhost`] | stage, prepare, promote |
//! | [`kept`] | the generations that the binhost keeps: pins, differences |
//! | [`client`] | the typed HTTP client of all of these |

pub mod admin;
pub mod binhost;
pub mod client;
pub mod definition;
pub mod digest;
pub mod distfile;
pub mod drone;
pub mod epoch;
pub mod gate;
pub mod gentoo;
pub mod host_key;
pub mod id;
pub mod kept;
pub mod plan;
pub mod problem;
pub mod repair;
pub mod request_id;
pub mod resolution;
mod schema;
pub mod state;
pub mod ticket;

pub use digest::Digest;
pub use problem::{Code, Problem};

/// The version of all programs, with the commit that they were built from where the build was told it: `0.1.0 (1a2b3c4)`.
pub const VERSION: &str = env!("BUILD_SWARM_VERSION");

/// The version of the drone protocol; a session of another version is refused with `protocol_version`.
pub const PROTOCOL_VERSION: u32 = 1;
