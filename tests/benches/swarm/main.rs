//! What building costs, measured on the real daemons, the real Postgres and the real Redis of this machine, over
//! loopback. `make bench` runs all of it; standard output is JSON, one object per line.
//!
//! | bench | what |
//! |---|---|
//! | [`roots`] | a clean root, made, entered and removed; a look of the watchdog |
//! | [`overhead`] | a swarm build beside plain `emerge --buildpkgonly`, in the same box |
//! | [`resolve`] | from the start of a run to its plan, beside `emerge --pretend` |
//! | [`rebuild`] | from a claim to the compiler, after a change of one line |
//!
//! Each also says how much memory the daemons hold at its start and at its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod overhead;
mod rebuild;
mod resolve;
mod roots;

pub(crate) use common::{host, processes, report};
use std::process::ExitCode;

const NAMES: [&str; 4] = ["roots", "resolve", "rebuild", "overhead"];

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
            "roots" => roots::run().await,
            "resolve" => resolve::run().await,
            "rebuild" => rebuild::run().await,
            _ => overhead::run().await,
        }
    }
    ExitCode::SUCCESS
}
