//! The orchestrator's configuration: one TOML file, unknown fields refused, secrets by file or environment only.

mod gate;
mod notify;
mod repair;
mod retries;

pub use gate::{Gate, Quarantined};
pub use notify::{Mail, Notify, Ntfy, Webhook};
pub use repair::Repair;
pub use retries::Retries;

use crate::placement::Rule;
use crate::scheduler::Strategy;
use anyhow::{Context, Result, ensure};
use secrecy::SecretString;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `build-orchestrator.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the API listens, as in `127.0.0.1:8400`.
    pub listen: SocketAddr,
    /// What the private servers keep, as long as one of the two below is not given. No other orchestrator may use it.
    #[serde(default = "state_dir")]
    pub state_dir: PathBuf,
    /// The database; without a URL, a private Postgres.
    #[serde(default)]
    pub database: Database,
    /// Redis; without it, a private one. Without any the swarm is slower to wake its drones, nothing else.
    pub redis: Option<Redis>,
    /// The private servers.
    #[serde(default)]
    pub embedded: Embedded,
    /// The binhost.
    pub binhost: Binhost,
    /// The file with the Ed25519 secret key that signs tickets; made on first use, mode 0600.
    pub ticket_key_file: PathBuf,
    /// How long things may take.
    #[serde(default)]
    pub times: Times,
    /// How often things may fail.
    #[serde(default)]
    pub retries: Retries,
    /// How large things may be.
    #[serde(default)]
    pub limits: Limits,
    /// What is judged before clients see it.
    #[serde(default)]
    pub gate: Gate,
    /// How the scheduler chooses.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Where packages may be built, and what they need: see [`crate::placement`].
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// How silent drones are repaired; not at all, where absent.
    pub repair: Option<Repair>,
    /// Where people are told what happened.
    #[serde(default)]
    pub notify: Vec<Notify>,
}

/// `[database]`: a URL from one place, or none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// A file that holds the URL. The environment variable `BUILD_ORCHESTRATOR_DATABASE_URL` wins over both.
    pub url_file: Option<PathBuf>,
    /// The URL itself, where it holds no password: a password in it is refused.
    pub url: Option<String>,
    /// Connections at most.
    pub connections: u32,
}

/// `[redis]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// As in `redis+unix:///run/redis/redis.sock` or `redis://127.0.0.1/`.
    pub url: String,
}

/// `[embedded]`: the private Postgres and the private Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Embedded {
    /// The account that they run as where the orchestrator is root; otherwise they run as the orchestrator does.
    pub account: String,
    /// Between two dumps of the database, in seconds.
    pub dump_seconds: u32,
    /// How many of these dumps are kept.
    pub dumps_kept: usize,
}

/// `[scheduler]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scheduler {
    /// From whom an idle drone takes what is not started: `two-choices` (the default), `random`, `least-loaded`,
    /// `most-loaded`, `adaptive`.
    #[serde(deserialize_with = "strategy")]
    pub steal: Strategy,
}

fn strategy<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Strategy, D::Error> {
    Strategy::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// `[binhost]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binhost {
    /// The base URL by which the orchestrator reaches it.
    pub url: String,
    /// The base URL by which drones reach it, if that is another one.
    pub drone_url: Option<String>,
}

/// `[times]`, all in whole seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// Between a drone's heartbeats.
    pub heartbeat_seconds: u32,
    /// How long a drone may be silent before its work is reclaimed; at least three heartbeats.
    pub grace_seconds: u32,
    /// How long a build may show no progress before it is reclaimed.
    pub stall_seconds: u32,
    /// How long a build may take.
    pub build_limit_seconds: u32,
    /// How long resolving a run may take.
    pub resolve_seconds: u32,
    /// Between two turns of the maintenance loop, at most.
    pub maintenance_seconds: u32,
    /// How long a grounded drone gets no work.
    pub grounded_seconds: u32,
    /// How long build logs are kept, in days.
    pub log_retention_days: u32,
    /// How long events are kept, in days.
    pub event_retention_days: u32,
    /// How long runs that are over are kept, with their packages and attempts, in days; the newest 20 of each target, and
    /// whatever a generation contains that the binhost keeps, are kept however old. Estimates outlive them.
    pub run_retention_days: u32,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest artifact in bytes.
    pub artifact_bytes: u64,
    /// The largest source archive that drones share through the binhost, in bytes.
    pub distfile_bytes: u64,
    /// The largest request body in bytes.
    pub body_bytes: usize,
    /// A drone that has less free where it builds is an alarm, and so is the orchestrator where the private servers keep
    /// what they keep, in bytes.
    pub disk_low_bytes: u64,
}

