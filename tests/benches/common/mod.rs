//! What both benches need: the machine, and the form of a report.
#![allow(dead_code, reason = "neither bench needs all of it")]

pub(crate) mod host;
pub(crate) mod report;
