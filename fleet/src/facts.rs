//! What is on a machine, read in one round trip: a script of ours prints `NAME=VALUE` lines, and they are parsed here.
//!
//! The script wants a POSIX shell and what every Gentoo and every busybox has. It changes nothing.

use crate::content::Hash;
use crate::desired::Desired;
use crate::ssh::{Connection, SshError};
use crate::topology::{Init, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SCRIPT: &str = include_str!("facts/gather.sh");
/// Hashing a program on a slow disk takes seconds, and two URLs may take five each.
const LIMIT: Duration = Duration::from_mins(1);
/// It is there between a change and the restart that makes it count: whoever finds it restarts.
pub const PENDING: &str = "/var/lib/build-swarm-fleet/pending";

/// What is on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Seconds since 1970 by its clock.
    pub clock: i64,
    /// `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// The architecture, as `uname -m` says it.
    pub machine: String,
    /// The kernel's release.
    pub kernel: String,
    /// Whether the account is root.
    pub root: bool,
    /// What its processors can do, in the words of `/proc/cpuinfo`.
    pub cpu_flags: BTreeSet<String>,
    /// Logical processors.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// `ID` and `ID_LIKE` of os-release(5).
    pub os: Vec<String>,
    /// The system that starts services, if it is one that we know.
    pub init: Option<Init>,
    /// Portage's version.
    pub portage: Option<String>,
    /// The version of its control groups, and with 2 their controllers.
    pub cgroup: Vec<String>,
    /// Whether the kernel has overlayfs.
    pub overlay: bool,
    /// The namespaces that the kernel has.
    pub namespaces: BTreeSet<String>,
    /// Whether bubblewrap is there.
    pub bwrap: bool,
    /// Files by path.
    pub files: BTreeMap<String, FileFact>,
    /// Files that are there, and not empty.
    pub present: BTreeSet<String>,
    /// Directories that something is to be written to.
    pub directories: BTreeMap<String, DirectoryFact>,
    /// Services by name.
    pub services: BTreeMap<String, ServiceFact>,
    /// Our daemons that run, by the program's name.
    pub processes: Vec<ProcessFact>,
    /// TCP ports that something listens on.
    pub listens: BTreeSet<u16>,
    /// Whether it reaches the orchestrator and the binhost; no word where nobody could try.
    pub reaches: BTreeMap<String, bool>,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// What is in it.
    pub hash: Hash,
    /// Its permission bits.
    pub mode: u32,
}

/// A directory, or the nearest that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryFact {
    /// Bytes free.
    pub free_bytes: u64,
    /// Whether it can be written to.
    pub writable: bool,
}

/// A service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceFact {
    /// It starts with the machine.
    pub enabled: bool,
    /// The init system says that it runs.
    pub started: bool,
    /// The account that it is to run as is there.
    pub account: bool,
}

/// A daemon that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFact {
    /// The program's name.
    pub name: String,
    /// Its process id.
    pub id: u32,
    /// Whether its program is the one that is installed now, and not one that has been replaced since.
    pub is_installed: bool,
}

/// Why nothing is known of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// It was not reached.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The script did not come to its end there.
    #[error("it cannot say what is on it (status {status}): {stderr}")]
    Script {
        /// The script's exit status.
        status: i32,
        /// What the shell there said.
        stderr: String,
    },
}

impl Facts {
    /// Asks a machine.
    pub async fn gather(
        connection: &Connection,
        topology: &Topology,
        desired: &Desired,
    ) -> Result<Self, FactsError> {
        let url = |url: &Option<String>| {
            url.as_ref().map_or_else(String::new, |url| format!("{}/healthz", url.trim_end_matches('/')))
        };
        let mut arguments = vec![url(&topology.orchestrator_url), url(&topology.binhost_url)];
        arguments.extend(Asked::of(desired).arguments());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let said = connection.script(SCRIPT, &arguments, None, LIMIT).await?;
        Self::parse(&said.stdout)
            .ok_or_else(|| FactsError::Script { status: said.status, stderr: one_line(&said.stderr) })
    }

