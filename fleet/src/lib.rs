//! The machines of a swarm over SSH: which there are, what is on them, what should be, and how it gets there.
//!
//! Pure cores with thin shells: what a machine says becomes [`facts`], what shall be there is [`desired`], and [`plan`] and
//! [`preflight`] are functions of the two.
//!
//! | module | what |
//! |---|---|
//! | [`topology`] | `fleet.toml`: the machines, how each is reached, what it is for |
//! | [`ssh`] | OpenSSH's own client as a library: connect, run a script, say what went wrong |
//! | [`part`] | what a role is made of: program, service, configuration |
//! | [`content`], [`template`] | bytes by their hash; configuration with places to fill in |
//! | [`desired`] | what shall be on a machine |
//! | [`facts`] | what is there, in one round trip |
//! | [`plan`] | what has to be done. Pure |
//! | [`preflight`] | whether the machine is fit. Pure |
//! | [`survey`] | all of this for all machines at once |
//! | [`swarm`] | the orchestrator's word: who builds what, who is back |
//! | [`lock`] | one deploy at a time on a machine |
//! | [`deploy`] | doing it, and taking it back |
//! | [`force`] | a drone's last resort |
//! | [`status`] | how machines differ from what shall be there. Pure |
//! | [`trouble`] | why something is not done on a machine |

pub mod content;
pub mod deploy;
pub mod desired;
pub mod facts;
pub mod force;
pub mod lock;
pub mod part;
pub mod plan;
pub mod preflight;
pub mod ssh;
pub mod status;
pub mod survey;
pub mod swarm;
pub mod template;
pub mod topology;
pub mod trouble;
