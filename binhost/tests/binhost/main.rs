//! The binhost over HTTP, as drones, the orchestrator and Portage use it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic: that is how it fails; clippy.toml's allowance stops at helper functions"
)]

mod access;
mod bundles;
mod closed;
mod collecting;
mod crash;
mod distfiles;
mod full;
mod generations;
mod harness;
mod headers;
mod inherit;
mod keeping;
mod mirror;
mod nginx;
mod package;
mod patience;
mod process;
mod refusals;
mod s3;
mod serving;
mod signing;
mod stage;
mod tls;
mod upload;
mod verify;
