//! The state machines, pure: what may happen to a package and its attempt, to a run, to a drone.
//!
//! Each has one enum of transitions, one function that judges a transition against the rows that a lock protects,
//! and no clock, no database, no randomness. `db::transition` applies them in transactions; the model in
//! `tests/claim_model.rs` explores the very same functions exhaustively.

pub mod blame;
pub mod drone;
pub mod package;
pub mod repair;
pub mod retry;
pub mod run;
