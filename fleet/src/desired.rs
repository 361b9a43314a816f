//! What shall be on a machine: programs, configuration, service scripts, by hash.

use crate::content::Content;
use crate::part::Part;
use crate::template;
use crate::topology::{Init, Node, Role, Topology};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;
use swarm_protocol::admin::Deployed;

/// What shall be on one machine.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Its daemons.
    pub parts: Vec<DesiredPart>,
}

/// One daemon, as it shall be.
#[derive(Clone, Debug)]
pub struct DesiredPart {
    /// Which.
    pub part: &'static Part,
    /// Its files, the program first.
    pub files: Vec<DesiredFile>,
    /// What its configuration says, where others need to know.
    pub settings: Settings,
}

/// A file, as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFile {
    /// Its path there.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
    /// What is there already stays: it is the machine's own.
    pub once: bool,
}

/// Of a daemon's configuration, what the machine is looked at for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it keeps its files.
    pub state_dir: String,
    /// The drone's token.
    pub token_file: Option<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// The drone's base root.
    pub base_root: Option<String>,
}

/// Why it cannot be said what shall be on a machine.
#[derive(Debug, thiserror::Error)]
pub enum DesiredError {
    /// A file of ours cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The topology names no configuration for a role.
    #[error(
        "fleet.toml names no configuration for the {0}: say `{0} = \"FILE\"` in [config], or in the node's `config`"
    )]
    NoConfig(Role),
    /// A template is wrong.
    #[error("{path}: {source}")]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: template::TemplateError,
    },
    /// What came of the template is no configuration.
    #[error("{path}: {why}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The programs to deploy, each read once however many machines get it.
pub struct Programs {
    directory: PathBuf,
    read: BTreeMap<&'static str, Content>,
}

impl Programs {
    /// Those in a directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, read: BTreeMap::new() }
    }

    fn get(&mut self, name: &'static str) -> Result<Content, DesiredError> {
        if let Some(content) = self.read.get(name) {
            return Ok(content.clone());
        }
        let path = self.directory.join(name);
        let bytes = std::fs::read(&path).map_err(|source| DesiredError::Read { path, source })?;
        let content = Content::new(bytes);
        self.read.insert(name, content.clone());
        Ok(content)
    }
}

impl Desired {
    /// What the topology wants on a node. Nothing on one that is only a workstation.
    pub fn of(topology: &Topology, node: &Node, programs: &mut Programs) -> Result<Self, DesiredError> {
        let parts = node.roles.iter().filter_map(|role| Part::of(*role));
        let parts = parts.map(|part| DesiredPart::of(topology, node, part, programs));
        Ok(Self { parts: parts.collect::<Result<_, _>>()? })
    }
}

impl DesiredPart {
    /// What the daemon will say of itself: its program and its configuration.
    #[must_use]
    pub fn deployed(&self) -> Deployed {
        let digest = |path: &str| {
            let file = self.files.iter().find(|file| file.path == path);
            file.map(|file| Digest::of(file.content.bytes()))
        };
        Deployed { program: digest(self.part.program), configuration: digest(self.part.config) }
    }

    fn of(
        topology: &Topology,
        node: &Node,
        part: &'static Part,
        programs: &mut Programs,
    ) -> Result<Self, DesiredError> {
        let template = topology.config_of(node, part.role).ok_or(DesiredError::NoConfig(part.role))?;
        let config = configuration(topology, node, template)?;
        let settings = Settings::of(&config, template, part)?;
        let text = |path: String, mode, text: &str, once| DesiredFile {
            path,
            mode,
            content: Content::new(text.as_bytes()),
            once,
        };
        let program = DesiredFile {
            path: part.program.to_owned(),
            mode: 0o755,
            content: programs.get(part.name)?,
            once: false,
        };
        let mut files = vec![program, text(part.config.to_owned(), 0o644, &config, false)];
        match node.init {
            Init::Openrc => {
                files.push(text(format!("/etc/init.d/{}", part.name), 0o755, part.init_script, false));
                files.push(text(format!("/etc/conf.d/{}", part.name), 0o644, part.conf_d, true));
            }
            // What the machine's admin adds goes beside it, by `systemctl edit`.
            Init::Systemd => {
                let path = format!("/etc/systemd/system/{}.service", part.name);
                files.push(text(path, 0o644, part.unit, false));
            }
        }
        Ok(Self { part, files, settings })
    }
}

