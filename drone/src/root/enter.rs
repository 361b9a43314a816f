//! `build-drone __enter --spec FILE`: mounts the overlay where nobody else sees it, and becomes bwrap.
//!
//! It runs before any thread is started, since a mount namespace is a thread's own.

use super::bwrap;
use super::spec::{Confinement, Spec};
use anyhow::{Context, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CpuSet, UnshareFlags, sched_getaffinity, sched_setaffinity};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The exit status that says: the root could not be entered. Neither emerge nor bwrap uses it.
pub const CANNOT_ENTER: u8 = 119;

/// Enters the root that the file describes; returns only on failure.
pub fn enter(file: &Path) -> anyhow::Result<Infallible> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let spec: Spec = serde_json::from_slice(&text).context("the spec is not of the expected form")?;
    die_with(spec.parent)?;
    confine(&spec.confinement)?;
    if spec.live {
        return run(&spec.command);
    }
    private_mounts().context("cannot make a mount namespace; is this root?")?;
    overlay(&spec).context("cannot mount the overlay")?;
    if spec.command.network {
        resolver(&spec.merged)?;
    }
    let error = Command::new("bwrap").args(bwrap::arguments(&spec)).exec();
    Err(error).context("cannot run bwrap")
}

/// Becomes the command, without a root of its own.
fn run(command: &super::Command) -> anyhow::Result<Infallible> {
    let (program, arguments) = command.argv.split_first().context("there is nothing to run")?;
    let error =
        Command::new(program).args(arguments).env_clear().envs(&command.environment).current_dir("/").exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}

/// Asks for SIGKILL when the drone dies, and makes sure that it has not died before the asking.
fn die_with(parent: u32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        bail!("the drone that asked for this is gone");
    }
    Ok(())
}

/// Takes the limits upon this process; what it starts inherits them.
fn confine(confinement: &Confinement) -> anyhow::Result<()> {
    if let Some(cgroup) = &confinement.cgroup {
        let file = cgroup.join("cgroup.procs");
        std::fs::write(&file, "0").with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(cores) = confinement.cores {
        sched_setaffinity(None, &first(&sched_getaffinity(None)?, cores.into()))?;
    }
    let limit = |bytes| Rlimit { current: bytes, maximum: bytes };
    setrlimit(Resource::Core, limit(Some(0)))?;
    if confinement.file_bytes.is_some() {
        setrlimit(Resource::Fsize, limit(confinement.file_bytes))?;
    }
    // A machine without memory shall lose the build and not the drone. Where it is forbidden, nothing depends on it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    Ok(())
}

/// The first `count` of these processors.
fn first(all: &CpuSet, count: usize) -> CpuSet {
    let mut few = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).take(count).for_each(|cpu| few.set(cpu));
    few
}

fn private_mounts() -> rustix::io::Result<()> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of UnshareFlags::FILES, not asked for here"
    )]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
}

/// mount(2) takes a page of options, and leaves out what is beyond it without a word.
const OPTIONS: usize = 4096;

/// `index=off`: the layers are mounted once per command, and the former mount may still be on its way out.
fn overlay(spec: &Spec) -> anyhow::Result<()> {
    let lower: Vec<_> = spec.lower.iter().map(|layer| layer.display().to_string()).collect();
    let [upper, work] = [&spec.upper, &spec.work].map(|path| path.display());
    let options = format!("lowerdir={},upperdir={upper},workdir={work},index=off", lower.join(":"));
    if options.len() >= OPTIONS {
        bail!("the paths are too long for mount(2), which takes {OPTIONS} bytes: {options}");
    }
    let options = CString::new(options)?;
    mount("overlay", &spec.merged, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
    Ok(())
}

/// Gives the root the host's resolver. A link is replaced: it may lead into a `/run` that is empty here.
fn resolver(root: &Path) -> anyhow::Result<()> {
    let target = root.join("etc/resolv.conf");
    if let Ok(text) = std::fs::read("/etc/resolv.conf") {
        if target.symlink_metadata().is_ok() {
            std::fs::remove_file(&target)?;
        }
        std::fs::write(target, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processors_of_those_that_are_allowed() {
        let mut all = CpuSet::new();
        for cpu in [1, 4, 6] {
            all.set(cpu);
        }
        let two = first(&all, 2);
        assert!(two.count() == 2 && two.is_set(1) && two.is_set(4));
        assert_eq!(first(&all, 9).count(), 3);
    }
}
