//! Machines in which real Portage runs: boxes (`tests/gentoo-box`), drones in them, and a workstation.

use crate::process::{Process, binary};
use crate::swarm::{Settings, Swarm, target};
use crate::wait;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use swarm_protocol::binhost::Provided;
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::TargetName;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The address of the host on the boxes' network.
pub const HOST: [u8; 4] = [10, 88, 0, 1];

/// Makes the boxes' network, if there is none.
pub fn network() {
    boxes_ok(&["net", "up"]);
}

fn boxes(arguments: &[&str]) -> Output {
    let command = Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/box");
    Command::new(command).args(arguments).output().unwrap()
}

fn boxes_ok(arguments: &[&str]) -> String {
    let output = boxes(arguments);
    assert!(output.status.success(), "box {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A running box, taken down at the end.
pub struct Machine {
    name: String,
}

impl Machine {
    /// Starts a machine with the root `base` (a compiler) or `workstation` (none).
    #[must_use]
    pub fn up(kind: &str, root: &str, binds: &[String]) -> Self {
        Self::up_with(kind, &["--root", root], binds)
    }

    /// Starts a machine with an sshd that lets root in with the key whose public half is in that file.
    #[must_use]
    pub fn server(kind: &str, authorized_key: &Path, binds: &[String]) -> Self {
        let key = authorized_key.to_str().unwrap();
        Self::up_with(kind, &["--root", "base", "--sshd", "--authorized-key", key], binds)
    }

    /// Starts a machine with OpenRC and an sshd, to which that file of authorized keys leads.
    #[must_use]
    pub fn node(kind: &str, authorized_keys: &Path, binds: &[String]) -> Self {
        let keys = authorized_keys.to_str().unwrap();
        Self::up_with(kind, &["--root", "base", "--sshd", "--openrc", "--authorized-key", keys], binds)
    }

    /// Starts a machine whose Portage, and whose base root's, is an older one (`OLDER_PORTAGE_VERSION`).
    #[must_use]
    pub fn older(kind: &str, root: &str, binds: &[String]) -> Self {
        Self::up_with(kind, &["--root", root, "--older"], binds)
    }

    fn up_with(kind: &str, options: &[&str], binds: &[String]) -> Self {
        let name = format!("{kind}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut arguments = [&["up", &name], options].concat();
        for bind in binds {
            arguments.extend(["--bind", bind]);
        }
        boxes_ok(&arguments);
        Self { name }
    }

    /// Runs a command in it.
    #[must_use]
    pub fn run(&self, command: &[&str]) -> Output {
        boxes(&[&["exec", &self.name, "--"], command].concat())
    }

    /// Runs a command that must succeed, and returns what it printed.
    #[must_use]
    pub fn ok(&self, command: &[&str]) -> String {
        let output = self.run(command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}\n{text}\n{error}", output.status);
        text
    }

    /// Sets it up to install what a binhost has signed, as a person does.
    pub fn trust(&self, binhost: &str, target: &TargetName) {
        let _ = self.ok(&["sh", &self.trust_script(), &format!("{binhost}/binhost/{target}")]);
    }

    /// The path of `binhost/trust-binhost` in it.
    #[must_use]
    pub fn trust_script(&self) -> String {
        const SCRIPT: &str = include_str!("../../binhost/trust-binhost");
        fs::write(self.root().join("root/trust-binhost"), SCRIPT).unwrap();
        "/root/trust-binhost".to_owned()
    }

    /// Starts a command in it; the process ends with the machine, or with the test.
    #[must_use]
    pub fn spawn(&self, command: &[&str], log: &Path) -> Process {
        let mut outer = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/box"));
        outer.args(["exec", &self.name, "--"]).args(command);
        Process::start(&mut outer, log)
    }

    /// Installs the drone's service as a package would, with the program and the configuration of [`DroneMachine`].
    fn install_service(&self) {
        let root = self.root();
        let openrc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openrc/init.d/build-drone");
        // Debian's OpenRC knows no output_logger.
        let settings = "config=/etc/build-swarm/drone.toml\noutput_log=/etc/build-swarm/log\nerror_log=/etc/build-swarm/log\n";
        fs::create_dir_all(root.join("etc/conf.d")).unwrap();
        fs::copy(openrc, root.join("etc/init.d/build-drone")).unwrap();
        fs::write(root.join("etc/conf.d/build-drone"), settings).unwrap();
        let _ = self.ok(&["ln", "-s", "/opt/build-swarm/build-drone", "/usr/bin/build-drone"]);
        let _ = self.ok(&["rc-update", "add", "build-drone", "default"]);
    }

    /// A line of `known_hosts` for it.
    #[must_use]
    pub fn known_host(&self) -> String {
        let key = fs::read_to_string(self.root().join("etc/ssh/ssh_host_ed25519_key.pub")).unwrap();
        format!("{} {key}", self.ip())
    }

    /// What changes with each start.
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.ok(&["cat", "/proc/sys/kernel/random/boot_id"])
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> String {
        boxes_ok(&["ip", &self.name])
    }

    /// Its files, as the host sees them.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        boxes_ok(&["root", &self.name]).into()
    }

    /// Pulls its network cable.
    pub fn cut(&self) {
        boxes_ok(&["cut", &self.name]);
    }

    /// Plugs it in again.
    pub fn join(&self) {
        boxes_ok(&["join", &self.name]);
    }

    /// Takes its power.
    pub fn power_off(&self) {
        boxes_ok(&["off", &self.name]);
    }

    /// Gives it power again; its disk is as it was.
    pub fn power_on(&self) {
        boxes_ok(&["start", &self.name]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        boxes(&["down", &self.name]);
    }
}

/// A swarm whose daemons the boxes can reach.
pub async fn reachable_swarm(settings: Settings) -> Swarm {
    network();
    Swarm::start_with(Settings { address: HOST.into(), ..settings }).await
}

/// A real drone on a machine of its own.
pub struct DroneMachine {
    /// The machine.
    pub machine: Machine,
    /// The daemon, while it runs.
    pub daemon: Option<Process>,
    /// Its name.
    pub name: String,
    /// Where it prints.
    pub log: PathBuf,
}

/// What a drone's machine has of the host.
#[derive(Clone, Copy, Default)]
pub struct Place<'a> {
    /// The directory by which the test holds `swarm-test/slow`.
    pub gate: Option<&'a Path>,
    /// The ebuild repository, where it is not the box's own.
    pub repository: Option<&'a Path>,
    /// A shell script that prepares the machine before the drone starts there.
    pub prepare: Option<&'a str>,
    /// The base root, where it is not the box's own.
    pub base_root: Option<&'a str>,
    /// Whether its Portage, and its base root's, is an older one.
    pub older: bool,
    /// The file of keys that root is reached with; then the drone is a service of OpenRC's.
    pub authorized_keys: Option<&'a Path>,
    /// More fields of the drone's configuration.
    pub fields: &'a str,
    /// The end of the drone's configuration: what builds may use.
    pub limits: &'a str,
}

impl DroneMachine {
    /// A machine with an enrolled drone that runs.
    pub async fn start(swarm: &Swarm, name: &str, gate: &Path) -> Self {
        Self::start_at(swarm, name, Place { gate: Some(gate), ..Place::default() }).await
    }

    /// The same on a machine of one's own making.
    pub async fn start_at(swarm: &Swarm, name: &str, place: Place<'_>) -> Self {
        let files = swarm.path().join(name);
        fs::create_dir(&files).unwrap();
        fs::write(files.join("join-token"), swarm.join_token().await).unwrap();
        let config = format!(
            r#"
name = "{name}"
orchestrator_url = "{}"
token_file = "/etc/build-swarm/token"
base_root = "{}"
machine_id_file = "/etc/machine-id"
shutdown_patience_seconds = 30
{}

[[bind]]
source = "/var/db/repos/swarm-box"
target = "/var/db/repos/swarm-box"

[[bind]]
source = "/var/cache/swarm-mirror"
target = "/var/cache/swarm-mirror"
"#,
            swarm.url(),
            place.base_root.unwrap_or("/var/lib/swarm-base"),
            place.fields
        );
        let mut config = config;
        let programs = binary("build-drone");
        let mut binds = vec![
            format!("{}:/etc/build-swarm", files.display()),
            format!("{}:/opt/build-swarm:ro", programs.parent().unwrap().display()),
        ];
        if let Some(gate) = place.gate {
            config.push_str(
                "[[bind]]\nsource = \"/var/cache/swarm-gate\"\ntarget = \"/var/cache/swarm-gate\"\n",
            );
            binds.push(format!("{}:/var/cache/swarm-gate:ro", gate.display()));
        }
        config.push_str(place.limits);
        binds.extend(place.repository.map(bound_repository));
        fs::write(files.join("drone.toml"), config).unwrap();
        let machine = match place.authorized_keys {
            Some(keys) => Machine::node(name, keys, &binds),
            None if place.older => Machine::older(name, "base", &binds),
            None => Machine::up(name, "base", &binds),
        };
        if let Some(script) = place.prepare {
            let _ = machine.ok(&["sh", "-ec", script]);
        }
        let enrol = ["/opt/build-swarm/build-drone", "enrol", "--config", "/etc/build-swarm/drone.toml"];
        let _ = machine.ok(&[&enrol[..], &["--join-token-file", "/etc/build-swarm/join-token"]].concat());
        let log = swarm.path().join(format!("{name}.log"));
        let mut drone = Self { machine, daemon: None, name: name.to_owned(), log };
        if place.authorized_keys.is_some() {
            drone.machine.install_service();
            let _ = drone.machine.ok(&["rc-service", "build-drone", "start"]);
        } else {
            drone.start_daemon();
        }
        wait::until(30, "the drone to be online", async || {
            let drones = swarm.admin.drones().await.ok()?;
            let drone = drones.into_iter().find(|drone| drone.name == name)?;
            (drone.state == swarm_protocol::state::DroneState::Online).then_some(())
        })
        .await;
        drone
    }

    /// Starts the daemon.
    pub fn start_daemon(&mut self) {
        let run = ["/opt/build-swarm/build-drone", "run", "--config", "/etc/build-swarm/drone.toml"];
        self.daemon = Some(self.machine.spawn(&run, &self.log));
    }

    /// The epoch of its base root.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let epoch =
            ["/opt/build-swarm/build-drone", "epoch", "--config", "/etc/build-swarm/drone.toml", "--json"];
        let answer: serde_json::Value = serde_json::from_str(&self.machine.ok(&epoch)).unwrap();
        serde_json::from_value(answer["epoch"].clone()).unwrap()
    }
}

/// Where [`base_with`] makes a base root.
pub const OTHER_BASE: &str = "/var/lib/build-drone/other/base";

/// A script for [`Place::prepare`] that makes a base root which has these packages installed: an overlay over the box's
/// own.
#[must_use]
pub fn base_with(atoms: &str) -> String {
    format!(
        "mkdir -p {OTHER_BASE} && cd {OTHER_BASE}/.. && mkdir upper work
         mount -t overlay other -o lowerdir=/var/lib/swarm-base,upperdir=upper,workdir=work base
         for dir in dev proc var/db/repos/swarm-box; do mount --rbind /$dir base/$dir; done
         chroot base emerge --oneshot {atoms}
         for dir in dev proc var/db/repos/swarm-box; do umount --lazy base/$dir; done"
    )
}

fn bound_repository(repository: &Path) -> String {
    format!("{}:/var/db/repos/swarm-box:ro", repository.display())
}

/// A copy of the ebuild repository, for a test that changes it.
#[must_use]
pub fn repository(swarm: &Swarm) -> PathBuf {
    let copy = swarm.path().join("repository");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/repo");
    let copied = Command::new("cp").arg("-r").args([&original, &copy]).status().unwrap();
    assert!(copied.success());
    copy
}

/// A workstation that installs from the swarm's binhost and has no compiler; `repository` is its ebuild repository, where
/// it is not the box's own.
#[must_use]
pub fn workstation(swarm: &Swarm, world: &str, repository: Option<&Path>) -> Machine {
    let binds: Vec<_> = repository.map(bound_repository).into_iter().collect();
    let machine = Machine::up("workstation", "workstation", &binds);
    // Portage keys its index cache by host and path: the binhost's path names the target, the port is no part of it.
    machine.trust(&swarm.binhost_url(), &target());
    fs::write(machine.root().join("var/lib/portage/world"), world).unwrap();
    machine
}

/// What every target of boxes may take for granted where a test's plan has no C library: Debian's.
#[must_use]
pub fn libc() -> Provided {
    let sonames = ["libc.so.6", "libm.so.6"].map(|name| format!("x86_64: {name}").parse().unwrap());
    Provided { packages: vec!["sys-libs/glibc-2.36".parse().unwrap()], sonames: sonames.into() }
}

/// The demonstration's world set, as a world file.
pub const WORLD: &str = include_str!("../gentoo-box/world");
