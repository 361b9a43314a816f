//! The drone's configuration: one TOML file, every field documented here, unknown fields refused.
//!
//! ```toml
//! name = "ant"
//! orchestrator_url = "http://queen:7700"
//! token_file = "/etc/build-swarm/drone.token"
//! base_root = "/var/cache/build-swarm/roots/base"
//!
//! [[bind]]
//! source = "/var/db/repos/gentoo"
//! target = "/var/db/repos/gentoo"
//!
//! [[limits]]
//! memory_bytes = 17179869184
//! ```
//!
//! `BUILD_DRONE_ORCHESTRATOR_URL` and `BUILD_DRONE_TOKEN_FILE` override their fields, for containers.
//! Secrets are never in this file: the token has a file of its own.

use crate::limits::{Limits, Rule};
use crate::machine;
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};
use swarm_protocol::Digest;
use swarm_protocol::gentoo::{Cpv, TargetName};

/// A configuration that was read and makes sense.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The drone's name, unique in the swarm.
    pub name: String,
    /// Base URL of the orchestrator.
    pub orchestrator_url: String,
    /// The file that holds the drone's bearer token; `enrol` writes it with mode 0600.
    pub token_file: PathBuf,
    /// The directory tree that every build starts from. It is never written to.
    pub base_root: PathBuf,
    /// What is around a build.
    #[serde(default)]
    pub isolation: Isolation,
    /// Attempts, caches and source archives live here; on a file system that can be an overlay's upper layer.
    #[serde(default = "defaults::state_dir")]
    pub state_dir: PathBuf,
    /// Directories of the host that appear in every build root: ebuild repositories, a mirror of sources.
    #[serde(default, rename = "bind")]
    pub binds: Vec<Bind>,
    /// Logical processors that builds may use; those of the machine where absent.
    #[serde(default)]
    pub cores: Option<u16>,
    /// `make -jN` within a build; as many as `cores` where absent.
    #[serde(default)]
    pub jobs: Option<u16>,
    /// After SIGTERM, how long the current build may go on before it is handed back, in seconds.
    #[serde(default = "defaults::patience")]
    pub shutdown_patience_seconds: u64,
    /// Packages claimed ahead of a short build that is about to end: their files are brought meanwhile. One, where absent;
    /// none on a live system.
    pub lookahead: Option<u16>,
    /// Bytes that the cache of dependency binaries may keep between builds.
    #[serde(default = "defaults::cache_bytes")]
    pub cache_bytes: u64,
    /// Bytes that the cache of source archives may keep between builds.
    #[serde(default = "defaults::distfile_bytes")]
    pub distfile_bytes: u64,
    /// Bytes of build log that are kept and sent per attempt; what comes after is counted only.
    #[serde(default = "defaults::log_bytes")]
    pub log_bytes: u64,
    /// ccache, where builds have it.
    #[serde(default)]
    pub ccache: Option<Ccache>,
    /// What builds may use; see [`crate::limits`].
    #[serde(default)]
    pub limits: Vec<Rule>,
    /// The file whose contents identify this machine.
    #[serde(default = "defaults::machine_id_file")]
    pub machine_id_file: PathBuf,
    /// The machine's public ssh host key, which enrolment tells; there need be none.
    #[serde(default = "defaults::ssh_host_key_file")]
    pub ssh_host_key_file: PathBuf,
    /// The digest of the file that this was read from.
    #[serde(skip)]
    pub digest: Option<Digest>,
}

/// What is around a build.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A clean root over the base root, in namespaces of its own.
    #[default]
    Root,
    /// Nothing: it happens on the live system. See [`crate::host`].
    Host,
}

/// `[ccache]`: compiled objects are kept between builds, in a directory per target.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Ccache {
    /// Bytes that a target's directory may have.
    pub max_bytes: u64,
}

impl Default for Ccache {
    fn default() -> Self {
        Self { max_bytes: 5 << 30 }
    }
}

/// A directory of the host within the build roots.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// The path on the host.
    pub source: PathBuf,
    /// The path in the root.
    pub target: PathBuf,
    /// Whether builds may not write there.
    #[serde(default = "defaults::read_only")]
    pub read_only: bool,
}

mod defaults {
    use std::path::PathBuf;