    /// What the script printed; `None` where it did not come to its end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut facts = Self::default();
        let mut complete = false;
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key.split_once(':') {
                None if key == "end" => complete = true,
                None => facts.plain(key, value.trim()),
                Some((kind, name)) => facts.named(kind, name, value.trim()),
            }
        }
        complete.then_some(facts)
    }

    fn plain(&mut self, key: &str, value: &str) {
        let words = || value.split_whitespace().map(str::to_owned);
        let some = || (!value.is_empty()).then(|| value.to_owned());
        match key {
            "clock" => self.clock = value.parse().unwrap_or_default(),
            "machine_id" => self.machine_id = some(),
            "machine" => value.clone_into(&mut self.machine),
            "kernel" => value.clone_into(&mut self.kernel),
            "user" => self.root = value == "0",
            "flags" => self.cpu_flags = words().collect(),
            "cores" => self.cores = value.parse().unwrap_or_default(),
            "memory_kib" => self.memory_bytes = value.parse::<u64>().unwrap_or_default() * 1024,
            "os" => self.os = words().collect(),
            "init" => {
                self.init = match value {
                    "openrc" => Some(Init::Openrc),
                    "systemd" => Some(Init::Systemd),
                    _ => None,
                }
            }
            "portage" => self.portage = some(),
            "cgroup" => self.cgroup = words().collect(),
            "overlay" => self.overlay = value == "yes",
            "namespaces" => self.namespaces = words().collect(),
            "bwrap" => self.bwrap = value == "yes",
            // proc(5): the port in hexadecimal.
            "listens" => self.listens.extend(u16::from_str_radix(value, 16)),
            // A newer script's word.
            _ => {}
        }
    }

    fn named(&mut self, kind: &str, name: &str, value: &str) {
        let name = name.to_owned();
        match kind {
            "hash" => self.files.extend(Hash::parse(value).map(|hash| (name, FileFact { hash, mode: 0 }))),
            "mode" => {
                let mode = u32::from_str_radix(value, 8).unwrap_or_default();
                self.files.entry(name).and_modify(|file| file.mode = mode);
            }
            "present" => self.present.extend([name]),
            "free_kib" => {
                let free = value.parse::<u64>().unwrap_or_default() * 1024;
                self.directories.entry(name).or_default().free_bytes = free;
            }
            "writable" => self.directories.entry(name).or_default().writable = value == "yes",
            "service" => {
                let is = |word| value.split(' ').any(|said| said == word);
                let fact =
                    ServiceFact { enabled: is("enabled"), started: is("started"), account: is("account") };
                self.services.insert(name, fact);
            }
            "process" => {
                let fact = value.split_once(' ').and_then(|(id, which)| {
                    Some(ProcessFact { name, id: id.parse().ok()?, is_installed: which == "present" })
                });
                self.processes.extend(fact);
            }
            "reach" => self.reaches.extend([(name, value == "yes")]),
            _ => {}
        }
    }

    /// The machine in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { kernel, machine, cores, memory_bytes, .. } = self;
        let memory = memory_bytes >> 30;
        let portage = self
            .portage
            .as_ref()
            .map_or_else(|| "no Portage".to_owned(), |version| format!("Portage {version}"));
        let init = self.init.map_or_else(|| "an unknown init system".to_owned(), |init| init.to_string());
        let cgroup = self.cgroup.first().map_or("none", String::as_str);
        format!("Linux {kernel} {machine}, {cores} cores, {memory} GiB, {portage}, {init}, cgroup {cgroup}")
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceFact {
        self.services.get(name).copied().unwrap_or_default()
    }
}

/// What the script is asked for beyond what it always says.
#[derive(Default)]
struct Asked {
    services: Vec<String>,
    directories: Vec<String>,
    present: Vec<String>,
    files: Vec<String>,
}

