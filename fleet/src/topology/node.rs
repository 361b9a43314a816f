//! A machine of the fleet.

use super::names::{Host, Jump, NodeName, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name; its drone has the same.
    pub name: NodeName,
    /// The way to it.
    pub route: Route,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Where it stands. What fails at one site together fails for one reason.
    pub site: String,
    /// The family of its operating system, as `ID` or `ID_LIKE` of os-release(5) say it.
    pub os: String,
    /// Its init system.
    pub init: Init,
    /// How much would be missed if it failed: a rolling deploy goes from light to heavy.
    pub weight: u32,
    /// The `-march` that its builds use: its processors must have those instructions.
    pub march: Option<String>,
    /// Configuration files of its own, by role.
    pub config: BTreeMap<Role, PathBuf>,
    /// Whether the plans and verdicts of its drone are believed, from the moment when it joins.
    pub trusted: bool,
    /// How far the swarm may go to revive it.
    pub repair: Repair,
    /// Who confirms that it is rebooted.
    pub reboot_confirmed_by: Confirmation,
}

impl Node {
    /// Whether it has the role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// The way to a machine, beyond what the user's own ssh configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The machine, as ssh is told it.
    pub host: Host,
    /// The account there.
    pub user: Option<User>,
    /// Its port.
    pub port: Option<u16>,
    /// The file of the private key.
    pub key: Option<PathBuf>,
    /// The machine on the way.
    pub jump: Option<Jump>,
}

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It keeps the queue.
    Orchestrator,
    /// It stores and serves packages.
    Binhost,
    /// It builds.
    Drone,
    /// It installs what is built. Nothing is deployed there.
    Workstation,
}

/// The system that starts services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// OpenRC.
    #[default]
    Openrc,
    /// systemd.
    Systemd,
}

/// How far the swarm may go to revive a machine (law 13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// It reclaims work, and touches nothing there.
    #[default]
    Off,
    /// It restarts the service.
    Restart,
    /// It reboots the machine after restarts have failed.
    Reboot,
}

/// Who confirms a reboot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmation {
    /// A person, each time.
    #[default]
    Person,
    /// Nobody: having written this is the confirmation.
    Policy,
}

macro_rules! displayed {
    ($type:ident: $($variant:ident = $text:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text),+ })
            }
        }
    };
}

displayed!(Role: Orchestrator = "orchestrator", Binhost = "binhost", Drone = "drone", Workstation = "workstation");
displayed!(Init: Openrc = "openrc", Systemd = "systemd");
displayed!(Repair: Off = "off", Restart = "restart", Reboot = "reboot");
