//! What the drone tells about its machine, from /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Bytes of memory: in the machine, available now.
#[must_use]
pub fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (meminfo(&text, "MemTotal:"), meminfo(&text, "MemAvailable:"))
}

fn meminfo(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// Bytes free on the file system of `path`; 0 where it cannot be said.
#[must_use]
pub fn disk_free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}

/// The one-minute load average.
#[must_use]
pub fn load() -> f32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Clock ticks of processor time of the process `root` and of all that descend from it, their waited-for children
/// included. It falls when a process dies unwaited; whoever wants growth keeps the maximum.
#[must_use]
pub fn processor_ticks(root: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let stats: BTreeMap<u32, (u32, u64)> =
        pids.filter_map(|pid| Some((pid, parent_and_ticks(&stat(pid)?)?))).collect();
    tree_ticks(root, &stats)
}

fn tree_ticks(root: u32, stats: &BTreeMap<u32, (u32, u64)>) -> u64 {
    let mut tree = BTreeSet::from([root]);
    let mut grown = true;
    while grown {
        let before = tree.len();
        tree.extend(
            stats
                .iter()
                .filter(|(_, (parent, _))| tree.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        grown = tree.len() > before;
    }
    tree.iter().filter_map(|pid| stats.get(pid)).map(|(_, ticks)| ticks).sum()
}

/// proc(5): after the parenthesised name, fields 4 (ppid) and 14 to 17 (utime, stime, cutime, cstime).
fn parent_and_ticks(stat: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

/// The machine's id: the one line of `file`.
pub fn id(file: &Path) -> anyhow::Result<String> {
    use anyhow::Context;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = text.trim();
    anyhow::ensure!(!id.is_empty(), "{} is empty", file.display());
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(meminfo("MemTotal:  2 kB\nMemAvailable: 1 kB\n", "MemAvailable:"), 1024);
        let stat = "42 (a) b) S 7 1 1 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0";
        assert_eq!(parent_and_ticks(stat), Some((7, 100)));
        let (total, free) = memory();
        assert!(total > free && free > 0 && disk_free(Path::new("/")) > 0);
    }

    #[test]
    fn a_tree_and_nothing_else() {
        let stats = [(10, (1, 1)), (11, (10, 2)), (5, (11, 4)), (20, (1, 8))].into();
        assert_eq!(tree_ticks(10, &stats), 7);
    }
}
