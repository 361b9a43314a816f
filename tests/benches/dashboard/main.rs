//! What the dashboard costs: `make bench-dashboard`, JSON lines. On the real daemons, the real Postgres and the real Redis of
//! this machine, over loopback.
//!
//! | bench | what |
//! |---|---|
//! | [`pages`] | milliseconds and bytes of each page at 5,000 packages and 100 drones, and of a log of 100 MB; `swarm status` beside curl |
//! | [`viewers`] | what 500 open dashboards take of the machine, and of the queue, while 20 drones build |
//! | [`screenshots`] | `make screenshots`: the main pages as pictures, in a real browser |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod pages;
mod screenshots;
mod viewers;

pub(crate) use common::{host, processes, report};
use std::process::ExitCode;

const NAMES: [&str; 3] = ["pages", "viewers", "screenshots"];

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = match common::wanted(&NAMES) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    common::allow_many_files();
    report::line(&host::machine());
    report::line(&host::services().await);
    for name in wanted {
        match name {
            "pages" => pages::run().await,
            "viewers" => viewers::run().await,
            _ => screenshots::run().await,
        }
    }
    ExitCode::SUCCESS
}
