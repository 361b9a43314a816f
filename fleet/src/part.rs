//! What a role is made of on a machine: a program, its service, its configuration.

use crate::topology::Role;

/// One daemon.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose it is.
    pub role: Role,
    /// The program, and the service.
    pub name: &'static str,
    /// Where the program is.
    pub program: &'static str,
    /// Where its configuration is.
    pub config: &'static str,
    /// Its OpenRC script.
    pub init_script: &'static str,
    /// The settings of that script: the machine's own, once they are there.
    pub conf_d: &'static str,
    /// Its systemd unit.
    pub unit: &'static str,
    /// The word that makes it a daemon.
    pub verb: &'static str,
    /// The account that it runs as.
    pub account: &'static str,
    /// Where it keeps its files, unless its configuration's `state_dir` or `directory` says otherwise.
    pub state_dir: &'static str,
}

macro_rules! part {
    ($role:ident, $name:literal, $verb:literal, $account:literal, $config:literal) => {
        Part {
            role: Role::$role,
            name: concat!("build-", $name),
            program: concat!("/usr/bin/build-", $name),
            config: $config,
            init_script: include_str!(concat!("../../openrc/init.d/build-", $name)),
            conf_d: include_str!(concat!("../../openrc/conf.d/build-", $name)),
            unit: include_str!(concat!("../../systemd/build-", $name, ".service")),
            verb: $verb,
            account: $account,
            state_dir: concat!("/var/lib/build-", $name),
        }
    };
}

static ORCHESTRATOR: Part =
    part!(Orchestrator, "orchestrator", "serve", "build-orchestrator", "/etc/build-swarm/orchestrator.toml");
static BINHOST: Part = part!(Binhost, "binhost", "serve", "build-binhost", "/etc/build-swarm/binhost.toml");
static DRONE: Part = part!(Drone, "drone", "run", "root", "/etc/build-swarm/drone.toml");

impl Part {
    /// What a role runs; nothing, on a workstation.
    #[must_use]
    pub fn of(role: Role) -> Option<&'static Self> {
        match role {
            Role::Orchestrator => Some(&ORCHESTRATOR),
            Role::Binhost => Some(&BINHOST),
            Role::Drone => Some(&DRONE),
            Role::Workstation => None,
        }
    }
}
