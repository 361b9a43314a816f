//! Running a command in a root: its output as it comes, its limits, its death.

use super::cgroup::{Cgroups, Group};
use super::enter::CANNOT_ENTER;
use super::{AttemptDir, Command, Confinement, Excess, Foundation, Guard, Mount, Spec, tree};
use crate::config::Config;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By a signal that we did not send.
    Signal(i32),
    /// Killed: its time was up.
    Timeout,
    /// Killed, or failed: it used too much.
    Exceeded(Excess),
    /// Killed: it was cancelled.
    Cancelled,
}

/// Where the output goes, and what limits the command.
pub struct Watch<'a> {
    /// Called with each piece of the merged standard output and error.
    pub output: &'a mut (dyn FnMut(&[u8]) + Send),
    /// Called with the process id once it runs.
    pub started: &'a mut (dyn FnMut(u32) + Send),
    /// What it may use, and who counts that; nobody where absent.
    pub guard: Option<&'a Guard>,
    /// When it is killed.
    pub deadline: Instant,
    /// Kills it.
    pub cancel: &'a CancellationToken,
}

/// Starts `build-drone __enter`.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    cgroups: Option<Cgroups>,
}

impl Launcher {
    /// One that runs this very program: by its link in /proc, since the file may be replaced while we run.
    #[must_use]
    pub fn this_program() -> Self {
        Self::of(Path::new("/proc/self/exe"))
    }

    /// One that runs the `build-drone` at `program`.
    #[must_use]
    pub fn of(program: &Path) -> Self {
        Self { program: program.to_owned(), cgroups: None }
    }

    /// The same with a cgroup for every guarded command.
    #[must_use]
    pub fn in_cgroups(self, cgroups: Cgroups) -> Self {
        Self { cgroups: Some(cgroups), ..self }
    }

    /// Runs `command` in the root at `dir` over `foundation`, with `mounts`, under the name `name`.
    ///
    /// Must be called from a thread that lives as long as the process, as tokio's workers and the main thread do: the
    /// kernel's "parent" whose death kills the command is the *thread* that started it.
    pub async fn run(
        &self,
        foundation: &Foundation,
        dir: &AttemptDir,
        name: &str,
        mounts: Vec<Mount>,
        command: &Command,
        watch: Watch<'_>,
    ) -> anyhow::Result<End> {
        let group = self.group(dir, name, watch.guard)?;
        let spec = Spec {
            parent: std::process::id(),
            lower: foundation.layers(),
            upper: dir.upper(),
            work: dir.work(),
            merged: dir.merged(),
            hostname: "build".to_owned(),
            live: foundation.is_live(),
            mounts,
            confinement: confinement(watch.guard, group.as_ref()),
            command: command.clone(),
        };
        let file = dir.spec(name);
        std::fs::write(&file, serde_json::to_vec_pretty(&spec)?)?;
        let (mut child, output) = self.spawn(&file)?;
        if let Some(id) = child.id() {
            (watch.started)(id);
        }
        let guard = watch.guard;
        let places = vec![dir.upper(), dir.packages()];
        let kill = if foundation.is_live() { Kill::Tree } else { Kill::Namespace };
        let mut end = follow(&mut child, output, watch, places, group.as_ref(), kill).await?;
        if let Some(guard) = guard {
            guard.ended(group.as_ref());
            let failed = matches!(end, End::Exit(1..) | End::Signal(_));
            if let Some(excess) = group.as_ref().and_then(|group| group.excess(guard.limits()))
                && failed
            {
                end = End::Exceeded(excess);
            }
        }
        tokio::task::spawn_blocking(move || drop(group)).await?;
        if end == End::Exit(CANNOT_ENTER.into()) {
            bail!("the build root cannot be entered; the log says why");
        }
        Ok(end)
    }

