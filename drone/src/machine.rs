//! What the drone tells about its machine, from /proc.

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
        let (total, free) = memory();
        assert!(total > free && free > 0 && disk_free(Path::new("/")) > 0);
    }
}
