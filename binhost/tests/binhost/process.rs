//! The real binary: `kill -9` between and within the steps of an artifact's way, SIGTERM, the lock, `--check-config`.

use crate::harness::*;
use crate::package::Package;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use swarm_protocol::Digest;
use swarm_protocol::binhost::{Prepare, Promote, Stage};
use swarm_protocol::client::BinhostClient;
use swarm_protocol::id::{AttemptId, GenerationNumber, PackageId};

/// The machine's time, as the real binary sees it.
fn now() -> i64 {
    build_binhost::clock::Clock::now(&build_binhost::clock::SystemClock)
}

/// A running binary.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) base: String,
}

impl Process {
    pub(crate) fn config(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("binhost.toml");
        let (store, key) = (directory.join("store"), signer().verifier());
        let store = store.display();
        let text = format!("directory = \"{store}\"\nlisten = \"127.0.0.1:0\"\nticket_key = \"{key}\"\n");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn start(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_build-binhost"));
        Self::spawn(command.args(["serve", "--config"]).arg(Self::config(directory)))
    }

    /// Starts it with everything that it logs in a file.
    pub(crate) fn logging(config: &Path, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_build-binhost"));
        command.args(["serve", "--config"]).arg(config).env("RUST_LOG", "trace").stderr(file);
        let mut process = Self { child: command.spawn().unwrap(), base: String::new() };
        for _ in 0..500 {
            let text = std::fs::read_to_string(log).unwrap();
            if let Some((_, line)) = text.split_once("binhost.listen=")
                && let Some((address, _)) = line.split_once('\n')
            {
                process.base = format!("http://{address}");
                return process;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        process.kill();
        panic!("the binhost does not say where it listens");
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.find_map(|line| line.split("binhost.listen=").nth(1).map(str::to_owned));
        let base = format!("http://{}", listening.expect("the binhost says where it listens").trim());
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    pub(crate) fn drone(&self) -> BinhostClient {
        BinhostClient::new(&self.base, attempt(now(), 1 << 30))
    }

    pub(crate) fn orchestrator(&self) -> BinhostClient {
        BinhostClient::new(&self.base, control(now()))
    }

    async fn paths(&self) -> Vec<String> {
        let index =
            self.orchestrator().staging(&target(), RUN, "Packages").await.unwrap().text().await.unwrap();
        values(&index, "PATH")
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }
}

fn stage(number: i64) -> (Stage, Vec<u8>) {
    let cpv = format!("dev-libs/lib{number}-1.0");
    let bytes = Package::new(&cpv, 1).bytes();
    let stage = Stage {
        package: PackageId(number),
        attempt: AttemptId(number),
        built: Digest::of(&bytes),
        expected: expected(&cpv, 1),
    };
    (stage, bytes)
}

#[tokio::test]
async fn killed_after_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let (stage, bytes) = stage(1);
    let process = Process::start(directory.path());
    process.drone().upload(stage.built, bytes.len() as u64, bytes).await.unwrap();
    process.kill();

    let process = Process::start(directory.path());
    let staged = process.orchestrator().stage(&target(), RUN, &stage).await.unwrap();
    process.kill();

    let process = Process::start(directory.path());
    assert_eq!(process.orchestrator().stage(&target(), RUN, &stage).await.unwrap(), staged);
    assert_eq!(process.paths().await, std::slice::from_ref(&staged.path));
    let prepare = Prepare { artifacts: vec![staged.published], system: vec![], provided: provided() };
    let prepared = process.orchestrator().prepare(&target(), GenerationNumber(1), &prepare).await.unwrap();
    process.kill();

    let process = Process::start(directory.path());
    let again = process.orchestrator().prepare(&target(), GenerationNumber(1), &prepare).await.unwrap();
    assert_eq!(again, prepared);
    let promote = Promote { number: GenerationNumber(1), expect: None };
    let current = process.orchestrator().promote(&target(), &promote).await.unwrap();
    process.kill();

    let process = Process::start(directory.path());
    assert_eq!(process.orchestrator().current(&target()).await.unwrap(), current);
    assert_eq!(process.orchestrator().promote(&target(), &promote).await.unwrap(), current);
    let file = reqwest::get(format!("{}/binhost/amd64/{}", process.base, staged.path)).await.unwrap();
    assert_eq!(Digest::of(&file.bytes().await.unwrap()), staged.published);
    process.kill();
}

/// Many artifacts on their way at once, and a kill when some of them have arrived: what was confirmed is there, what
/// was not can be repeated, and the index is never torn.
#[tokio::test]
async fn killed_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts: Vec<_> = (1..=24).map(stage).collect();
    for survivors in [1, 3, 6, 12, 20] {
        let process = Process::start(directory.path());
        let (drone, orchestrator) = (process.drone(), process.orchestrator());
        let mut running = tokio::task::JoinSet::new();
        for (stage, bytes) in artifacts.clone() {
            let (drone, orchestrator) = (drone.clone(), orchestrator.clone());
            running.spawn(async move {
                drone.upload(stage.built, bytes.len() as u64, bytes).await?;
                orchestrator.stage(&target(), RUN, &stage).await
            });
        }
        let mut confirmed = Vec::new();
        while confirmed.len() < survivors {
            confirmed.push(running.join_next().await.unwrap().unwrap().unwrap().path);
        }
        process.kill();
        while let Some(late) = running.join_next().await {
            // Answered before the kill was felt, or not at all.
            confirmed.extend(late.unwrap().ok().map(|staged| staged.path));
        }
        let process = Process::start(directory.path());
        let paths = process.paths().await;
        assert!(confirmed.iter().all(|path| paths.contains(path)), "{confirmed:?} in {paths:?}");
        assert!(names(&directory.path().join("store/uploads")).is_empty());
        process.kill();
    }
    let process = Process::start(directory.path());
    for (stage, bytes) in artifacts {
        process.drone().upload(stage.built, bytes.len() as u64, bytes).await.unwrap();
        process.orchestrator().stage(&target(), RUN, &stage).await.unwrap();
    }
    assert_eq!(process.paths().await.len(), 24);
    process.kill();
}

#[tokio::test]
async fn killed_while_preparing_and_promoting() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path());
    let mut published = Vec::new();
    for (stage, bytes) in (1..=40).map(stage) {
        process.drone().upload(stage.built, bytes.len() as u64, bytes).await.unwrap();
        published.push(process.orchestrator().stage(&target(), RUN, &stage).await.unwrap().published);
    }
    let mut before = None;
    for number in 1..=8 {
        let (number, orchestrator) = (GenerationNumber(number), process.orchestrator());
        let prepare = Prepare { artifacts: published.clone(), system: vec![], provided: provided() };
        let promote = Promote { number, expect: before };
        let both = tokio::spawn(async move {
            orchestrator.prepare(&target(), number, &prepare).await?;
            orchestrator.promote(&target(), &promote).await
        });
        // From nothing begun to all done, as the generation's files come.
        let new = directory.path().join(format!("store/targets/amd64/generations/.new-{number}"));
        if number.0 % 2 == 0 {
            eventually("something of the generation", || new.exists() || both.is_finished()).await;
        }
        process.kill();
        let confirmed = both.await.unwrap().ok();
        process = Process::start(directory.path());
        let current = process.orchestrator().current(&target()).await.unwrap();
        if let Some(confirmed) = confirmed {
            assert_eq!(current, confirmed);
        }
        assert!(current.number == Some(number) || current.number == before, "{current:?}");
        let prepare = Prepare { artifacts: published.clone(), system: vec![], provided: provided() };
        process.orchestrator().prepare(&target(), number, &prepare).await.unwrap();
        process.orchestrator().promote(&target(), &Promote { number, expect: before }).await.unwrap();
        let index = reqwest::get(format!("{}/binhost/amd64/Packages", process.base)).await.unwrap();
        assert_eq!(values(&index.text().await.unwrap(), "PATH").len(), 40);
        before = Some(number);
    }
    process.kill();
}