impl Asked {
    fn of(desired: &Desired) -> Self {
        let mut asked = Self { present: vec![PENDING.to_owned()], ..Self::default() };
        for part in &desired.parts {
            asked.services.push(format!("{} {}", part.part.name, part.part.account));
            asked.directories.push(part.settings.state_dir.clone());
            asked.present.extend(part.settings.token_file.clone());
            asked.present.extend(part.settings.portage_directory());
            for file in &part.files {
                asked.files.push(file.path.clone());
                asked.directories.extend(directory(&file.path).map(str::to_owned));
            }
        }
        asked.directories.sort();
        asked.directories.dedup();
        asked
    }

    fn arguments(self) -> Vec<String> {
        let lists = [self.services, self.directories, self.present].map(|list| list.join("\n"));
        lists.into_iter().chain(self.files).collect()
    }
}

/// The directory of a path.
#[must_use]
pub fn directory(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// The last words of a shell, which say why.
#[must_use]
pub fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_machine_says_what_is_on_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a file");
        std::fs::write(&file, "abc").unwrap();
        let path = file.to_str().unwrap();
        let output = Command::new("sh")
            .args([
                "-c",
                SCRIPT,
                "sh",
                "",
                "",
                "nothing nobody",
                "/nowhere/at/all\n/usr",
                "/etc/passwd\n/nowhere",
                path,
                "/nowhere",
            ])
            .output()
            .unwrap();
        let facts = Facts::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert_eq!(facts.files.keys().collect::<Vec<_>>(), [path]);
        assert_eq!(facts.files[path].hash, Hash::of(b"abc"));
        assert_eq!(facts.present.iter().collect::<Vec<_>>(), ["/etc/passwd"]);
        assert!(facts.clock > 1_700_000_000 && facts.cores > 0 && facts.memory_bytes > 0, "{facts:?}");
        assert!(facts.namespaces.contains("pid") && !facts.os.is_empty() && !facts.machine.is_empty());
        assert!(facts.directories["/nowhere/at/all"].free_bytes > 0);
        assert_eq!(facts.service("nothing"), ServiceFact { account: true, ..ServiceFact::default() });
    }

    #[test]
    fn words_become_facts() {
        let hash = Hash::of(b"x");
        let text = format!(
            "clock=17\nflags=sse avx2\ninit=openrc\nuser=0\nhash:/usr/bin/build-drone={}\nmode:/usr/bin/build-drone=755\n\
             service:build-drone=enabled started\nservice:build-binhost= started\nlistens=1F90\n\
             process:build-drone=41 former\nreach:binhost=no\nfree_kib:/usr=2\nwritable:/usr=no\n\
             unheard=of\nunheard:of=too\nend=1\n",
            hash.as_str()
        );
        let facts = Facts::parse(&text).unwrap();
        assert_eq!(facts.files["/usr/bin/build-drone"], FileFact { hash, mode: 0o755 });
        assert_eq!(
            facts.service("build-drone"),
            ServiceFact { enabled: true, started: true, account: false }
        );
        assert_eq!(
            facts.service("build-binhost"),
            ServiceFact { enabled: false, started: true, account: false }
        );
        let process = ProcessFact { name: "build-drone".to_owned(), id: 41, is_installed: false };
        assert_eq!((facts.processes, facts.listens.first()), (vec![process], Some(&8080)));
        assert_eq!(facts.directories["/usr"], DirectoryFact { free_bytes: 2048, writable: false });
        assert_eq!((facts.reaches["binhost"], facts.init, facts.root), (false, Some(Init::Openrc), true));
        assert_eq!(Facts::parse("clock=17\n"), None, "the connection was lost on the way");
    }

    #[test]
    fn of_many_words_the_last() {
        assert_eq!(one_line("a\nb\n\nc\nd\n"), "b; c; d");
        assert_eq!(one_line(""), "");
    }
}