    /// Runs `command` likewise until its deadline, unless it is cancelled; gives how it ended, and the last of what it said.
    pub async fn run_quietly(
        &self,
        foundation: &Foundation,
        dir: &AttemptDir,
        name: &str,
        mounts: Vec<Mount>,
        command: &Command,
        (deadline, cancel): (Instant, &CancellationToken),
    ) -> anyhow::Result<(End, String)> {
        let mut tail = VecDeque::new();
        let watch = Watch {
            output: &mut |bytes| {
                tail.extend(bytes);
                tail.drain(..tail.len().saturating_sub(TAIL));
            },
            started: &mut |_| {},
            guard: None,
            deadline,
            cancel,
        };
        let end = self.run(foundation, dir, name, mounts, command, watch).await?;
        Ok((end, String::from_utf8_lossy(tail.make_contiguous()).into_owned()))
    }

    /// Runs a short command in a throw-away root and returns its standard output, whatever its exit status.
    pub async fn scratch(
        &self,
        config: &Config,
        foundation: &Foundation,
        name: &str,
        command: &Command,
    ) -> anyhow::Result<String> {
        let dir = AttemptDir::create(&config.state_dir.join("attempts"), &format!("scratch-{name}"))?;
        let mut command = command.clone();
        // In the live system, /tmp is everybody's.
        let below = if foundation.is_live() { dir.upper() } else { PathBuf::from("/tmp") };
        let script = format!("exec \"$@\" 2>'{}/.stderr'", below.display());
        command.argv.splice(0..0, ["sh", "-c", &script, "sh"].map(str::to_owned));
        let mut output = Vec::new();
        let watch = Watch {
            output: &mut |bytes| output.extend_from_slice(bytes),
            started: &mut |_| {},
            guard: None,
            deadline: Instant::now() + SCRATCH_LIMIT,
            cancel: &CancellationToken::new(),
        };
        let end = self.run(foundation, &dir, name, foundation.mounts().to_vec(), &command, watch).await;
        let text = String::from_utf8_lossy(&output).into_owned();
        match end {
            Ok(End::Exit(status)) if status == 0 || !text.is_empty() => Ok(text),
            end => {
                let said = if foundation.is_live() { ".stderr" } else { "tmp/.stderr" };
                let said = std::fs::read_to_string(dir.upper().join(said)).unwrap_or_default();
                bail!("{name} in a root: {end:?}: {text}{said}")
            }
        }
    }

    fn group(&self, dir: &AttemptDir, name: &str, guard: Option<&Guard>) -> anyhow::Result<Option<Group>> {
        let (Some(cgroups), Some(guard)) = (&self.cgroups, guard) else { return Ok(None) };
        cgroups.group(&format!("{}-{name}", dir.name()), guard.limits()).map(Some)
    }

    fn spawn(&self, spec: &Path) -> anyhow::Result<(Child, Receiver)> {
        // One pipe for both streams keeps their order.
        let (reader, writer) = std::io::pipe()?;
        let child = tokio::process::Command::new(&self.program)
            .arg("__enter")
            .arg("--spec")
            .arg(spec)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok((child, Receiver::from_owned_fd(reader.into())?))
    }
}

/// The part of a guard's limits that a process keeps by itself.
fn confinement(guard: Option<&Guard>, group: Option<&Group>) -> Confinement {
    let Some(limits) = guard.map(Guard::limits) else { return Confinement::default() };
    Confinement {
        cgroup: group.map(|group| group.path().to_owned()),
        cores: group.is_none().then_some(limits.cores),
        file_bytes: limits.disk_bytes,
        shared_memory_bytes: Some(limits.memory_bytes),
    }
}

/// How much of a command's output [`Launcher::run_quietly`] keeps, in bytes.
const TAIL: usize = 16 << 10;
/// How long a short command may take.
const SCRATCH_LIMIT: Duration = Duration::from_mins(2);
/// How long the output may stay open after the command is gone: its namespace dies with it, at once or nearly.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Milliseconds that a process may take to stop; in the kernel's hands, it takes none.
const STOP_TRIES: u32 = 1000;