#[tokio::test]
async fn sigterm_lets_a_request_end_and_a_second_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    for signals in [1, 2] {
        let mut process = Process::start(directory.path());
        let bytes = vec![signals; 100_000];
        let digest = Digest::of(&bytes);
        let mut stream = std::net::TcpStream::connect(process.base.trim_start_matches("http://")).unwrap();
        let ticket = attempt(now(), 1 << 30);
        write!(stream, "PUT /api/v1/uploads/{digest} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {ticket}\r\nContent-Length: {}\r\n\r\n", bytes.len()).unwrap();
        stream.write_all(&bytes[..50_000]).unwrap();
        let uploads = directory.path().join("store/uploads");
        eventually("the upload's beginning", || !names(&uploads).is_empty()).await;
        process.signal("TERM");
        let address = process.base.trim_start_matches("http://").to_owned();
        eventually("a closed port", || std::net::TcpStream::connect(&address).is_err()).await;
        if signals == 2 {
            process.signal("TERM");
            assert_eq!(process.child.wait().unwrap().code(), Some(1));
            continue;
        }
        stream.write_all(&bytes[50_000..]).unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 201 Created\r\n");
        assert_eq!(process.child.wait().unwrap().code(), Some(0));
    }
}

/// A generation with one file that no socket's buffers hold: its path and its digest.
async fn large(process: &Process) -> (String, Digest) {
    let bytes = Package::new("dev-libs/large-1", 1).image(vec![7; 16 << 20]).compression("").bytes();
    let built = Digest::of(&bytes);
    process.drone().upload(built, bytes.len() as u64, bytes).await.unwrap();
    let stage = Stage {
        package: PackageId(1),
        attempt: AttemptId(1),
        built,
        expected: expected("dev-libs/large-1", 1),
    };
    let staged = process.orchestrator().stage(&target(), RUN, &stage).await.unwrap();
    let (number, prepare) = (
        GenerationNumber(1),
        Prepare { artifacts: vec![staged.published], provided: provided(), ..Prepare::default() },
    );
    process.orchestrator().prepare(&target(), number, &prepare).await.unwrap();
    process.orchestrator().promote(&target(), &Promote { number, expect: None }).await.unwrap();
    (format!("/binhost/amd64/{}", staged.path), staged.published)
}

