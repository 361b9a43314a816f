//! The fields of `fleet.toml`, and how they become a topology.

use super::Topology;
use super::names::{Host, Jump, NodeName, User};
use super::node::{Confirmation, Init, Node, Repair, Role, Route};
use super::wrong::{Source, TopologyError};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use toml::Spanned;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The orchestrator's base URL as the nodes reach it; `{{orchestrator_url}}` in templates.
    orchestrator_url: Option<Spanned<String>>,
    /// The binhost's base URL as the nodes reach it; `{{binhost_url}}` in templates.
    binhost_url: Option<Spanned<String>>,
    /// The directory of the programs that shall run; `dist`, where absent.
    programs: Option<PathBuf>,
    /// How nodes are reached that do not say otherwise.
    #[serde(default)]
    ssh: Ssh,
    /// Configuration files by role.
    #[serde(default)]
    config: BTreeMap<Role, PathBuf>,
    /// The `-march` of nodes that do not say otherwise.
    march: Option<String>,
    /// The machines.
    #[serde(default, rename = "node")]
    nodes: Vec<Entry>,
}

/// `[ssh]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ssh {
    /// The account.
    user: Option<Spanned<String>>,
    /// The port.
    port: Option<Spanned<u16>>,
    /// The file of the private key; without it ssh's own and its agent's.
    key: Option<PathBuf>,
    /// The machine on the way: `[user@]host[:port]`.
    jump: Option<Spanned<String>>,
    /// The file of pinned host keys; without it the user's own.
    known_hosts: Option<PathBuf>,
}

/// `[[node]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    address: Spanned<String>,
    user: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
    key: Option<PathBuf>,
    jump: Option<Spanned<String>>,
    /// Drone, where absent.
    roles: Option<Vec<Role>>,
    /// `home`, where absent.
    site: Option<String>,
    /// `gentoo`, where absent.
    os: Option<String>,
    #[serde(default)]
    init: Init,
    /// 1, where absent.
    weight: Option<u32>,
    march: Option<String>,
    #[serde(default)]
    config: BTreeMap<Role, PathBuf>,
    #[serde(default)]
    trusted: bool,
    #[serde(default)]
    repair: Repair,
    #[serde(default)]
    reboot_confirmed_by: Confirmation,
}

impl File {
    pub(super) fn checked(self, source: &Source<'_>) -> Result<Topology, TopologyError> {
        let url = |text: Option<Spanned<String>>| text.map(|text| url(source, text)).transpose();
        let mut nodes: Vec<(Node, Range<usize>)> = Vec::new();
        for entry in self.nodes {
            let span = entry.name.span();
            let node = entry.checked(source, &self.ssh, self.march.as_ref())?;
            distinct(source, &nodes, &node, &span)?;
            nodes.push((node, span));
        }
        let paths = |paths: BTreeMap<Role, PathBuf>| {
            paths.into_iter().map(|(role, path)| (role, source.path(&path))).collect()
        };
        Ok(Topology {
            orchestrator_url: url(self.orchestrator_url)?,
            binhost_url: url(self.binhost_url)?,
            programs: source.path(&self.programs.unwrap_or_else(|| "dist".into())),
            known_hosts: self.ssh.known_hosts.map(|path| source.path(&path)),
            config: paths(self.config),
            nodes: nodes.into_iter().map(|(node, _)| node).collect(),
        })
    }
}

impl Entry {
    fn checked(self, source: &Source<'_>, ssh: &Ssh, march: Option<&String>) -> Result<Node, TopologyError> {
        let roles = self.roles.unwrap_or_else(|| vec![Role::Drone]);
        let mut seen = BTreeSet::new();
        if let Some(role) = roles.iter().find(|role| !seen.insert(**role)) {
            let why = format!("{} has the role {role} twice", self.name.get_ref());
            return Err(source.wrong(&self.name.span(), why));
        }
        let port = self.port.as_ref().or(ssh.port.as_ref());
        if let Some(port) = port.filter(|port| *port.get_ref() == 0) {
            return Err(source.wrong(&port.span(), "a port is 1 to 65535"));
        }
        let route = Route {
            host: parsed::<Host>(source, &self.address)?,
            user: self
                .user
                .as_ref()
                .or(ssh.user.as_ref())
                .map(|user| parsed::<User>(source, user))
                .transpose()?,
            port: port.map(|port| *port.get_ref()),
            key: self.key.as_ref().or(ssh.key.as_ref()).map(|path| source.path(path)),
            jump: self
                .jump
                .as_ref()
                .or(ssh.jump.as_ref())
                .map(|jump| parsed::<Jump>(source, jump))
                .transpose()?,
        };
        Ok(Node {
            name: parsed::<NodeName>(source, &self.name)?,
            route,
            roles,
            site: self.site.unwrap_or_else(|| "home".to_owned()),
            os: self.os.unwrap_or_else(|| "gentoo".to_owned()),
            init: self.init,
            weight: self.weight.unwrap_or(1),
            march: self.march.or_else(|| march.cloned()),
            config: self.config.into_iter().map(|(role, path)| (role, source.path(&path))).collect(),
            trusted: self.trusted,
            repair: self.repair,
            reboot_confirmed_by: self.reboot_confirmed_by,
        })
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    source: &Source<'_>,
    text: &Spanned<String>,
) -> Result<T, TopologyError> {
    text.get_ref().parse().map_err(|error: T::Err| source.wrong(&text.span(), error.to_string()))
}

fn url(source: &Source<'_>, text: Spanned<String>) -> Result<String, TopologyError> {
    let host = |text: &str| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        (!rest.is_empty() && !rest.starts_with('/')).then_some(())
    };
    // It becomes part of a configuration and of a shell's words.
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\`$".contains(&b));
    if host(text.get_ref()).is_none() || !plain(text.get_ref()) {
        let why = format!("`{}` is no URL: it begins with http:// or https:// and a host", text.get_ref());
        return Err(source.wrong(&text.span(), why));
    }
    Ok(text.into_inner())
}

/// A machine that is listed twice would be deployed to twice at once, and repaired under a wrong name.
fn distinct(
    source: &Source<'_>,
    nodes: &[(Node, Range<usize>)],
    node: &Node,
    span: &Range<usize>,
) -> Result<(), TopologyError> {
    for (other, first) in nodes {
        let line = source.line(first);
        if other.name == node.name {
            let why = format!("there are two nodes {}; the first is in line {line}", node.name);
            return Err(source.wrong(span, why));
        }
        let place = |node: &Node| (node.route.host.clone(), node.route.port, node.route.jump.clone());
        if place(other) == place(node) {
            let why = format!(
                "{} and {} (line {line}) are one machine: {}",
                node.name, other.name, node.route.host
            );
            return Err(source.wrong(span, why));
        }
    }
    Ok(())
}
