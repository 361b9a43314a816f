//! A fleet: boxes with sshd and OpenRC, a key that they take, their pinned host keys, and a topology of them.

use crate::cli::{self, Said};
use crate::machines::Machine;
use crate::process::binary;
use crate::swarm::Swarm;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Boxes that a person deploys to.
pub struct Fleet {
    /// The files of whoever deploys: topology, key, known hosts, template, programs.
    pub files: PathBuf,
    /// The machines, by name.
    pub machines: Vec<(String, Machine)>,
}

/// What the drones of a fleet are configured with; `GATE` is where a test holds `swarm-test/slow`.
const TEMPLATE: &str = r#"# {{name}} of {{site}}
name = "{{name}}"
orchestrator_url = "{{orchestrator_url}}"
token_file = "/etc/build-swarm/drone.token"
base_root = "/var/lib/swarm-base"
shutdown_patience_seconds = 30

[[bind]]
source = "/var/db/repos/swarm-box"
target = "/var/db/repos/swarm-box"

[[bind]]
source = "/var/cache/swarm-mirror"
target = "/var/cache/swarm-mirror"

[[bind]]
source = "/var/cache/swarm-gate"
target = "/var/cache/swarm-gate"
"#;

impl Fleet {
    /// Machines of these names, with nothing of ours on them.
    #[must_use]
    pub fn new(swarm: &Swarm, names: &[&str]) -> Self {
        Self::with(swarm, names, &[])
    }

    /// The same, with these directories bound into each, as `FROM:TO`.
    #[must_use]
    pub fn with(swarm: &Swarm, names: &[&str], binds: &[String]) -> Self {
        let files = swarm.path().join("fleet");
        fs::create_dir_all(files.join("programs")).unwrap();
        fs::create_dir(files.join("gate")).unwrap();
        key(&files.join("key"));
        fs::write(files.join("drone.toml.in"), TEMPLATE).unwrap();
        let mut fleet = Self { files, machines: Vec::new() };
        for name in names {
            let machine = fleet.machine(name, binds);
            fleet.machines.push(((*name).to_owned(), machine));
        }
        fleet.program("build-drone", &stripped("build-drone"));
        fleet.write(swarm, "");
        fleet
    }

    fn machine(&self, name: &str, binds: &[String]) -> Machine {
        let gate = format!("{}:/var/cache/swarm-gate:ro", self.files.join("gate").display());
        Machine::node(name, &self.files.join("key.pub"), &[&[gate], binds].concat())
    }

    /// Writes the topology and the known hosts; `more` is the topology's end.
    pub fn write(&self, swarm: &Swarm, more: &str) {
        let mut topology = format!(
            "orchestrator_url = \"{}\"\nbinhost_url = \"{}\"\nprograms = \"programs\"\n\
             config = {{ drone = \"drone.toml.in\" }}\n\
             [ssh]\nuser = \"root\"\nkey = \"key\"\nknown_hosts = \"known_hosts\"\n",
            swarm.url(),
            swarm.binhost_url()
        );
        let mut hosts = String::new();
        for (weight, (name, machine)) in self.machines.iter().enumerate() {
            let ip = machine.ip();
            write!(
                topology,
                "[[node]]\nname = \"{name}\"\naddress = \"{ip}\"\nos = \"debian\"\nweight = {weight}\n\
                 trusted = true\n"
            )
            .unwrap();
            writeln!(hosts, "{ip} {}", host_key(machine)).unwrap();
        }
        fs::write(self.files.join("fleet.toml"), topology + more).unwrap();
        fs::write(self.files.join("known_hosts"), hosts).unwrap();
    }

    /// Says of the last machine what else the topology has to, and writes a template of its configuration.
    pub fn last_is(&self, swarm: &Swarm, node: &str, template: (&str, &str)) {
        self.write(swarm, node);
        fs::write(self.files.join(template.0), template.1).unwrap();
    }

    /// Puts a program where it is deployed from.
    pub fn program(&self, name: &str, bytes: &[u8]) {
        fs::write(self.files.join("programs").join(name), bytes).unwrap();
    }

    /// The machine of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> &Machine {
        &self.machines.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// `swarm fleet …` with this topology.
    #[must_use]
    pub fn command(&self, swarm: &Swarm, line: &str) -> Command {
        let mut command = cli::command(swarm, &format!("fleet {line}"));
        command.env("SWARM_FLEET", self.files.join("fleet.toml"));
        // Of the user's own files there are none, and PATH leads to ssh.
        command.env("PATH", "/usr/bin:/bin").env("HOME", &self.files);
        command
    }

    /// Types a line.
    pub async fn types(&self, swarm: &Swarm, line: &str) -> Said {
        let mut command = self.command(swarm, line);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }
}

/// The public host key of a machine, as `known_hosts` has it.
#[must_use]
pub fn host_key(machine: &Machine) -> String {
    let text = fs::read_to_string(machine.root().join("etc/ssh/ssh_host_ed25519_key.pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Makes a pair of keys.
pub fn key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
}

/// A program of this workspace without what only a debugger reads.
#[must_use]
pub fn stripped(name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    let stripped = Command::new("strip").arg("-o").arg(&file).arg(binary(name)).status();
    assert!(stripped.unwrap().success());
    fs::read(file).unwrap()
}
