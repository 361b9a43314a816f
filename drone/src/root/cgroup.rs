//! Control groups, version 2: the kernel itself limits and counts what a build uses.
//!
//! ```text
//! the group in which the drone was started     +cpu +memory +pids, +io where there is one
//! ├── drone                                    the drone and its supervisor: a group with controllers for its children holds no process
//! └── builds                                   likewise
//!     └── ATTEMPT-STEP                         one command: memory.max, pids.max, cpu.max
//! ```
//!
//! That wants a group of the drone's own with these controllers, as OpenRC makes one for every service with
//! `rc_cgroup_mode="unified"`, and systemd with `Delegate=yes`. Controllers that the host keeps in version 1 are left alone.
//! The files are those of the kernel's `admin-guide/cgroup-v2.rst`.

use super::guard::{Excess, Totals};
use crate::limits::Limits;
use anyhow::{Context, ensure};
use std::fs;
use std::io;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Controllers without which a limit would not hold.
const NEEDED: &[&str] = &["cpu", "memory", "pids"];
/// Counts bytes read and written.
const IO: &str = "io";

/// How long a killed group may take to be empty: its processes are in the kernel's hands already.
const EMPTY_LIMIT: Duration = Duration::from_secs(2);

/// The group below which every command gets one.
#[derive(Clone, Debug)]
pub struct Cgroups {
    builds: PathBuf,
}

/// Says whether builds can have groups here, without changing anything.
pub fn check() -> anyhow::Result<()> {
    delegated(&own()?).map(drop)
}

/// Moves this process, and its supervisor, one level down, and makes a place for builds beside it.
pub fn take() -> anyhow::Result<Cgroups> {
    let own = own()?;
    let controllers = delegated(&own)?;
    let group = own.join("drone");
    make(&group)?;
    for id in processes(&own)? {
        fs::write(group.join("cgroup.procs"), &id)
            .with_context(|| format!("cannot move process {id} into {}", group.display()))?;
    }
    Cgroups::below(&own, &controllers)
}

/// The group of this process, and the one above it where [`take`] has moved it down in a former life.
fn own() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let path = place(&mounts, &groups).context("no cgroup v2 is mounted")?;
    let taken = path.ends_with("drone") && path.with_file_name("builds").exists();
    Ok(if taken { path.with_file_name("") } else { path })
}

/// Where the mounts (proc(5), `mountinfo`) and the membership (cgroups(7)) say that a process is.
fn place(mounts: &str, groups: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(mount).join(group.trim_start_matches('/')))
}

/// The controllers that a group can give to its children.
fn delegated(group: &Path) -> anyhow::Result<Vec<&'static str>> {
    let text = fs::read_to_string(group.join("cgroup.controllers"))
        .with_context(|| format!("{} is no cgroup v2", group.display()))?;
    let has = |name: &&&str| text.split_whitespace().any(|word| word == **name);
    let missing: Vec<_> = NEEDED.iter().filter(|name| !has(name)).copied().collect();
    ensure!(missing.is_empty(), "cgroup v2 offers no {} here", missing.join(", "));
    // Only the root has no type. Its children belong to whoever runs the host.
    ensure!(group.join("cgroup.type").exists(), "the drone is in the root cgroup, not in one of its own");
    // A supervisor is of the same service.
    let service = [std::process::id().to_string(), parent_id().to_string()];
    let others = processes(group)?.iter().filter(|id| !service.contains(id)).count();
    ensure!(others == 0, "the drone shares its cgroup with {others} other processes");
    Ok(NEEDED.iter().chain([&IO]).filter(has).copied().collect())
}

fn processes(group: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_to_string(group.join("cgroup.procs"))?.lines().map(str::to_owned).collect())
}

fn make(group: &Path) -> anyhow::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the cgroup {}", group.display()))
        }
        _ => Ok(()),
    }
}

impl Cgroups {
    /// Below `group`, whose processes have gone elsewhere; ends what a former process left there.
    pub fn below(group: &Path, controllers: &[&str]) -> anyhow::Result<Self> {
        let builds = group.join("builds");
        make(&builds)?;
        for entry in fs::read_dir(&builds)?.flatten().filter(|entry| entry.path().is_dir()) {
            drop(Group(entry.path()));
        }
        let words: Vec<_> = controllers.iter().map(|name| format!("+{name}")).collect();
        for group in [group, &builds] {
            fs::write(group.join("cgroup.subtree_control"), words.join(" "))
                .with_context(|| format!("cannot give {} to {}", words.join(" "), group.display()))?;
        }
        Ok(Self { builds })
    }

