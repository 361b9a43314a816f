//! The drone's service, as OpenRC or systemd keep it.
//!
//! A drone that hangs does not hear SIGTERM, and its service gives it an hour to finish a build: so its process is ended
//! here, with seconds to hand back what it holds, before the service is started anew. The supervisor of OpenRC goes before
//! it: one that is told to stop just after its child has died waits for that child all the same (0.45).

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a command of OpenRC or systemd may take.
const COMMAND: Duration = Duration::from_secs(45);
/// What the drone's process is told, and how long it has to end each time. The second signal means now (law 14).
const ENDING: [(Signal, Duration); 3] = [
    (Signal::TERM, Duration::from_secs(3)),
    (Signal::TERM, Duration::from_secs(2)),
    (Signal::KILL, Duration::from_secs(10)),
];
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);
/// What is searched for their commands; what sshd gives a session may be less.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The name of the drone's process.
const PROCESS: &str = "build-drone";
/// The name of OpenRC's supervisor, as the kernel cuts it (`proc_pid_comm(5)`), and how it is ended.
const SUPERVISOR: &str = "supervise-daemo";
const AT_ONCE: [(Signal, Duration); 1] = [(Signal::KILL, Duration::from_secs(10))];

/// What starts services here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// OpenRC.
    OpenRc,
    /// systemd.
    Systemd,
}

/// What went wrong, in a sentence.
#[derive(Debug)]
pub struct Fault(pub String);

impl Manager {
    /// The one that runs: `sd_booted(3)`; the runlevel that OpenRC notes when it has booted.
    #[must_use]
    pub fn running() -> Option<Self> {
        if Path::new("/run/systemd/system").is_dir() {
            Some(Self::Systemd)
        } else {
            Path::new("/run/openrc/softlevel").exists().then_some(Self::OpenRc)
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenRc => "openrc",
            Self::Systemd => "systemd",
        }
    }

    /// What it says of the service, in a word or two.
    pub async fn says(self, service: &str) -> Option<String> {
        let (_, said) = match self {
            Self::OpenRc => command("rc-service", &["--nocolor", service, "status"]).await,
            Self::Systemd => command("systemctl", &["is-active", service]).await,
        }
        .ok()?;
        let last = said.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(last.trim_start_matches([' ', '*']).trim_start_matches("status:").trim().to_owned())
    }

    /// Ends the drone's process, and starts the service.
    pub async fn restart(self, service: &str) -> Result<(), Fault> {
        let drone = self.main_process(service).await;
        if self == Self::OpenRc
            && let Some(supervisor) = supervisor(service)
        {
            end(supervisor, SUPERVISOR, &AT_ONCE).await?;
        }
        if let Some(drone) = drone {
            end(drone, PROCESS, &ENDING).await?;
        }
        match self {
            Self::OpenRc => {
                good("rc-service", &[service, "zap"]).await?;
                good("rc-service", &[service, "start"]).await
            }
            Self::Systemd => good("systemctl", &["restart", service]).await,
        }
    }

    /// Reboots the machine, in order.
    pub async fn reboot(self) -> Result<(), Fault> {
        match self {
            Self::OpenRc => good("reboot", &[]).await,
            Self::Systemd => good("systemctl", &["reboot"]).await,
        }
    }

    /// The service's main process, if it is known.
    async fn main_process(self, service: &str) -> Option<Pid> {
        let said = match self {
            Self::OpenRc => noted(service, "child_pid")?,
            Self::Systemd => {
                command("systemctl", &["show", "--property=MainPID", "--value", service]).await.ok()?.1
            }
        };
        said.trim().parse().ok().and_then(Pid::from_raw)
    }
}

/// What OpenRC notes of a service, as supervise-daemon.c writes it; `service_get_value` would read it for a service's own
/// script only.
fn noted(service: &str, option: &str) -> Option<String> {
    std::fs::read_to_string(format!("/run/openrc/options/{service}/{option}")).ok()
}

/// The service's supervisor.
fn supervisor(service: &str) -> Option<Pid> {
    let file = noted(service, "pidfile")?;
    std::fs::read_to_string(file.trim()).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

/// Ends a process, if it has that name.
async fn end(pid: Pid, comm: &str, signals: &[(Signal, Duration)]) -> Result<(), Fault> {
    // Whatever has the number once this is open keeps it: no other process is hit.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
    if name.trim_end() != comm {
        return Ok(());
    }
    for &(signal, time) in signals {
        // It may be gone already; then the wait ends at once.
        let _ = pidfd_send_signal(&process, signal);
        if timeout(time, ended(pid)).await.is_ok() {
            return Ok(());
        }
    }
    Err(Fault(format!("{comm} does not end: it waits for a disk or a network that does not answer")))
}

/// Waits until a process is gone, or dead and not yet waited for (`proc_pid_stat(5)`: its name is in parentheses).
async fn ended(pid: Pid) {
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        (!"ZX".contains(state)).then_some(())
    };
    while lives().is_some() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Runs a command that must succeed.
async fn good(program: &str, arguments: &[&str]) -> Result<(), Fault> {
    let (status, said) = command(program, arguments).await?;
    if status.success() {
        return Ok(());
    }
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Err(Fault(format!("{program} {}: {status}: {said}", arguments.join(" "))))
}

/// Runs a command; its status, and what it printed. It prints into a file: a daemon that it starts may keep a pipe open
/// for ever.
async fn command(program: &str, arguments: &[&str]) -> Result<(ExitStatus, String), Fault> {
    let fault = |error: std::io::Error| Fault(format!("{program}: {error}"));
    let mut output = File::from(
        rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| fault(error.into()))?,
    );
    let stream = || output.try_clone().map(Stdio::from).map_err(fault);
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(stream()?)
        .stderr(stream()?)
        .spawn()
        .map_err(fault)?;
    let Ok(status) = timeout(COMMAND, child.wait()).await else {
        return Err(Fault(format!(
            "{program} {} did not end within {} s",
            arguments.join(" "),
            COMMAND.as_secs()
        )));
    };
    let mut said = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut said)).map_err(fault)?;
    Ok((status.map_err(fault)?, String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, kill_process, waitpid};
    use std::process::Child;

    /// A process of the drone's name, or of another.
    fn sleeper(name: &str) -> (tempfile::TempDir, Child) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join(name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let child = std::process::Command::new(program).arg("60").spawn().unwrap();
        (directory, child)
    }

    #[tokio::test]
    async fn a_process_that_is_stopped_is_ended_all_the_same() {
        let (_directory, mut child) = sleeper(PROCESS);
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        end(pid, PROCESS, &ENDING).await.unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[tokio::test]
    async fn a_number_that_another_process_has_now_is_left_alone() {
        let (_directory, mut child) = sleeper("innocent");
        end(Pid::from_child(&child), PROCESS, &ENDING).await.unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_says_what_it_said() {
        let Fault(text) =
            good("sh", &["-c", "echo ' * no such service'; echo >&2 oh; exit 3"]).await.unwrap_err();
        assert!(text.ends_with("exit status: 3: * no such service; oh"), "{text}");
        // What it leaves behind does not hold it up.
        good("sh", &["-c", "sleep 5 &"]).await.unwrap();
    }
}