impl Database {
    /// The database's URL, from wherever it is given; `None`: nowhere.
    pub fn resolve(&self) -> Result<Option<SecretString>> {
        if let Ok(url) = std::env::var("BUILD_ORCHESTRATOR_DATABASE_URL") {
            return Ok(Some(url.into()));
        }
        if let Some(url) = &self.url {
            return Ok(Some(url.clone().into()));
        }
        let Some(file) = &self.url_file else { return Ok(None) };
        let url = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read database.url_file {}", file.display()))?;
        Ok(Some(url.trim().to_owned().into()))
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url_file: None, url: None, connections: 16 }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self { account: "postgres".to_owned(), dump_seconds: 86_400, dumps_kept: 7 }
    }
}

fn state_dir() -> PathBuf {
    PathBuf::from("/var/lib/build-orchestrator")
}

impl Default for Times {
    fn default() -> Self {
        Self {
            heartbeat_seconds: 5,
            grace_seconds: 60,
            stall_seconds: 3600,
            build_limit_seconds: 86_400,
            resolve_seconds: 900,
            maintenance_seconds: 10,
            grounded_seconds: 300,
            log_retention_days: 90,
            event_retention_days: 90,
            run_retention_days: 180,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            artifact_bytes: 4 << 30,
            distfile_bytes: 4 << 30,
            body_bytes: 64 << 20,
            disk_low_bytes: 5 << 30,
        }
    }
}

impl Config {
    /// Reads and checks the file. Errors name the file, the line and the fault.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read configuration {}", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("configuration {}", path.display()))?;
        config.check().with_context(|| format!("configuration {}", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.database.url.is_none() || self.database.url_file.is_none(),
            "[database] has both url and url_file: keep one of them"
        );
        self.check_embedded()?;
        if let Some(authority) = self.database.url.as_deref().and_then(|url| url.split_once("://")) {
            let user = authority.1.split(['/', '?']).next().and_then(|part| part.rsplit_once('@'));
            ensure!(
                !user.is_some_and(|(user, _)| user.contains(':')) && !authority.1.contains("password="),
                "database.url holds a password: put the URL into a file and name it by url_file"
            );
        }
        for (name, url) in [("url", Some(&self.binhost.url)), ("drone_url", self.binhost.drone_url.as_ref())]
        {
            let fits = url.is_none_or(|url| url.starts_with("http://"));
            ensure!(fits, "binhost.{name} must begin with http://");
        }
        let times = &self.times;
        for (name, seconds) in [
            ("heartbeat_seconds", times.heartbeat_seconds),
            ("stall_seconds", times.stall_seconds),
            ("build_limit_seconds", times.build_limit_seconds),
            ("resolve_seconds", times.resolve_seconds),
            ("maintenance_seconds", times.maintenance_seconds),
            ("log_retention_days", times.log_retention_days),
            ("event_retention_days", times.event_retention_days),
            ("run_retention_days", times.run_retention_days),
        ] {
            ensure!(seconds > 0, "times.{name} must be above 0");
        }
        ensure!(
            times.grace_seconds >= 3 * times.heartbeat_seconds,
            "times.grace_seconds ({}) must be at least three heartbeats ({})",
            times.grace_seconds,
            3 * times.heartbeat_seconds
        );
        for (name, seconds) in
            [("limit_seconds", self.gate.limit_seconds), ("patience_seconds", self.gate.patience_seconds)]
        {
            ensure!(seconds > 0, "gate.{name} must be above 0");
        }
        if let Some(repair) = &self.repair {
            repair.check(times.grace_seconds)?;
        }
        notify::check(&self.notify)?;
        let retries = &self.retries;
        for (name, count) in [
            ("package_drones", retries.package_drones),
            ("package_failures", retries.package_failures),
            ("infrastructure_failures", retries.infrastructure_failures),
            ("resources_failures", retries.resources_failures),
            ("epoch_failures", retries.epoch_failures),
        ] {
            ensure!(count > 0, "retries.{name} must be above 0");
        }
        ensure!(retries.drone_failures > 0, "retries.drone_failures must be above 0");
        ensure!(
            retries.longest_pause_seconds >= retries.first_pause_seconds,
            "retries.longest_pause_seconds must not be below first_pause_seconds"
        );
        Ok(())
    }

