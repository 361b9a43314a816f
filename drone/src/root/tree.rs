//! The processes of a command: the tree below the process that we started.
//!
//! Inside a pid namespace, whoever loses its parent gets the namespace's first process for one. So the tree is the
//! namespace, and nothing that a build does takes a process out of it. It is read from the host's `/proc`, which builds
//! cannot cover.

use std::collections::HashMap;
use std::fs;

/// A process, as `/proc/PID/stat` tells it (proc(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// Clock ticks in user mode, its waited-for children's included.
    pub user_ticks: u64,
    /// Clock ticks in the kernel, likewise.
    pub system_ticks: u64,
    /// Its threads.
    pub threads: u64,
    /// Pages in memory, those that it shares included.
    pub resident_pages: u64,
}

/// The process `root`, and all that descend from it.
#[must_use]
pub fn below(root: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let text = |id| fs::read_to_string(format!("/proc/{id}/stat")).ok();
    tree(root, ids.filter_map(|id| stat(id, &text(id)?)))
}

fn tree(root: u32, all: impl Iterator<Item = (u32, Process)>) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    let mut found = Vec::new();
    for (parent, process) in all {
        if process.id == root {
            found.push(process);
        } else {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.id).unwrap_or_default());
        next += 1;
    }
    found
}

/// The parent and the process. The name, in parentheses, may hold anything; what follows it begins with field 3.
fn stat(id: u32, text: &str) -> Option<(u32, Process)> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let process = Process {
        id,
        user_ticks: field(14)? + field(16)?,
        system_ticks: field(15)? + field(17)?,
        threads: field(20)?,
        resident_pages: field(24)?,
    };
    Some((fields.get(1)?.parse().ok()?, process))
}

/// Clock ticks of processor time of a tree. They fall when a process dies unwaited; whoever wants growth keeps the maximum.
#[must_use]
pub fn ticks(root: u32) -> u64 {
    below(root).iter().map(|process| process.user_ticks + process.system_ticks).sum()
}

/// Bytes of memory of a process, with its part of what it shares. The kernel walks its page tables for that: some
/// milliseconds per gigabyte.
#[must_use]
pub fn proportional_bytes(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// Bytes that a process and its waited-for children read from and wrote to disks.
#[must_use]
pub fn disk_bytes(id: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
    let value = |key| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0);
    (value("read_bytes:"), value("write_bytes:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_with_any_name() {
        let line = "42 (a) b) S 7 1 1 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 3 0 99 8192 17 1";
        let process = Process { id: 42, user_ticks: 40, system_ticks: 60, threads: 3, resident_pages: 17 };
        assert_eq!(stat(42, line), Some((7, process)));
    }

    #[test]
    fn a_tree_and_nothing_else() {
        let process = |id| Process { id, ..Process::default() };
        let all = [(10, 11), (1, 10), (11, 5), (1, 20), (20, 21)].map(|(parent, id)| (parent, process(id)));
        let ids: Vec<_> = tree(10, all.into_iter()).iter().map(|process| process.id).collect();
        assert_eq!(ids, [10, 11, 5]);
    }

    #[test]
    fn sees_itself() {
        let own = std::process::id();
        let found = below(own);
        assert!(found[0].id == own && found[0].threads > 0 && found[0].resident_pages > 0);
        assert!(proportional_bytes(own) > 0);
    }
}
