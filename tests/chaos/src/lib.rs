//! Chaos: whole swarms with scripted builds, faults from a seed, and the proof afterwards that nothing was lost.
//!
//! ```text
//! seed ─▶ work (a graph) ─┐
//!      └▶ fault ─▶ act ───┴▶ world: two orchestrators behind a load balancer, binhost, Postgres, Redis, five drones,
//!                                   each at a node of the wire ─▶ storm ─▶ recovery ─▶ verdict
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`storm`] | one seed from begin to end |
//! | [`fault`], [`act`], [`work`], [`script`] | what happens, from the seed. Pure |
//! | [`world`], [`postgres`], [`balance`] | the processes |
//! | [`wire`] | the network between them |
//! | [`journal`] | what drones note of their own life |
//! | [`verdict`] | what must be true afterwards |
//!
//! The seed decides the work, the drones' tempers, the faults and their times. The processes are real and run on a real
//! clock: a seed repeats a storm, not each single step in it.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness panics where a test would: that is how it fails"
)]

pub mod act;
pub mod balance;
pub mod fault;
pub mod journal;
pub mod postgres;
pub mod script;
pub mod storm;
pub mod verdict;
pub mod wire;
pub mod work;
pub mod world;
