//! Targets, runs, packages, drones, events, tokens: what people and scripts see and do.

mod definition;
mod drone;
mod event;
mod generation;
mod nightly;
mod notify;
mod package;
mod repair;
mod run;
mod status;
mod target;
mod token;
mod why;

pub use definition::*;
pub use drone::*;
pub use event::*;
pub use generation::*;
pub use nightly::*;
pub use notify::*;
pub use package::*;
pub use repair::*;
pub use run::*;
pub use status::*;
pub use target::*;
pub use token::*;
pub use why::*;
