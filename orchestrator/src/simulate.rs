//! `build-orchestrator simulate`: the production scheduler on a graph and a fleet that do not exist, in no time.
//!
//! Builds take what the graph says, times a noise that the scheduler does not know, and may fail; a failed one is tried
//! again by the production retry rule. What is drawn for a package depends on the seed and the package alone, so that
//! policies are compared on the same luck.

pub mod engine;
pub mod graph;
pub mod report;

pub use engine::{Fleet, Luck, simulate};
pub use graph::Graph;
pub use report::Report;
