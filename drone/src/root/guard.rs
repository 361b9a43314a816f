//! Watches over a build: what it uses, and whether that is too much.
//!
//! | limit | with cgroup v2 | without: the watchdog |
//! |---|---|---|
//! | memory | `memory.max` | memory of the process tree, looked at a few times a second |
//! | processes | `pids.max` | threads of the process tree, likewise |
//! | processors | `cpu.max` | the affinity of the first process |
//! | disk | the watchdog | bytes below the root's upper layer and the PKGDIR, and `RLIMIT_FSIZE` for a single file |
//!
//! What the watchdog finds too much is killed. It looks cheaply: resident pages, which count what processes share once for
//! each, are the upper bound; only where that is beyond the limit, or has grown by an eighth, is the exact sum taken.

use super::cgroup::Group;
use super::{disk, tree};
use crate::emerge::Step;
use crate::limits::Limits;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use swarm_protocol::drone::{Phases, Usage};
use tokio::time::Instant;

/// Between two looks at the processes.
const INTERVAL: Duration = Duration::from_millis(200);
/// A look costs at most this part of the time.
const COST_DIVISOR: u32 = 50;

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// More memory than this many bytes.
    Memory {
        /// The limit.
        limit: u64,
    },
    /// More processes and threads than this.
    Processes {
        /// The limit.
        limit: u64,
    },
    /// More bytes on disk than this.
    Disk {
        /// The limit.
        limit: u64,
    },
    /// The machine itself had no memory left, and the kernel chose the build.
    Machine,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes >> 20;
        match self {
            Self::Memory { limit } => write!(f, "it used more than {} MiB of memory", mebibytes(*limit)),
            Self::Processes { limit } => write!(f, "it ran more than {limit} processes and threads"),
            Self::Disk { limit } => write!(f, "it wrote more than {} MiB", mebibytes(*limit)),
            Self::Machine => f.write_str("the machine ran out of memory"),
        }
    }
}

/// What processes have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Processor time in user mode.
    pub user_seconds: f64,
    /// Processor time in the kernel.
    pub system_seconds: f64,
    /// The most memory at one time.
    pub peak_memory_bytes: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
}

impl Totals {
    /// After another command.
    #[must_use]
    fn and(self, next: Self) -> Self {
        Self {
            user_seconds: self.user_seconds + next.user_seconds,
            system_seconds: self.system_seconds + next.system_seconds,
            peak_memory_bytes: self.peak_memory_bytes.max(next.peak_memory_bytes),
            read_bytes: self.read_bytes + next.read_bytes,
            written_bytes: self.written_bytes + next.written_bytes,
        }
    }

    /// As seen at another moment of the same command: sums fall when a process dies unwaited.
    #[must_use]
    fn or(self, other: Self) -> Self {
        Self {
            user_seconds: self.user_seconds.max(other.user_seconds),
            system_seconds: self.system_seconds.max(other.system_seconds),
            peak_memory_bytes: self.peak_memory_bytes.max(other.peak_memory_bytes),
            read_bytes: self.read_bytes.max(other.read_bytes),
            written_bytes: self.written_bytes.max(other.written_bytes),
        }
    }
}

/// The limits of one attempt, and what its commands have used.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    ended: Totals,
    running: Totals,
    ran: bool,
    sampled: bool,
    fetch: Duration,
    install: Duration,
    build: Duration,
    phases: Phases,
}