    /// A group for one command.
    pub fn group(&self, name: &str, limits: &Limits) -> anyhow::Result<Group> {
        let path = self.builds.join(name);
        make(&path)?;
        let group = Group(path);
        for (file, text) in settings(limits) {
            let file = group.0.join(file);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(group)
    }
}

/// What is written into a group's files. All of the group is killed at once: without one of its children a build is
/// nothing, and what the others still print hides why.
fn settings(limits: &Limits) -> [(&'static str, String); 4] {
    [
        ("memory.max", limits.memory_bytes.to_string()),
        ("memory.oom.group", "1".to_owned()),
        ("pids.max", limits.processes.to_string()),
        ("cpu.max", format!("{} 100000", u64::from(limits.cores) * 100_000)),
    ]
}

/// One command's group; what is left in it is killed when it is dropped.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Group {
    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What its processes have used.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let cpu = self.read("cpu.stat");
        let io = self.read("io.stat");
        let seconds = |key| Duration::from_micros(value(&cpu, key)).as_secs_f64();
        let peak = self.read("memory.peak").trim().parse().unwrap_or_default();
        Totals {
            user_seconds: seconds("user_usec"),
            system_seconds: seconds("system_usec"),
            peak_memory_bytes: peak,
            read_bytes: sum(&io, "rbytes="),
            written_bytes: sum(&io, "wbytes="),
        }
    }

    /// Which limit it met.
    #[must_use]
    pub fn excess(&self, limits: &Limits) -> Option<Excess> {
        let memory = self.read("memory.events");
        let killed = value(&memory, "oom_kill") > 0;
        match (killed, value(&memory, "oom") > 0) {
            (true, true) => Some(Excess::Memory { limit: limits.memory_bytes }),
            (true, false) => Some(Excess::Machine),
            _ if value(&self.read("pids.events"), "max") > 0 => {
                Some(Excess::Processes { limit: limits.processes })
            }
            _ => None,
        }
    }

    /// Kills all that is in it (Linux 5.14).
    pub fn kill(&self) {
        // An older kernel has no such file; the death of the namespace's first process does as well.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let begun = Instant::now();
        while begun.elapsed() < EMPTY_LIMIT {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::yield_now(),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(cgroup = %self.0.display(), %error, "cannot remove a cgroup");
                    return;
                }
                _ => return,
            }
        }
        tracing::warn!(cgroup = %self.0.display(), "a cgroup is not empty yet; the next start removes it");
    }
}

/// A value of a flat keyed file: `KEY VALUE` lines.
fn value(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// The sum over all devices of a nested keyed file: `8:0 rbytes=1 wbytes=2 …`.
fn sum(text: &str, key: &str) -> u64 {
    text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn finds_the_group_of_a_process() {
        let mounts =
            "25 1 0:22 / /proc rw - proc proc rw\n31 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 none rw\n";
        let place = place(mounts, "4:memory:/x\n0::/openrc.build-drone\n").unwrap();
        assert_eq!(place, Path::new("/sys/fs/cgroup/openrc.build-drone"));
        assert_eq!(super::place("25 1 0:22 / /proc rw - proc proc rw\n", "0::/\n"), None);
    }

    #[test]
    fn reads_the_kernels_files() {
        assert_eq!(value("oom 0\noom_kill 3\noom_group_kill 1\n", "oom_kill"), 3);
        assert_eq!(value("oom 2\n", "oom_kill"), 0);
        let io = "8:16 rbytes=1459200 wbytes=314773504 rios=192\n8:0 rbytes=800 wbytes=496\n";
        assert_eq!((sum(io, "rbytes="), sum(io, "wbytes=")), (1_460_000, 314_774_000));
    }

    #[test]
    fn the_limits_in_the_kernels_words() {
        let limits = Limits { processes: 64, ..Limits::of_machine(1000, 2) };
        let text: Vec<_> = settings(&limits).iter().map(|(file, text)| format!("{file}: {text}")).collect();
        assert_eq!(
            text,
            ["memory.max: 900", "memory.oom.group: 1", "pids.max: 64", "cpu.max: 200000 100000"]
        );
    }

    /// The kernel's own files, as far as this host's controllers go: processor time and killing need none.
    #[test]
    fn a_group_counts_and_kills() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let Some(root) = place(&mounts, "0::/") else {
            eprintln!("no cgroup v2 is mounted: nothing is tested");
            return;
        };
        let own = root.join(format!("build-drone-test-{}", std::process::id()));
        if fs::create_dir(&own).is_err() {
            eprintln!("no cgroup can be made in {}: nothing is tested", root.display());
            return;
        }
        let groups = Cgroups::below(&own, &[]).unwrap();
        let path = groups.builds.join("7-build");
        fs::create_dir(&path).unwrap();
        let group = Group(path.clone());
        let spinning = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        let mut spinning = spinning.unwrap();
        fs::write(path.join("cgroup.procs"), spinning.id().to_string()).unwrap();
        let begun = Instant::now();
        while group.totals().user_seconds < 0.05 {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", group.totals());
            std::thread::yield_now();
        }
        group.kill();
        spinning.wait().unwrap();
        drop(group);
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        Cgroups::below(&own, &[]).unwrap();
        assert!(!path.exists(), "what a former process left is removed");
        fs::remove_dir(groups.builds).unwrap();
        fs::remove_dir(own).unwrap();
    }
}
