//! A binhost on a free port in a temporary directory, a clock that tests set, and tickets for it.

use crate::package::Package;
use build_binhost::clock::Clock;
use build_binhost::config::{Config, Limits};
use build_binhost::daemon;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use swarm_protocol::binhost::{Expected, Prepare, Promote, Provided, Stage, Staged};
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, BuildId, GenerationNumber, PackageId, RunId};
use swarm_protocol::ticket::{Scope, Ticket, TicketSigner};
use swarm_protocol::{Code, Digest, Problem};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const RUN: RunId = RunId(7);

/// A clock that stands until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    pub(crate) fn set(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

pub(crate) fn signer() -> TicketSigner {
    TicketSigner::new(&[7; 32])
}

pub(crate) fn target() -> TargetName {
    "amd64".parse().unwrap()
}

pub(crate) fn control(now: i64) -> String {
    signer().sign(&Ticket { scope: Scope::Control, expires: now + 60 })
}

/// A ticket for reading a generation of [`target`].
pub(crate) fn of_generation(now: i64, number: i64) -> String {
    let scope = Scope::Generation { target: target(), number: GenerationNumber(number) };
    signer().sign(&Ticket { scope, expires: now + 60 })
}

/// A ticket for an attempt of [`RUN`] and [`target`].
pub(crate) fn attempt(now: i64, max_bytes: u64) -> String {
    let scope = Scope::Attempt {
        target: target(),
        run: RUN,
        package: PackageId(1),
        attempt: AttemptId(1),
        max_bytes,
    };
    signer().sign(&Ticket { scope, expires: now + 60 })
}

/// What [`Package::zlib`] is expected to be.
pub(crate) fn zlib() -> Expected {
    expected("sys-libs/zlib-1.3.1", 2)
}

pub(crate) fn expected(cpv: &str, build_id: i32) -> Expected {
    Expected {
        cpv: cpv.parse().unwrap(),
        slot: "0/1".parse().unwrap(),
        repository: "gentoo".parse().unwrap(),
        use_flags: vec!["ssl".parse().unwrap()],
        build_id: BuildId(build_id),
        chost: "x86_64-pc-linux-gnu".to_owned(),
        flags: vec!["CFLAGS=-O2 -march=x86-64-v3".to_owned()],
    }
}

/// What the packages of [`Package::new`] need and no test stages.
pub(crate) fn provided() -> Provided {
    Provided {
        packages: vec!["sys-libs/glibc-2.41".parse().unwrap(), "dev-libs/libfoo-1".parse().unwrap()],
        sonames: vec!["x86_64: libc.so.6".parse().unwrap()],
    }
}

fn config(directory: &TempDir, lines: &str) -> Config {
    let (directory, key) = (directory.path().display(), signer().verifier());
    let text =
        format!("directory = \"{directory}\"\nlisten = \"127.0.0.1:0\"\nticket_key = \"{key}\"\n{lines}");
    Config::parse(&text, |_| None).unwrap()
}

/// A running binhost.
pub(crate) struct Binhost {
    directory: Arc<TempDir>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Binhost {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::configured("", |config| config.limits = limits).await
    }

    /// One whose clock, by which its key is made, begins at `now`.
    pub(crate) async fn at(now: i64, edit: impl FnOnce(&mut Config)) -> Self {
        Self::fresh(now, "", edit).await
    }

    /// One with more lines in its configuration, or what no line can say.
    pub(crate) async fn configured(lines: &str, edit: impl FnOnce(&mut Config)) -> Self {
        Self::fresh(NOW, lines, edit).await
    }

    /// Why it does not start.
    pub(crate) async fn refused(edit: impl FnOnce(&mut Config)) -> anyhow::Error {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut config = config(&directory, "");
        edit(&mut config);
        Self::open(directory, config, NOW).await.err().expect("it starts")
    }