    fn check_embedded(&self) -> Result<()> {
        // The path goes through Postgres's own command lines and lists.
        let path = self.state_dir.to_string_lossy();
        let plain = !path.contains(|letter: char| letter.is_control() || "\"'`$\\,\u{fffd}".contains(letter));
        ensure!(
            self.state_dir.is_absolute() && plain,
            "state_dir must be an absolute path without quotes, commas, dollar signs and backslashes"
        );
        ensure!(self.embedded.dump_seconds > 0, "embedded.dump_seconds must be above 0");
        ensure!(self.embedded.dumps_kept > 0, "embedded.dumps_kept must be above 0");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::retry::Policy;

    fn load(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path()).map_err(|error| {
            format!("{error:#}").replace(&file.path().display().to_string(), "FILE").trim_end().to_owned()
        })
    }

    const GOOD: &str = r#"
listen = "127.0.0.1:8400"
ticket_key_file = "/var/lib/build-orchestrator/ticket.key"
[database]
url = "postgres://swarm@localhost/swarm"
[binhost]
url = "http://127.0.0.1:8410"
"#;

    #[test]
    fn a_small_file_is_enough() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.times.grace_seconds, 60);
        assert_eq!(config.retries.policy(), Policy::DEFAULT);
    }

    #[test]
    fn without_urls_there_are_private_servers() {
        let config = load(&GOOD.replace("url = \"postgres:", "# \"")).unwrap();
        assert!(config.database.resolve().unwrap().is_none() && config.redis.is_none());
        assert_eq!(config.state_dir, state_dir());
    }

    #[test]
    fn a_typo_is_named_with_its_line() {
        insta::assert_snapshot!("typo", load(&GOOD.replace("listen", "lisen")).unwrap_err());
    }

    #[test]
    fn repair_is_off_until_it_is_said_how() {
        assert!(load(GOOD).unwrap().repair.is_none());
        let files = "topology = '/f'\nkey_file = '/k'\nknown_hosts = '/h'\n";
        let repair = load(&format!("{GOOD}[repair]\n{files}")).unwrap().repair.unwrap();
        assert_eq!((repair.dry_run, repair.window_seconds, repair.reboots_per_day), (false, 600, 1));
        for (fields, said) in [
            ("", "repair.topology must be an absolute path"),
            (
                &format!("{files}window_seconds = 119"),
                "repair.window_seconds (119) must be at least twice times.grace_seconds (60)",
            ),
            (
                &format!("{files}recovery_seconds = 60"),
                "repair.recovery_seconds (60) must be above repair.ssh_seconds (120)",
            ),
            (&format!("{files}restarts_before_reboot = 0"), "repair.restarts_before_reboot must be above 0"),
            (&format!("{files}dry-run = true"), "unknown field `dry-run`"),
        ] {
            let error = load(&format!("{GOOD}[repair]\n{fields}\n")).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let short = format!("{GOOD}[times]\ngrace_seconds = 4\n");
        insta::assert_snapshot!("short_grace", load(&short).unwrap_err());
        let relative = format!("state_dir = \"swarm\"\n{GOOD}");
        insta::assert_snapshot!("relative_state_dir", load(&relative).unwrap_err());
        let both = GOOD.replace("[binhost]", "url_file = \"/url\"\n[binhost]");
        insta::assert_snapshot!("both_urls", load(&both).unwrap_err());
        let password = GOOD.replace("swarm@", "swarm:secret@");
        insta::assert_snapshot!("password", load(&password).unwrap_err());
    }
}
