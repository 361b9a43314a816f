//! The binhost's configuration: one TOML file, every field documented here, unknown fields refused.
//!
//! ```toml
//! directory = "/var/lib/build-swarm/binhost"
//! listen = "127.0.0.1:8410"
//! ticket_key = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"
//!
//! [limits]
//! upload_bytes = 4294967296
//!
//! [retention]
//! generations = 10
//! days = 30
//! ```
//!
//! `BUILD_BINHOST_DIRECTORY`, `BUILD_BINHOST_LISTEN` and `BUILD_BINHOST_TICKET_KEY` override their fields, for
//! containers. There is no secret in this file: the ticket key is the public half, and the keys that sign packages are
//! in `directory`.

use anyhow::{Context, Result, ensure};
use axum::http::Uri;
use serde::{Deserialize, Deserializer, de};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm_protocol::ticket::TicketVerifier;

/// `binhost.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything the binhost knows lives here. One file system: it needs hard links and renames.
    pub directory: PathBuf,
    /// Where HTTP is served, as in `127.0.0.1:8410`; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The orchestrator's public key, as `build-orchestrator ticket-key` prints it: 64 hexadecimal digits.
    #[serde(deserialize_with = "ticket_key")]
    pub ticket_key: TicketVerifier,
    /// Where clients reach the binhost, if that is not what they call it: `https://binhost.example.org`, behind a proxy.
    /// It goes into the `binrepos.conf` that is served.
    #[serde(default)]
    pub public_url: Option<PublicUrl>,
    /// Whether packages are signed.
    #[serde(default)]
    pub signing: Signing,
    /// How much a client may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Which generations stay.
    #[serde(default)]
    pub retention: Retention,
    /// What the daemon does by itself.
    #[serde(default)]
    pub upkeep: Upkeep,
    /// Serves TLS as well, at an address of its own; the swarm's own calls go on coming to `listen`.
    pub tls: Option<Tls>,
    /// Lets only known readers install; without it, everybody.
    pub access: Option<Access>,
}

/// `[retention]`: a published generation goes when it is neither among the newest nor young. The current one stays. A
/// source archive goes when nobody has asked for it in a long time, or when others need its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How many of the newest published generations stay, the current one included.
    pub generations: usize,
    /// How old a published generation gets at least, in days.
    pub days: u32,
    /// The bytes of all source archives that drones share; 0 lets them share none.
    pub distfile_bytes: u64,
    /// How long a source archive stays that nobody asks for, in days.
    pub distfile_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { generations: 10, days: 30, distfile_bytes: 50 << 30, distfile_days: 90 }
    }
}

/// `[upkeep]`: how often the daemon looks after its directory, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upkeep {
    /// The time from one collection of what nothing refers to, to the next one, in seconds.
    pub collect_seconds: u64,
    /// The time from one scrub to the next one, in hours. One that found damage is repeated after a day.
    pub scrub_hours: u32,
    /// How fast a scrub reads at most, in bytes per second.
    pub scrub_bytes_per_second: u64,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { collect_seconds: 6 * 3600, scrub_hours: 7 * 24, scrub_bytes_per_second: 64 << 20 }
    }
}

/// `[signing]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signing {
    /// Whether what is staged from now on gets signed, with the key in the directory's `keys/`.
    pub enabled: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The beginning of URLs: a scheme, a host, perhaps a path, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = |uri: &Uri| {
            let http = matches!(uri.scheme_str(), Some("http" | "https"));
            http && uri.query().is_none() && uri.authority().is_some_and(|host| !host.as_str().contains('@'))
        };
        match text.parse::<Uri>() {
            Ok(uri) if fits(&uri) => Ok(Self(text.trim_end_matches('/').to_owned())),
            _ => Err(de::Error::custom("a URL like https://binhost.example.org is expected")),
        }
    }
}

/// `[tls]`. Renewed files are taken up by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where TLS is served, as in `0.0.0.0:8443`.
    pub listen: SocketAddr,
    /// A PEM file with the certificate's chain, the server's own first.
    pub certificate: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
}

/// `[access]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Who may read which targets; `build-binhost reader-token` makes its lines. An edited file is taken up by itself.
    pub readers: PathBuf,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest upload in bytes; a ticket may allow less, never more.
    pub upload_bytes: u64,
    /// The largest JSON body in bytes. A generation of 50,000 packages needs about 3.5 MiB.
    pub body_bytes: usize,
    /// With less free where `directory` is, the binhost says that it is degraded, in bytes.
    pub disk_low_bytes: u64,
    /// Connections served at the same time; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take to send a request's header, and how long an idle connection stays, in seconds.
    pub header_seconds: u64,
    /// How long a transfer may make no progress, in either direction, in seconds.
    pub stall_seconds: u64,
    /// How long running requests may take to end after SIGTERM, in seconds.
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes: 4 << 30,
            body_bytes: 8 << 20,
            disk_low_bytes: 10 << 30,
            connections: 1024,
            header_seconds: 30,
            stall_seconds: 60,
            drain_seconds: 60,
        }
    }
}

