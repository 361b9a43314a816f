//! What the swarm costs, measured on the real daemons, the real Postgres and the real Redis of this machine, over
//! loopback. `make bench` runs all of it; standard output is JSON, one object per line.
//!
//! | bench | what |
//! |---|---|
//! | [`hand_off`] | from "a package is ready" to "a waiting drone holds the claim" |
//! | [`throughput`] | packages per second through HTTP, beside pgbench with the same SQL |
//! | [`roots`] | a clean root, made, entered and removed; a look of the watchdog |
//! | [`overhead`] | a swarm build beside plain `emerge --buildpkgonly`, in the same box |
//! | [`rebuild`] | from a claim to the compiler, after a change of one line |
//!
//! Each also says how much memory the daemons hold at its start and at its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod hand_off;
mod overhead;
mod pgbench;
mod plans;
mod processes;
mod rebuild;
mod roots;
mod statements;
mod throughput;

pub(crate) use common::{host, report};
use std::process::ExitCode;

const NAMES: [&str; 5] = ["hand-off", "throughput", "roots", "rebuild", "overhead"];

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = match common::wanted(&NAMES) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    report::line(&host::machine());
    report::line(&host::services().await);
    for name in wanted {
        match name {
            "hand-off" => hand_off::run().await,
            "throughput" => throughput::run().await,
            "roots" => roots::run().await,
            "rebuild" => rebuild::run().await,
            _ => overhead::run().await,
        }
    }
    ExitCode::SUCCESS
}