/// Reads the output to its end. Whoever holds the pipe is in the command's namespace, so the end of the output is also
/// the end of every process there.
async fn follow(
    child: &mut Child,
    mut output: Receiver,
    watch: Watch<'_>,
    places: Vec<PathBuf>,
    group: Option<&Group>,
    kill: Kill,
) -> anyhow::Result<End> {
    let mut buffer = vec![0; 64 << 10];
    let id = child.id();
    let excess = async {
        match (watch.guard, id) {
            (Some(guard), Some(id)) => guard.excess(id, places, group).await,
            _ => std::future::pending().await,
        }
    };
    tokio::pin!(excess);
    let killed = loop {
        tokio::select! {
            count = output.read(&mut buffer) => match count? {
                0 => break None,
                count => (watch.output)(&buffer[..count]),
            },
            () = watch.cancel.cancelled() => break Some(End::Cancelled),
            () = tokio::time::sleep_until(watch.deadline) => break Some(End::Timeout),
            excess = &mut excess => break Some(End::Exceeded(excess)),
        }
    };
    if killed.is_some() {
        if let Some(id) = child.id() {
            match kill {
                Kill::Namespace => kill_children(id).await,
                Kill::Tree => kill_tree(id),
            }
        }
        if let Some(group) = group {
            group.kill();
        }
        child.start_kill()?;
        let mut sink = tokio::io::sink();
        let drain = tokio::io::copy(&mut output, &mut sink);
        // The end of the output says that all are dead; a bound, since a process in a broken driver dies never.
        let _ = tokio::time::timeout(DRAIN_LIMIT, drain).await;
    }
    let status = child.wait().await?;
    Ok(killed.unwrap_or_else(|| ended(status)))
}

/// How all of a command is killed.
#[derive(Clone, Copy)]
enum Kill {
    /// By the first process of its namespace.
    Namespace,
    /// One by one: what runs in the live system has no namespace. Whoever left its parent is not found.
    Tree,
}

/// Stops each process of the tree, so that it starts no more, until there is no other; then kills them all.
fn kill_tree(id: u32) {
    let send = |id: u32, signal| {
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    };
    let mut stopped = std::collections::BTreeSet::new();
    loop {
        let new: Vec<_> =
            tree::below(id).iter().map(|process| process.id).filter(|id| stopped.insert(*id)).collect();
        if new.is_empty() {
            break;
        }
        for id in new {
            send(id, Signal::STOP);
        }
    }
    for id in stopped {
        send(id, Signal::KILL);
    }
}

/// Kills the first process of the namespace, and all of it with that. The kernel would do so at bwrap's death, but only
/// once the child has asked for it: a bwrap that is killed right after it cloned leaves a child behind for ever. Hence it
/// is stopped first, so that it has all the children it will ever have.
async fn kill_children(id: u32) {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
    if kill_process(pid, Signal::STOP).is_err() {
        return;
    }
    for _ in 0..STOP_TRIES {
        if stat(id).is_none_or(|(state, _)| matches!(state, 'T' | 'Z')) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for child in ids.filter(|child| stat(*child).is_some_and(|(_, parent)| parent == id)) {
        if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
            // It may have ended by itself; its number is not used again before its stopped parent has waited for it.
            let _ = kill_process(child, Signal::KILL);
        }
    }
}

/// A process's state and its parent (proc(5), `/proc/pid/stat`); its name, in parentheses, may hold anything.
fn stat(id: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// bwrap reports a command that was killed as 128 and the signal.
fn ended(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code @ 129..=159), _) => End::Signal(code - 128),
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_in_both_spellings() {
        assert_eq!(ended(ExitStatus::from_raw(137 << 8)), End::Signal(9));
        assert_eq!(ended(ExitStatus::from_raw(9)), End::Signal(9));
        assert_eq!(ended(ExitStatus::from_raw(1 << 8)), End::Exit(1));
        assert_eq!(ended(ExitStatus::from_raw(0)), End::Exit(0));
    }
}