impl Guard {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, used: Mutex::default() }
    }

    /// What the build may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What its commands have used; nothing when none was run.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let used = *self.used();
        let totals = used.ended.and(used.running);
        used.ran.then_some(Usage {
            sampled: used.sampled,
            user_seconds: totals.user_seconds,
            system_seconds: totals.system_seconds,
            peak_memory_bytes: totals.peak_memory_bytes,
            read_bytes: totals.read_bytes,
            written_bytes: totals.written_bytes,
            fetch_seconds: used.fetch.as_secs_f64(),
            install_seconds: used.install.as_secs_f64(),
            build_seconds: used.build.as_secs_f64(),
            phases: used.phases,
        })
    }

    /// A step took this long.
    pub fn took(&self, step: Step, time: Duration) {
        let mut used = self.used();
        match step {
            Step::Sources | Step::Fetch => used.fetch += time,
            Step::Install | Step::Check => used.install += time,
            Step::Build => used.build += time,
        }
    }

    /// The ebuild's phases took this long.
    pub fn phases_took(&self, phases: Phases) {
        self.used().phases = phases;
    }

    /// Returns when the command whose first process is `id`, and which writes into `places`, uses too much.
    pub(super) async fn excess(&self, id: u32, places: Vec<PathBuf>, group: Option<&Group>) -> Excess {
        let mut look = Look {
            id: group.is_none().then_some(id),
            limits: self.limits,
            disk: self.limits.disk_bytes.map(|limit| disk::Meter::new(places, limit)),
            exact_at: 0,
            totals: Totals::default(),
        };
        loop {
            let begun = Instant::now();
            // Away from the threads that must not wait. It fails only when the process ends.
            let Ok((next, found)) = tokio::task::spawn_blocking(move || look.once()).await else {
                return std::future::pending().await;
            };
            look = next;
            if group.is_none() {
                self.saw(true, look.totals);
            }
            if let Some(excess) = found {
                return excess;
            }
            tokio::time::sleep(INTERVAL.max(begun.elapsed() * COST_DIVISOR)).await;
        }
    }

    /// The command has ended.
    pub(super) fn ended(&self, group: Option<&Group>) {
        if let Some(group) = group {
            self.saw(false, group.totals());
        }
        let mut used = self.used();
        used.ended = used.ended.and(std::mem::take(&mut used.running));
    }

    fn saw(&self, sampled: bool, totals: Totals) {
        let mut used = self.used();
        (used.ran, used.sampled) = (true, sampled);
        used.running = used.running.or(totals);
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watchdog's eyes.
struct Look {
    /// The first process of the tree; none where the kernel counts.
    id: Option<u32>,
    limits: Limits,
    disk: Option<disk::Meter>,
    /// The resident bytes at which the exact sum was last taken.
    exact_at: u64,
    totals: Totals,
}

impl Look {
    fn once(mut self) -> (Self, Option<Excess>) {
        let processes = self.id.and_then(|id| self.processes(id));
        let limit = self.limits.disk_bytes.unwrap_or(u64::MAX);
        let disk = || self.disk.as_mut().is_some_and(disk::Meter::exceeded).then_some(Excess::Disk { limit });
        let found = processes.or_else(disk);
        (self, found)
    }

    fn processes(&mut self, id: u32) -> Option<Excess> {
        let tree = tree::below(id);
        let Limits { memory_bytes, processes, .. } = self.limits;
        let sum = |value: fn(&tree::Process) -> u64| tree.iter().map(value).sum::<u64>();
        let disk = tree.iter().map(|process| tree::disk_bytes(process.id));
        let (read_bytes, written_bytes) = disk.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        self.totals = self.totals.or(Totals {
            user_seconds: seconds(sum(|process| process.user_ticks)),
            system_seconds: seconds(sum(|process| process.system_ticks)),
            peak_memory_bytes: 0,
            read_bytes,
            written_bytes,
        });
        if sum(|process| process.threads) > processes {
            return Some(Excess::Processes { limit: processes });
        }
        let resident = sum(|process| process.resident_pages) * rustix::param::page_size() as u64;
        if resident <= memory_bytes && resident <= self.exact_at + self.exact_at / 8 {
            return None;
        }
        self.exact_at = self.exact_at.max(resident);
        let exact = tree.iter().map(|process| tree::proportional_bytes(process.id)).sum();
        self.totals.peak_memory_bytes = self.totals.peak_memory_bytes.max(exact);
        (exact > memory_bytes).then_some(Excess::Memory { limit: memory_bytes })
    }
}

#[expect(clippy::cast_precision_loss, reason = "fifty million years of ticks are exact")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(seconds: f64, peak_memory_bytes: u64) -> Totals {
        Totals { user_seconds: seconds, peak_memory_bytes, ..Totals::default() }
    }

    #[test]
    fn commands_add_up_and_moments_do_not() {
        let guard = Guard::new(Limits::of_machine(1, 1));
        assert!(guard.usage().is_none(), "nothing ran");
        for moment in [totals(1.0, 70), totals(3.0, 60), totals(2.0, 10)] {
            guard.saw(true, moment);
        }
        guard.ended(None);
        guard.saw(true, totals(4.0, 5));
        guard.took(Step::Check, Duration::from_secs(2));
        guard.took(Step::Install, Duration::from_secs(3));
        let usage = guard.usage().unwrap();
        assert_eq!((usage.user_seconds, usage.peak_memory_bytes, usage.install_seconds), (7.0, 70, 5.0));
    }

    fn look(limits: Limits) -> Option<Excess> {
        let look =
            Look { id: Some(std::process::id()), limits, disk: None, exact_at: 0, totals: Totals::default() };
        let (look, found) = look.once();
        assert!(look.totals.peak_memory_bytes > 0 || found.is_some());
        found
    }

    #[test]
    fn the_watchdog_sees_this_very_process() {
        let machine = Limits::of_machine(1 << 40, 1);
        assert_eq!(look(machine), None);
        assert_eq!(look(Limits { memory_bytes: 1, ..machine }), Some(Excess::Memory { limit: 1 }));
        assert_eq!(look(Limits { processes: 1, ..machine }), Some(Excess::Processes { limit: 1 }));
    }
}