impl Limits {
    pub(crate) fn header_time(&self) -> Duration {
        Duration::from_secs(self.header_seconds)
    }

    pub(crate) fn stall_time(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }

    pub(crate) fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

fn ticket_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TicketVerifier, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("an Ed25519 public key of 64 hexadecimal digits is expected"))
}

impl Config {
    /// Reads and checks the file and the environment. Errors name the file, the line and the fault.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read configuration {}", path.display()))?;
        Self::parse(&text, |name| std::env::var(name).ok())
            .with_context(|| format!("configuration {}", path.display()))
    }

    /// The configuration in `text`, overridden by `environment`.
    pub fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut config: Self = toml::from_str(text)?;
        if let Some(directory) = environment("BUILD_BINHOST_DIRECTORY") {
            config.directory = directory.into();
        }
        if let Some(listen) = environment("BUILD_BINHOST_LISTEN") {
            config.listen = listen.parse().context("BUILD_BINHOST_LISTEN is no address with a port")?;
        }
        if let Some(key) = environment("BUILD_BINHOST_TICKET_KEY") {
            config.ticket_key = key.parse().context("BUILD_BINHOST_TICKET_KEY is no Ed25519 public key")?;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.directory.is_absolute(), "directory must be an absolute path");
        let limits = &self.limits;
        ensure!(limits.upload_bytes > 0, "limits.upload_bytes must be above 0");
        ensure!(limits.body_bytes > 0, "limits.body_bytes must be above 0");
        let connections = 1..=tokio::sync::Semaphore::MAX_PERMITS;
        ensure!(connections.contains(&limits.connections), "limits.connections must be above 0");
        ensure!(limits.header_seconds > 0, "limits.header_seconds must be above 0");
        ensure!(limits.stall_seconds > 0, "limits.stall_seconds must be above 0");
        // A rollback goes to the generation before the current one, and clients have the index of that one.
        ensure!(self.retention.generations >= 2, "retention.generations must be at least 2");
        ensure!(self.upkeep.collect_seconds > 0, "upkeep.collect_seconds must be above 0");
        ensure!(self.upkeep.scrub_hours > 0, "upkeep.scrub_hours must be above 0");
        ensure!(
            self.upkeep.scrub_bytes_per_second >= 1 << 20,
            "upkeep.scrub_bytes_per_second must be at least 1048576"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::ticket::TicketSigner;

    fn text(more: &str) -> String {
        let key = TicketSigner::new(&[7; 32]).verifier();
        format!("directory = \"/srv/binhost\"\nlisten = \"127.0.0.1:0\"\nticket_key = \"{key}\"\n{more}")
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", Config::parse(text, |_| None).unwrap_err())
    }

    #[test]
    fn defaults_and_overrides() {
        let config = Config::parse(&text(""), |_| None).unwrap();
        assert_eq!(config.limits, Limits::default());
        let environment = |name: &str| (name == "BUILD_BINHOST_LISTEN").then(|| "[::1]:80".to_owned());
        let config = Config::parse(&text("[limits]\nconnections = 3"), environment).unwrap();
        assert_eq!((config.limits.connections, config.listen.port()), (3, 80));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        let typo = refusal(&text("[limits]\nconections = 3"));
        assert!(typo.contains("line 5") && typo.contains("unknown field `conections`"), "{typo}");
        let key = refusal(&text("").replace("ticket_key = \"", "ticket_key = \"x"));
        assert!(key.contains("line 3") && key.contains("64 hexadecimal digits"), "{key}");
        assert!(refusal("").contains("missing field `directory`"));
        assert!(refusal(&text("").replace("/srv", "srv")).contains("absolute"));
        assert!(refusal(&text("[limits]\nconnections = 0")).contains("limits.connections"));
        assert!(refusal(&text("[signing]\nenable = false")).contains("unknown field `enable`"));
        for url in ["binhost", "ftp://binhost", "http://me@binhost", "http://binhost/?a", "http://a\\nb"] {
            let said = refusal(&text(&format!("public_url = \"{url}\"")));
            assert!(said.contains("line 4") && said.contains("a URL like"), "{url}: {said}");
        }
        let listen =
            Config::parse(&text(""), |name| (name == "BUILD_BINHOST_LISTEN").then(|| "80".to_owned()));
        assert!(format!("{:#}", listen.unwrap_err()).contains("BUILD_BINHOST_LISTEN"));
    }
}
