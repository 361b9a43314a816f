//! The machines of a swarm over SSH: which there are, what is on them, what should be, and how it gets there.
//!
//! | module | what |
//! |---|---|
//! | [`topology`] | `fleet.toml`: the machines, how each is reached, what it is for |
//! | [`ssh`] | OpenSSH's own client as a library: connect, run a script, say what went wrong |

pub mod ssh;
pub mod topology;