    async fn fresh(now: i64, lines: &str, edit: impl FnOnce(&mut Config)) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut config = config(&directory, lines);
        edit(&mut config);
        let binhost = Self::open(directory, config, now).await.unwrap();
        // The first scrub is over before a test damages something, or it may be the one that finds it.
        let scrubbed = binhost.path("scrub.json");
        eventually("the first scrub", || scrubbed.exists()).await;
        binhost
    }

    async fn open(directory: Arc<TempDir>, config: Config, now: i64) -> anyhow::Result<Self> {
        let clock = Arc::new(TestClock(AtomicI64::new(now)));
        let daemon = daemon::open(config, Arc::clone(&clock) as Arc<dyn Clock>).await?;
        let (address, tls, stop) = (daemon.address(), daemon.tls_address(), CancellationToken::new());
        let running = tokio::spawn(daemon.run(stop.clone()));
        Ok(Self { directory, clock, address, tls, stop, running })
    }

    /// Stops it, lets `edit` change its directory, and opens it again.
    pub(crate) async fn restart(self, edit: impl FnOnce(&Path)) -> anyhow::Result<Self> {
        self.stop.cancel();
        self.running.await?;
        edit(self.directory.path());
        let config = config(&self.directory, "");
        Self::open(self.directory, config, NOW).await
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As a drone, for an attempt of [`RUN`].
    pub(crate) fn drone(&self) -> BinhostClient {
        BinhostClient::new(&self.base(), attempt(self.now(), 1 << 30))
    }

    /// As the orchestrator.
    pub(crate) fn orchestrator(&self) -> BinhostClient {
        BinhostClient::new(&self.base(), control(self.now()))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        http.request(method, format!("{}{path}", self.base()))
    }

    /// As everybody.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// What everybody gets, or the status in its place.
    pub(crate) async fn text(&self, path: &str) -> Result<String, StatusCode> {
        let response = self.get(path).await;
        if response.status().is_success() {
            Ok(response.text().await.unwrap())
        } else {
            Err(response.status())
        }
    }

    pub(crate) async fn upload(&self, package: &Package<'_>) -> Digest {
        let bytes = package.bytes();
        let digest = Digest::of(&bytes);
        self.drone().upload(digest, bytes.len() as u64, bytes).await.unwrap();
        digest
    }

    /// Stages what was uploaded, as a package of [`RUN`].
    pub(crate) async fn stage(
        &self,
        package: i64,
        attempt: i64,
        built: Digest,
        expected: Expected,
    ) -> Result<Staged, ClientError> {
        let stage = Stage { package: PackageId(package), attempt: AttemptId(attempt), built, expected };
        self.orchestrator().stage(&target(), RUN, &stage).await
    }

    /// Uploads and stages a package; its published digest.
    pub(crate) async fn publish(&self, package: i64, cpv: &str, build_id: i32) -> Digest {
        let built = self.upload(&Package::new(cpv, build_id)).await;
        self.stage(package, package, built, expected(cpv, build_id)).await.unwrap().published
    }

    pub(crate) async fn prepare(&self, number: i64, artifacts: &[Digest]) -> Result<(), ClientError> {
        let prepare = Prepare { artifacts: artifacts.to_vec(), system: vec![], provided: provided() };
        self.orchestrator().prepare(&target(), GenerationNumber(number), &prepare).await.map(drop)
    }

    pub(crate) async fn promote(&self, number: i64, expect: Option<i64>) -> Result<i64, ClientError> {
        let promote = Promote { number: GenerationNumber(number), expect: expect.map(GenerationNumber) };
        let current = self.orchestrator().promote(&target(), &promote).await?;
        assert_eq!(current.number, Some(promote.number));
        Ok(current.timestamp.unwrap())
    }

    /// The index of [`RUN`]'s staging view.
    pub(crate) async fn staging(&self) -> String {
        let response = self.drone().staging(&target(), RUN, "Packages").await.unwrap();
        response.text().await.unwrap()
    }
}

/// The problem in a refused answer.
pub(crate) async fn problem(response: Response) -> Problem {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status);
    problem
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    result.unwrap_err().code().unwrap()
}

/// The values of a key in an index, in order.
pub(crate) fn values(index: &str, key: &str) -> Vec<String> {
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(": ")?.to_owned());
    index.lines().filter_map(value).collect()
}

/// Waits until something holds, which it must within half a minute.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about");
}

/// The names in a directory.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        path.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Binhost {
    /// Runs one of the commands beside the daemon, on its directory.
    pub(crate) fn tool(&self, arguments: &[&str]) -> std::process::Output {
        self.tool_with(arguments, |_| {})
    }

    pub(crate) fn tool_with(
        &self,
        arguments: &[&str],
        set_up: impl FnOnce(&mut std::process::Command),
    ) -> std::process::Output {
        let (mut command, _config) = self.command(arguments);
        set_up(&mut command);
        command.output().unwrap()
    }

    /// The command, and its configuration, which is to outlive it.
    pub(crate) fn command(&self, arguments: &[&str]) -> (std::process::Command, tempfile::NamedTempFile) {
        let config = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "directory = \"{}\"\nlisten = \"127.0.0.1:0\"\nticket_key = \"{}\"\n",
            self.directory.path().display(),
            signer().verifier()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_build-binhost"));
        command.args(arguments).arg("--config").arg(config.path());
        (command, config)
    }

    /// Where the bytes of a digest are.
    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.path(&format!("blobs/{}/{digest}", &digest.to_string()[..2]))
    }
}
