//! What stands in this machine's cron tables about `swarm nightly`, and what comes of it: as the daemon reads it that
//! really runs here.
//!
//! | module | what |
//! |---|---|
//! | [`daemon`] | which cron daemon runs, and where it looks |
//! | [`rules`] | which files it reads at all |
//! | [`vixie`], [`dcron`], [`fcron`] | tables in its dialect |
//! | [`schedule`] | when a line is due |
//! | [`command`] | whether a line starts a nightly update |
//! | [`systemd`] | timers |
//! | [`accounts`] | the accounts of this machine |
//! | [`survey`] | all of that together |

mod accounts;
mod command;
mod daemon;
mod dcron;
mod fcron;
mod rules;
mod schedule;
mod survey;
mod systemd;
mod table;
mod vixie;

#[cfg(test)]
pub(crate) use command::Call;
pub(crate) use survey::{Entry, Outcome, Runs, Survey, survey};
