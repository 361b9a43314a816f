//! How good the queue is: `make bench-queue`, JSON lines.
//!
//! | bench | what |
//! |---|---|
//! | [`schedule`] | makespans of the scheduler by the bound that no schedule can beat, on real and generated graphs |
//! | [`plan`] | how long one plan takes |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod graphs;
mod plan;
mod schedule;

pub(crate) use common::{host, report};
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted = match common::wanted(&["schedule", "plan"]) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    report::line(&host::machine());
    for name in wanted {
        match name {
            "schedule" => schedule::run(),
            _ => plan::run(),
        }
    }
    ExitCode::SUCCESS
}