fn configuration(topology: &Topology, node: &Node, path: &Path) -> Result<String, DesiredError> {
    let template = std::fs::read_to_string(path)
        .map_err(|source| DesiredError::Read { path: path.to_owned(), source })?;
    let mut values =
        vec![("name", node.name.as_str()), ("site", &node.site), ("address", node.route.host.as_str())];
    values.extend(topology.orchestrator_url.as_deref().map(|url| ("orchestrator_url", url)));
    values.extend(topology.binhost_url.as_deref().map(|url| ("binhost_url", url)));
    template::fill(&template, &values)
        .map_err(|source| DesiredError::Template { path: path.to_owned(), source })
}

impl Settings {
    /// The directory without which a base root is none.
    #[must_use]
    pub fn portage_directory(&self) -> Option<String> {
        self.base_root.as_ref().map(|root| format!("{}/etc/portage", root.trim_end_matches('/')))
    }

    fn of(config: &str, path: &Path, part: &Part) -> Result<Self, DesiredError> {
        let wrong = |why: String| DesiredError::Config { path: path.to_owned(), why };
        let table: toml::Table = config.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        let listen = text("listen");
        let token_file = text("token_file");
        if part.role == Role::Drone && token_file.is_none() {
            return Err(wrong("a drone's configuration names its token_file".to_owned()));
        }
        Ok(Self {
            state_dir: text("state_dir")
                .or_else(|| text("directory"))
                .unwrap_or_else(|| part.state_dir.to_owned()),
            token_file,
            port: listen.and_then(|address| address.rsplit_once(':')?.1.parse().ok()),
            base_root: text("base_root"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(config: &str) -> (tempfile::TempDir, Topology) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["build-drone", "build-binhost"] {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        std::fs::write(directory.path().join("drone.toml.in"), config).unwrap();
        let text = "programs = '.'\nconfig = { drone = 'drone.toml.in' }\n[[node]]\nname = 'izar'\naddress = 'izar'\n";
        let topology = Topology::parse(text, &directory.path().join("fleet.toml")).unwrap();
        (directory, topology)
    }

    fn desired(topology: &Topology) -> Result<Desired, DesiredError> {
        Desired::of(topology, &topology.nodes[0], &mut Programs::new(topology.programs.clone()))
    }

    #[test]
    fn a_drone_is_a_program_a_configuration_and_a_service() {
        let (_directory, topology) = fleet("name = \"{{name}}\"\ntoken_file = \"/etc/t\"\n");
        let desired = desired(&topology).unwrap();
        let files: Vec<_> = desired.parts[0].files.iter().map(|file| file.path.as_str()).collect();
        let paths = [
            "/usr/bin/build-drone",
            "/etc/build-swarm/drone.toml",
            "/etc/init.d/build-drone",
            "/etc/conf.d/build-drone",
        ];
        assert_eq!(files, paths);
        assert_eq!(desired.parts[0].files[1].content.bytes(), b"name = \"izar\"\ntoken_file = \"/etc/t\"\n");
        assert_eq!(desired.parts[0].settings.state_dir, "/var/lib/build-drone");
    }

    #[test]
    fn what_cannot_be_a_configuration_is_told_with_its_file() {
        for (config, said) in [
            ("name = \"{{nmae}}\"", "{{nmae}} is not known"),
            ("name = ", "drone.toml.in: TOML parse error at line 1"),
            ("name = 'x'", "names its token_file"),
        ] {
            let (_directory, topology) = fleet(config);
            let error = desired(&topology).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("drone.toml.in"), "{error}");
        }
    }

    #[test]
    fn a_program_that_was_not_built_is_named() {
        let (directory, topology) = fleet("token_file = '/etc/t'");
        std::fs::remove_file(directory.path().join("build-drone")).unwrap();
        assert!(desired(&topology).unwrap_err().to_string().contains("/build-drone: "));
    }
}
