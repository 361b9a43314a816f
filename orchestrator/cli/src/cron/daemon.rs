//! Which cron daemon runs, by its process and not by the name of a service, and where it looks for tables.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A cron daemon, known by its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Daemon {
    /// Vixie's cron, as Debian has it.
    Debian,
    Cronie,
    Bcron,
    Dcron,
    Fcron,
}

impl Daemon {
    /// By the name of the process and, since three of them are called `crond`, by what its program says of itself.
    fn identify(name: &str, program: &[u8]) -> Option<Self> {
        match name {
            "cron" => Some(Self::Debian),
            "fcron" => Some(Self::Fcron),
            "bcron-sched" => Some(Self::Bcron),
            // What dcron logs when it starts, and what `crond -V` of cronie prints.
            "crond" if contains(program, "dillon's cron daemon") => Some(Self::Dcron),
            "crond" if contains(program, "cronie ") => Some(Self::Cronie),
            _ => None,
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "cron",
            Self::Cronie => "cronie",
            Self::Bcron => "bcron",
            Self::Dcron => "dcron",
            Self::Fcron => "fcron",
        })
    }
}

/// A place where a daemon looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// A file, or a directory of files.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) holds: Holds,
}

/// Whose commands a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Each line names its account.
    System,
    /// Root's.
    Root,
    /// Those of the account that the file is named after.
    Accounts,
    /// The same, beside what fcron has made of each: it reads only that.
    Compiled,
}

/// A daemon that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which.
    pub(crate) daemon: Daemon,
    /// Its process.
    pub(crate) pid: u32,
    /// Where it looks.
    pub(crate) sources: Vec<Source>,
}

/// The daemons that run on this machine, one of a kind, and processes that have the name of one and are not known.
pub(crate) fn running() -> (Vec<Running>, Vec<String>) {
    let (mut known, mut unknown) = (Vec::<Running>::new(), vec![]);
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids.into_iter().filter(|pid| is_of_this_machine(*pid)) {
        let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) else { continue };
        let name = name.trim_end();
        let program = if name == "crond" { program_of(pid) } else { vec![] };
        match Daemon::identify(name, &program) {
            // Its children have its name before they become what they run.
            Some(daemon) if known.iter().any(|one| one.daemon == daemon) => {}
            Some(daemon) => {
                known.push(Running { daemon, pid, sources: sources(daemon, &program, &arguments(pid)) });
            }
            None if name == "crond" => unknown.push(format!("{name} (process {pid})")),
            None => {}
        }
    }
    (known, unknown)
}

/// Daemons in containers have tables of their own. Where the question is not allowed, the answer is yes.
fn is_of_this_machine(pid: u32) -> bool {
    let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    space(&pid.to_string()).is_none_or(|theirs| space("self").is_none_or(|ours| ours == theirs))
}

/// The program that runs, whatever has been installed in its place since; another account's can only be read where it lies.
fn program_of(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/exe")).or_else(|_| fs::read("/usr/sbin/crond")).unwrap_or_default()
}

fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What is compiled into Debian's, dcron's and, on Gentoo, cronie's.
const CRONTABS: &str = "/var/spool/cron/crontabs";

fn sources(daemon: Daemon, program: &[u8], arguments: &[String]) -> Vec<Source> {
    let source = |path: &str, holds| Source { path: path.into(), holds };
    let system = || vec![source("/etc/crontab", Holds::System), source("/etc/cron.d", Holds::System)];
    match daemon {
        Daemon::Debian => [system(), vec![source(CRONTABS, Holds::Accounts)]].concat(),
        Daemon::Cronie => {
            let spool = if contains(program, CRONTABS) { CRONTABS } else { "/var/spool/cron" };
            [system(), vec![source(spool, Holds::Accounts)]].concat()
        }
        // What bcron-update copies here, and crontab(1) puts here.
        Daemon::Bcron => vec![source(CRONTABS, Holds::Accounts)],
        Daemon::Dcron => vec![
            source(option(arguments, "-s").unwrap_or("/etc/cron.d"), Holds::Root),
            source(option(arguments, "-c").unwrap_or(CRONTABS), Holds::Accounts),
        ],
        Daemon::Fcron => {
            let file = option(arguments, "-c").unwrap_or("/etc/fcron/fcron.conf");
            let settings = fs::read_to_string(file).unwrap_or_default();
            vec![source(&fcrontabs(&settings), Holds::Compiled)]
        }
    }
}

/// `-s DIR` or `-sDIR`.
fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|word| word.starts_with(name))?;
    match &arguments[at][name.len()..] {
        "" => arguments.get(at + 1).map(String::as_str),
        value => Some(value),
    }
}

/// fcron.conf(5).
fn fcrontabs(settings: &str) -> String {
    let setting = settings.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "fcrontabs").then(|| value.trim().to_owned())
    });
    setting.unwrap_or_else(|| "/var/spool/fcron".to_owned())
}

/// Where tables stand, whichever daemon reads them.
pub(crate) fn well_known() -> Vec<PathBuf> {
    ["/etc/crontab", "/etc/cron.d", CRONTABS, "/var/spool/cron", "/var/spool/fcron"]
        .map(Path::new)
        .map(Into::into)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_programs_have_one_name() {
        let by = |name: &str, program: &str| Daemon::identify(name, program.as_bytes());
        assert_eq!(by("crond", "x\0cronie 1.7.2\0y"), Some(Daemon::Cronie));
        assert_eq!(by("crond", "%s 4.5 dillon's cron daemon, started with"), Some(Daemon::Dcron));
        assert_eq!(by("crond", "BusyBox v1.36"), None);
        assert_eq!(by("cron", ""), Some(Daemon::Debian));
        assert_eq!(by("cronolog", ""), None);
    }

    #[test]
    fn where_a_daemon_looks_is_in_its_program_or_its_arguments() {
        let paths = |daemon, program: &str, arguments: &[&str]| -> Vec<String> {
            let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
            let sources = sources(daemon, program.as_bytes(), &arguments);
            sources.iter().map(|source| source.path.display().to_string()).collect()
        };
        assert_eq!(paths(Daemon::Cronie, "", &[]).last().unwrap(), "/var/spool/cron");
        assert_eq!(paths(Daemon::Cronie, "\0/var/spool/cron/crontabs\0", &[]).last().unwrap(), CRONTABS);
        assert_eq!(paths(Daemon::Dcron, "", &["crond", "-s", "/a", "-c/b"]), ["/a", "/b"]);
        assert_eq!(fcrontabs("# x\nfcrontabs = /srv/fcron\n"), "/srv/fcron");
        assert_eq!(fcrontabs(""), "/var/spool/fcron");
    }
}
