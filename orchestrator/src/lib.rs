//! The orchestrator: API, queue, scheduler, maintenance.

pub mod alarms;
pub mod api;
pub mod app;
pub mod claim;
pub mod claim_lock;
pub mod config;
pub mod db;
pub mod definitions;
pub mod distrust;
pub mod embedded;
pub mod enter;
pub mod graph;
pub mod heartbeat;
pub mod history;
pub mod lost;
pub mod machine;
pub mod maintenance;
pub mod planner;
pub mod promote;
pub mod receive;
pub mod republish;
pub mod resolve;
pub mod scheduler;
pub mod server;
pub mod succession;
pub mod wake;