    pub(super) fn state_dir() -> PathBuf {
        "/var/lib/build-drone".into()
    }
    pub(super) fn patience() -> u64 {
        3600
    }
    pub(super) fn cache_bytes() -> u64 {
        20 << 30
    }
    pub(super) fn distfile_bytes() -> u64 {
        20 << 30
    }
    pub(super) fn log_bytes() -> u64 {
        64 << 20
    }
    pub(super) fn machine_id_file() -> PathBuf {
        "/etc/machine-id".into()
    }
    pub(super) fn ssh_host_key_file() -> PathBuf {
        "/etc/ssh/ssh_host_ed25519_key.pub".into()
    }
    pub(super) fn read_only() -> bool {
        true
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no TOML of the documented form; the text names the line.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: toml::de::Error,
    },
    /// A value is out of its domain.
    #[error("{path}: {field}: {why}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Config {
    /// Reads `path`; `environment` looks up the variables that override fields.
    pub fn load(path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path, environment)
    }

    fn parse(
        text: &str,
        path: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml::from_str(text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        config.digest = Some(Digest::of(text.as_bytes()));
        if let Some(url) = environment("BUILD_DRONE_ORCHESTRATOR_URL") {
            config.orchestrator_url = url;
        }
        if let Some(file) = environment("BUILD_DRONE_TOKEN_FILE") {
            config.token_file = file.into();
        }
        config.check().map_err(|(field, why)| ConfigError::Value { path: path.to_owned(), field, why })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let url = self.orchestrator_url.strip_prefix("http://");
        let url = url.or_else(|| self.orchestrator_url.strip_prefix("https://"));
        require(url.is_some_and(|rest| !rest.is_empty()), "orchestrator_url", "must begin with http(s)://")?;
        require(is_name(&self.name), "name", "must be 1 to 64 of [A-Za-z0-9._-]")?;
        require(
            self.lookahead() <= 8,
            "lookahead",
            "must be 8 at most: what is held ahead, nobody else builds",
        )?;
        require(self.cores != Some(0), "cores", "must be at least 1")?;
        require(self.jobs != Some(0), "jobs", "must be at least 1")?;
        require(self.log_bytes >= 4096, "log_bytes", "must be at least 4096")?;
        if self.isolation == Isolation::Host {
            let live = self.base_root == Path::new("/");
            require(live, "base_root", "must be / with isolation = \"host\": builds happen there")?;
            require(self.lookahead() == 0, "lookahead", "must be 0 with isolation = \"host\"")?;
            require(self.binds.is_empty(), "bind", "means nothing with isolation = \"host\"")?;
        }
        let ccache = self.ccache.unwrap_or_default();
        require(ccache.max_bytes >= 1 << 20, "ccache.max_bytes", "must be at least 1048576")?;
        for (field, path) in [("base_root", &self.base_root), ("state_dir", &self.state_dir)] {
            require(is_plain(path), field, "must be an absolute path without '..'")?;
            // The kernel splits an overlay's options at these.
            let text = path.to_string_lossy();
            require(!text.contains([',', ':', '\\', '"']), field, "must not contain , : \\ or \"")?;
        }
        for bind in &self.binds {
            require(is_plain(&bind.source), "bind.source", "must be an absolute path without '..'")?;
            require(is_plain(&bind.target), "bind.target", "must be an absolute path without '..'")?;
            require(bind.target != Path::new("/"), "bind.target", "must not be /")?;
        }
        self.limits.iter().try_for_each(Rule::check)
    }

    /// The directory of a target's ccache.
    #[must_use]
    pub fn ccache_dir(&self, target: &TargetName) -> PathBuf {
        self.state_dir.join("ccache").join(target.as_str())
    }

    /// What a build of `cpv` for `target` may use.
    #[must_use]
    pub fn limits(&self, target: &TargetName, cpv: &Cpv) -> Limits {
        Limits::of_machine(machine::memory().0, self.cores()).with(&self.limits, target, cpv)
    }

    /// How many packages are claimed ahead of the one being built.
    #[must_use]
    pub fn lookahead(&self) -> u16 {
        self.lookahead.unwrap_or(u16::from(self.isolation != Isolation::Host))
    }

    /// Logical processors that builds may use.
    #[must_use]
    pub fn cores(&self) -> u16 {
        let machine = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.cores.unwrap_or_else(|| u16::try_from(machine()).unwrap_or(u16::MAX))
    }

    /// `make -jN` within a build that may use `cores`. What is configured may be more than the drone's cores; where a rule
    /// gives a build fewer, it is no more than those.
    #[must_use]
    pub fn jobs(&self, cores: u16) -> u16 {
        let jobs = self.jobs.unwrap_or(cores);
        if cores < self.cores() { jobs.min(cores) } else { jobs }
    }
}

fn require(holds: bool, field: &'static str, why: &'static str) -> Result<(), (&'static str, &'static str)> {
    if holds { Ok(()) } else { Err((field, why)) }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "ant"
orchestrator_url = "http://queen:7700"
token_file = "/etc/t"
base_root = "/base"
[[bind]]
source = "/host/repo"
target = "/var/db/repos/box"
"#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("drone.toml"), |_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_right() {
        let config = parse(include_str!("../drone.example.toml")).unwrap();
        assert_eq!((config.binds.len(), config.lookahead(), config.limits.len()), (2, 1, 2));
    }

    #[test]
    fn fewer_cores_are_fewer_jobs() {
        let config = parse(&GOOD.replace("[[bind]]", "cores = 4\njobs = 6\n[[bind]]")).unwrap();
        assert_eq!((config.jobs(4), config.jobs(2)), (6, 2));
    }

    #[test]
    fn the_environment_overrides() {
        let set = |name: &str| (name == "BUILD_DRONE_TOKEN_FILE").then(|| "/run/token".to_owned());
        let config = Config::parse(GOOD, Path::new("drone.toml"), set).unwrap();
        assert_eq!(config.token_file, Path::new("/run/token"));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let typo = parse(&GOOD.replace("token_file", "tokenfile")).unwrap_err();
        assert!(
            typo.contains("drone.toml") && typo.contains("line 4") && typo.contains("tokenfile"),
            "{typo}"
        );
        for (from, to, field) in [
            ("http://queen:7700", "queen:7700", "orchestrator_url"),
            ("\"ant\"", "\"an t\"", "name"),
            ("/base", "base", "base_root"),
            ("/base", "/ba:se", "base_root"),
            ("/var/db/repos/box", "/../x", "bind.target"),
            ("[[bind]]", "[[limits]]\nprocesses = 0\n[[bind]]", "limits"),
            ("[[bind]]", "isolation = 'host'\n[[bind]]", "base_root"),
            ("[[bind]]", "lookahead = 9\n[[bind]]", "lookahead"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
