//! What the drone tells about its machine, from /proc.

use chrono::{DateTime, Utc};
use std::path::Path;
use swarm_protocol::Digest;
use swarm_protocol::host_key::HostKey;

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

/// What its clock says.
#[must_use]
pub fn clock() -> Option<DateTime<Utc>> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    DateTime::from_timestamp(now.tv_sec, u32::try_from(now.tv_nsec).ok()?)
}

/// The machine's public ssh host key; none where there is no such file.
pub fn host_key(file: &Path) -> anyhow::Result<Option<HostKey>> {
    use anyhow::Context;
    match std::fs::read_to_string(file) {
        Ok(text) => text.parse().map(Some).with_context(|| file.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// The digest of the program that runs; none where it cannot be read.
#[must_use]
pub fn program() -> Option<Digest> {
    // The file that was started, even if another one has its name now.
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open("/proc/self/exe").ok()?).ok()?;
    Some(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_sshd_has_no_host_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(host_key(file.path()).is_err());
        let gone = file.path().to_owned();
        drop(file);
        assert_eq!(host_key(&gone).unwrap(), None);
    }

    #[test]
    fn the_program_is_the_one_that_runs() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(program(), Some(Digest::of(&own)));
    }

    #[test]
    fn reads_proc() {
        assert_eq!(meminfo("MemTotal:  2 kB\nMemAvailable: 1 kB\n", "MemAvailable:"), 1024);
        let (total, free) = memory();
        assert!(total > free && free > 0 && disk_free(Path::new("/")) > 0);
    }
}
