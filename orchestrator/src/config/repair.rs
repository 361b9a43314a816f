//! `[repair]`.

use crate::machine::repair::Rules;
use anyhow::{Result, ensure};
use chrono::TimeDelta;
use serde::Deserialize;
use std::path::PathBuf;

/// `[repair]`: what is done about silent drones whose nodes the topology says may be repaired.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repair {
    /// The fleet's topology: how each node is reached, and how far it may be repaired. It is read anew all the time.
    pub topology: PathBuf,
    /// The private key, for which every node knows one command: see `build-drone repair`.
    pub key_file: PathBuf,
    /// The nodes' pinned host keys.
    pub known_hosts: PathBuf,
    /// Only say, as events, what would be done.
    pub dry_run: bool,
    /// How long a drone is silent before anything is done, in seconds; at least twice the grace time.
    pub window_seconds: u32,
    /// How long after a step the drone has to be heard, in seconds; longer than `ssh_seconds`.
    pub recovery_seconds: u32,
    /// The pause after the first step, in seconds; it doubles with each further one.
    pub first_pause_seconds: u32,
    /// The longest pause, in seconds.
    pub longest_pause_seconds: u32,
    /// How long a person is waited for who is asked about a reboot, in seconds.
    pub confirmation_seconds: u32,
    /// How long a node may take to answer, in seconds.
    pub ssh_seconds: u32,
    /// How many restarts fail before a reboot.
    pub restarts_before_reboot: usize,
    /// Restarts of one drone within a day.
    pub restarts_per_day: usize,
    /// Reboots of one machine within a day.
    pub reboots_per_day: usize,
}

impl Default for Repair {
    fn default() -> Self {
        Self {
            topology: PathBuf::new(),
            key_file: PathBuf::new(),
            known_hosts: PathBuf::new(),
            dry_run: false,
            window_seconds: 600,
            recovery_seconds: 300,
            first_pause_seconds: 300,
            longest_pause_seconds: 21_600,
            confirmation_seconds: 86_400,
            ssh_seconds: 120,
            restarts_before_reboot: 3,
            restarts_per_day: 6,
            reboots_per_day: 1,
        }
    }
}

impl Repair {
    /// The ladder's rules.
    #[must_use]
    pub fn rules(&self, grace_seconds: u32) -> Rules {
        let seconds = |seconds: u32| TimeDelta::seconds(seconds.into());
        Rules {
            grace: seconds(grace_seconds),
            window: seconds(self.window_seconds),
            recovery: seconds(self.recovery_seconds),
            first_pause: seconds(self.first_pause_seconds),
            longest_pause: seconds(self.longest_pause_seconds),
            confirmation: seconds(self.confirmation_seconds),
            restarts_before_reboot: self.restarts_before_reboot,
            restarts_per_day: self.restarts_per_day,
            reboots_per_day: self.reboots_per_day,
        }
    }

    pub(super) fn check(&self, grace_seconds: u32) -> Result<()> {
        for (name, path) in
            [("topology", &self.topology), ("key_file", &self.key_file), ("known_hosts", &self.known_hosts)]
        {
            ensure!(path.is_absolute(), "repair.{name} must be an absolute path");
        }
        for (name, seconds) in [
            ("first_pause_seconds", self.first_pause_seconds),
            ("confirmation_seconds", self.confirmation_seconds),
            ("ssh_seconds", self.ssh_seconds),
        ] {
            ensure!(seconds > 0, "repair.{name} must be above 0");
        }
        // Else a drone is judged before it shows that its whole site fell silent with it.
        ensure!(
            self.window_seconds >= grace_seconds.saturating_mul(2),
            "repair.window_seconds ({}) must be at least twice times.grace_seconds ({grace_seconds})",
            self.window_seconds
        );
        // Else a step counts as lost before its node has answered.
        ensure!(
            self.recovery_seconds > self.ssh_seconds,
            "repair.recovery_seconds ({}) must be above repair.ssh_seconds ({})",
            self.recovery_seconds,
            self.ssh_seconds
        );
        ensure!(
            self.longest_pause_seconds >= self.first_pause_seconds,
            "repair.longest_pause_seconds must not be below first_pause_seconds"
        );
        ensure!(self.restarts_before_reboot > 0, "repair.restarts_before_reboot must be above 0");
        Ok(())
    }
}
