//! `fleet.toml`: the machines of a swarm, how each is reached, and what it is for.
//!
//! ```toml
//! orchestrator_url = "http://queen.example:8400"   # as the nodes reach it
//! binhost_url = "http://queen.example:8401"
//! programs = "dist"                                # where `make dist` has put the programs
//!
//! [ssh]                                            # for every node that does not say otherwise
//! user = "root"
//! known_hosts = "known_hosts"
//!
//! [config]                                         # a role's configuration file, with {{name}} filled in
//! drone = "drone.toml.in"
//!
//! [[node]]
//! name = "izar"
//! address = "izar.example"
//! roles = ["drone"]
//! ```
//!
//! Paths are relative to the file. Every field is in [`entry`], and in this crate's README. What is wrong is told with the
//! file and the line, before any machine is spoken to.

mod entry;
pub mod import;
mod names;
mod node;
mod wrong;

pub use names::{Host, Jump, NodeName, User};
pub use node::{Confirmation, Init, Node, Repair, Role, Route};
pub use wrong::TopologyError;

use entry::File;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wrong::Source;

/// A topology that was read and makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The orchestrator's base URL, as the nodes reach it.
    pub orchestrator_url: Option<String>,
    /// The binhost's base URL, as the nodes reach it.
    pub binhost_url: Option<String>,
    /// The directory of the programs that shall run.
    pub programs: PathBuf,
    /// The file of pinned host keys; the user's own, where absent.
    pub known_hosts: Option<PathBuf>,
    /// A role's configuration file, for nodes that name none of their own.
    pub config: BTreeMap<Role, PathBuf>,
    /// The machines, in the order of the file.
    pub nodes: Vec<Node>,
}

impl Topology {
    /// Reads `path`.
    pub fn load(path: &Path) -> Result<Self, TopologyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TopologyError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// The topology that `text` describes; `path` is for messages, and where relative paths begin.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TopologyError> {
        let source = Source { text, path };
        let file: File = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        file.checked(&source)
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name.as_str() == name)
    }

    /// The configuration file of a node's role, if it has one.
    #[must_use]
    pub fn config_of<'a>(&'a self, node: &'a Node, role: Role) -> Option<&'a Path> {
        node.config.get(&role).or_else(|| self.config.get(&role)).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"orchestrator_url = "http://queen.example:8400"
programs = "dist"
[ssh]
user = "root"
known_hosts = "known_hosts"
key = "~/.ssh/fleet"
[config]
drone = "drone.toml.in"
[[node]]
name = "izar"
address = "izar.example"
[[node]]
name = "queen"
address = "10.0.0.1"
port = 2222
jump = "me@gate.example:22"
roles = ["orchestrator", "binhost"]
config = { binhost = "/srv/binhost.toml" }
repair = "restart"
"#;

    fn parse(text: &str) -> Result<Topology, String> {
        Topology::parse(text, Path::new("/etc/swarm/fleet.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_has_what_the_file_says_for_all_and_for_it() {
        let topology = parse(GOOD).unwrap();
        let [izar, queen] = &topology.nodes[..] else { panic!("{topology:?}") };
        assert_eq!((izar.name.as_str(), &izar.roles[..]), ("izar", &[Role::Drone][..]));
        assert_eq!(izar.route.key.as_deref(), Some(Path::new("~/.ssh/fleet")));
        assert_eq!(topology.known_hosts.as_deref(), Some(Path::new("/etc/swarm/known_hosts")));
        assert_eq!(topology.config_of(izar, Role::Drone), Some(Path::new("/etc/swarm/drone.toml.in")));
        assert_eq!(queen.route.jump.as_ref().unwrap().to_string(), "me@gate.example:22");
        assert_eq!((queen.route.port, queen.repair), (Some(2222), Repair::Restart));
        assert_eq!(topology.config_of(queen, Role::Binhost), Some(Path::new("/srv/binhost.toml")));
        assert_eq!(topology.config_of(queen, Role::Orchestrator), None);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (from, to, said) in [
            (
                "address = \"izar",
                "adress = \"izar",
                "fleet.toml:11: unknown field `adress`; did you mean `address`?",
            ),
            ("\"queen\"\n", "\"izar\"\n", "fleet.toml:13: there are two nodes izar; the first is in line 10"),
            ("\"10.0.0.1\"", "\"-oProxyCommand=x\"", "fleet.toml:14: `-oProxyCommand=x` is no host"),
            ("\"me@gate", "\"-x@gate", "fleet.toml:16: `-x` is no user"),
            ("\"izar\"", "\"Izar\"", "fleet.toml:10: `Izar` is no name of a node"),
            (
                "[\"orchestrator\", ",
                "[\"orchestra\", ",
                "unknown variant `orchestra`; did you mean `orchestrator`?",
            ),
            (
                "\"binhost\"]",
                "\"workstation\", \"workstation\"]",
                "fleet.toml:13: queen has the role workstation twice",
            ),
            ("http://queen", "queen", "fleet.toml:1: `queen.example:8400` is no URL"),
            ("port = 2222", "port = 0", "fleet.toml:15: "),
            ("user = \"root\"", "user = \"ro ot\"", "fleet.toml:4: `ro ot` is no user"),
            ("[config]", "[config", "fleet.toml:7: "),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(said), "{error}\nshould say: {said}");
        }
    }

    #[test]
    fn two_names_for_one_machine_are_refused() {
        let twice =
            GOOD.replace("\"10.0.0.1\"\nport = 2222\njump = \"me@gate.example:22\"", "\"izar.example\"");
        let error = parse(&twice).unwrap_err();
        assert!(error.contains("queen and izar (line 10) are one machine: izar.example"), "{error}");
    }
}