/// What a client has begun to read when SIGTERM comes, it may read to the end; one that takes for ever is left.
#[tokio::test]
async fn sigterm_lets_a_download_end_within_the_time() {
    for (drain_seconds, patient) in [(60, true), (1, false)] {
        let directory = tempfile::tempdir().unwrap();
        let config = Process::config(directory.path());
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}[limits]\ndrain_seconds = {drain_seconds}\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_build-binhost"));
        let mut process = Process::spawn(command.args(["serve", "--config"]).arg(&config));
        let (path, _) = large(&process).await;
        let address = process.base.trim_start_matches("http://").to_owned();
        let mut idle = std::net::TcpStream::connect(&address).unwrap();
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
        let mut start = vec![0; 1 << 20];
        stream.read_exact(&mut start).unwrap();
        process.signal("TERM");
        eventually("a closed port", || std::net::TcpStream::connect(&address).is_err()).await;
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection is ended at once");
        if patient {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.len() > 15 << 20, "{}", rest.len());
        }
        eventually("the end", || process.child.try_wait().unwrap().is_some()).await;
        assert_eq!(process.child.wait().unwrap().code(), Some(0));
    }
}

/// wget's own way: what was cut off goes on where it ended, over another connection to another process.
#[tokio::test]
async fn a_download_cut_by_kill_is_resumed_by_wget() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path());
    let (path, digest) = large(&process).await;
    let file = directory.path().join("download");
    let wget = |base: &str, more: &[&str]| {
        let mut wget = Command::new("wget");
        wget.args(["--no-config", "-q", "-c", "--tries=1", "-O"])
            .arg(&file)
            .args(more)
            .arg(format!("{base}{path}"));
        wget.spawn().unwrap()
    };
    let mut first = wget(&process.base, &["--limit-rate=4m"]);
    let length = || std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    eventually("the download's beginning", || length() > 1 << 20).await;
    process.kill();
    assert!(!first.wait().unwrap().success());
    let part = length();
    assert!(part < 16 << 20, "{part}");
    let process = Process::start(directory.path());
    assert!(wget(&process.base, &[]).wait().unwrap().success());
    assert_eq!(Digest::of(&std::fs::read(&file).unwrap()), digest);
    process.kill();
}

#[test]
fn one_process_per_directory() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path());
    let second = Command::new(env!("CARGO_BIN_EXE_build-binhost"))
        .args(["serve", "--config"])
        .arg(directory.path().join("binhost.toml"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8(second.stderr).unwrap().contains("held by another binhost"));
    process.kill();
}

#[test]
fn the_configuration_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let config = Process::config(directory.path());
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_build-binhost"));
        command.args(["serve", "--check-config", "--config"]).arg(&config).output().unwrap()
    };
    let good = check();
    assert!(
        good.status.success()
            && String::from_utf8(good.stdout).unwrap().contains("the configuration is good")
    );
    assert!(!directory.path().join("store").exists(), "checking opens nothing");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("listen", "lisen")).unwrap();
    let bad = check();
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(!bad.status.success() && said.contains("binhost.toml") && said.contains("line 2"), "{said}");
    assert!(said.contains("unknown field `lisen`"), "{said}");
}
