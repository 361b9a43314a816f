//! How good the queue is: `make bench-queue`, JSON lines. All but the first two are on the real daemons, the real Postgres
//! and the real Redis of this machine, over loopback; drones build in no time, or in the time that a bench says.
//!
//! | bench | what |
//! |---|---|
//! | [`schedule`] | makespans of the scheduler by the bound that no schedule can beat, on real and generated graphs |
//! | [`plan`] | how long one plan takes |
//! | [`hand_off`] | from "a package is ready" to "a waiting drone holds the claim" |
//! | [`throughput`] | packages per second through HTTP, beside pgbench with the same SQL, and pgmq |
//! | [`snapshot`] | the same while somebody holds a snapshot of the database open |
//! | [`idle`] | what a thousand drones cost that have nothing to do, and a hand-off among them |
//! | [`scaling`] | how much of their time drones build, by their number |
//! | [`stealing`] | how long an idle drone waits for a package that another holds |
//! | [`recovery`] | from a power cut of three drones to their work in other hands |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a bench fails")]

#[path = "../common/mod.rs"]
mod common;
mod graphs;
mod hand_off;
mod idle;
mod pgbench;
mod pgmq;
mod plan;
mod plans;
mod recovery;
mod scaling;
mod schedule;
mod snapshot;
mod statements;
mod stealing;
mod throughput;

pub(crate) use common::{host, processes, report};
use std::process::ExitCode;

const NAMES: [&str; 9] =
    ["schedule", "plan", "hand-off", "throughput", "snapshot", "idle", "scaling", "stealing", "recovery"];

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
            "schedule" => schedule::run(),
            "plan" => plan::run(),
            "hand-off" => hand_off::run().await,
            "throughput" => throughput::run().await,
            "snapshot" => snapshot::run().await,
            "idle" => idle::run().await,
            "scaling" => scaling::run().await,
            "stealing" => stealing::run().await,
            _ => recovery::run().await,
        }
    }
    ExitCode::SUCCESS
}
