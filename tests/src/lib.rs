//! The harness of the end-to-end tests: real binaries, real Postgres, real Redis, real Portage.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | another Postgres |
//! | [`database`] | a database of its own for each test |
//! | [`process`] | a child process that ends with the test |
//! | [`swarm`] | an orchestrator, a binhost and a Redis, with clients |
//! | [`binhost`] | a binhost alone, which a test fills as orchestrator and drone |
//! | [`embedded`] | an orchestrator that runs its own Postgres and Redis |
//! | [`drone`] | a scripted drone that speaks the real protocol |
//! | [`definitions`] | what workstations push |
//! | [`disk`] | a small disk, which a test can fill |
//! | [`git_https`] | a git server over https |
//! | [`gpkg`] | binary packages for scripted drones |
//! | [`plans`] | plans and epochs |
//! | [`machines`] | machines in which real Portage runs: boxes |
//! | [`fleet`] | machines that a person deploys to |
//! | [`browser`] | a real Chromium |
//! | [`pages`] | a browser without scripts |
//! | [`pkgdirs`] | directories of binary packages that Portage fills and indexes |
//! | [`cli`] | the real `swarm` |
//! | [`cron`] | real cron daemons |
//! | [`checker`] | what must be true of every event log |
//! | [`port`] | TCP ports of a test's own |
//! | [`receiver`] | a web server that is told what happens |
//! | [`repairs`] | a swarm that repairs its drones' machines |
//! | [`readers`] | clients that look for a mixed set |
//! | [`wait`] | waiting for a condition, with a bound |
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness panics where a test would: that is how it fails"
)]

pub mod binhost;
pub mod browser;
pub mod checker;
pub mod cli;
pub mod cluster;
pub mod cron;
pub mod database;
pub mod definitions;
pub mod disk;
pub mod drone;
pub mod embedded;
pub mod fleet;
pub mod git_https;
pub mod gpkg;
pub mod machines;
pub mod pages;
pub mod pkgdirs;
pub mod plans;
pub mod port;
pub mod process;
pub mod readers;
pub mod receiver;
pub mod repairs;
pub mod swarm;
pub mod wait;

use std::path::PathBuf;

/// Where the set-up keeps what is slow to make.
#[must_use]
pub fn cache() -> PathBuf {
    std::env::var_os("BUILD_SWARM_CACHE").map_or("/var/cache/build-swarm".into(), PathBuf::from)
}
