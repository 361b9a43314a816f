//! What the binhost costs, beside Portage's own tools and nginx in the same run, on this machine, over loopback.
//! `make bench-binhost` runs all of it; standard output is JSON, one object per line.
//!
//! | bench | what |
//! |---|---|
//! | [`reindex`] | `build-binhost reindex` beside `emaint binhost --fix`, small packages and large ones |
//! | [`signing`] | staging packages of three sizes with and without signing |
//! | [`stage`] | one package added to a staged index of 20,000, beside Portage's own `inject` |
//! | [`promote`] | a generation of 2,500 packages prepared and switched to, forth and back, among 50 readers |
//! | [`upload`] | uploads of 20 KiB, 1 MiB and 1 GiB beside BLAKE3 and the disk alone; the binhost's memory |
//! | [`serving`] | requests a second and their slowest, beside nginx on the same files |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod load;
mod nginx;
mod noise;
mod promote;
mod reindex;
mod serving;
mod signing;
mod site;
mod stage;
mod upload;

use common::{host, report};
use std::process::ExitCode;

const NAMES: [&str; 6] = ["reindex", "stage", "promote", "signing", "upload", "serving"];

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = match common::wanted(&NAMES) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    report::line(&host::machine());
    for name in wanted {
        match name {
            "reindex" => reindex::run(),
            "stage" => stage::run().await,
            "promote" => promote::run().await,
            "signing" => signing::run().await,
            "upload" => upload::run().await,
            _ => serving::run().await,
        }
    }
    ExitCode::SUCCESS
}
