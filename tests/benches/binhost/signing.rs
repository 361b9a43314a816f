//! What signing adds to a stage call, whose other part reads and verifies the package: the same packages staged at a
//! binhost that signs and at one that does not, in turns. The memory is the signing one's, at its highest.

use crate::report;
use blake2::Blake2b512;
use serde_json::json;
use sha2::{Digest as _, Sha512};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_protocol::binhost::{Expected, Stage};
use swarm_protocol::client::BinhostClient;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, BuildId, PackageId, RunId};
use swarm_protocol::ticket::{Scope, Ticket, TicketSigner};
use swarm_tests::gpkg::{hex, tar};
use swarm_tests::port::Port;
use swarm_tests::process::{Process, binary};
use swarm_tests::wait;
use tempfile::TempDir;

const RUN: RunId = RunId(1);
const CASES: [(usize, i32); 3] = [(20 << 10, 100), (1 << 20, 30), (100 << 20, 5)];

struct Binhost {
    _directory: TempDir,
    port: Port,
    process: Process,
}

impl Binhost {
    async fn start(signing: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into());
        let (path, key) = (directory.path().display(), tickets().verifier());
        let config = format!(
            "listen = \"{}\"\ndirectory = \"{path}/store\"\nticket_key = \"{key}\"\n[signing]\nenabled = {signing}\n",
            port.address
        );
        fs::write(directory.path().join("binhost.toml"), config).unwrap();
        let mut command = Command::new(binary("build-binhost"));
        command.arg("serve").arg("--config").arg(directory.path().join("binhost.toml"));
        let process = Process::start(&mut command, &directory.path().join("log"));
        let url = format!("http://{}/readyz", port.address);
        wait::until(20, "the binhost", async || reqwest::get(&url).await.ok()?.error_for_status().ok()).await;
        Self { _directory: directory, port, process }
    }

    fn client(&self, scope: Scope) -> BinhostClient {
        let ticket = tickets().sign(&Ticket { scope, expires: i64::MAX });
        BinhostClient::new(&format!("http://{}", self.port.address), ticket)
    }

    /// Uploads and stages a package; how long the stage call took, in milliseconds.
    async fn stage(&self, build_id: i32, bytes: Vec<u8>) -> f64 {
        let (target, built): (TargetName, _) = ("bench".parse().unwrap(), Digest::of(&bytes));
        let (package, attempt) = (PackageId(build_id.into()), AttemptId(build_id.into()));
        let scope = Scope::Attempt { target: target.clone(), run: RUN, package, attempt, max_bytes: 1 << 30 };
        self.client(scope).upload(built, bytes.len() as u64, bytes).await.unwrap();
        let expected = Expected {
            cpv: "bench/package-1".parse().unwrap(),
            slot: "0".parse().unwrap(),
            repository: "bench".parse().unwrap(),
            use_flags: vec![],
            build_id: BuildId(build_id),
            chost: "x86_64-pc-linux-gnu".to_owned(),
            flags: vec![],
        };
        let (control, stage) = (self.client(Scope::Control), Stage { package, attempt, built, expected });
        let begun = Instant::now();
        control.stage(&target, RUN, &stage).await.unwrap();
        begun.elapsed().as_secs_f64() * 1000.0
    }

    fn highest_memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

fn tickets() -> TicketSigner {
    TicketSigner::new(&[7; 32])
}

/// A package whose image is `size` bytes that nothing decompresses.
fn package(build_id: i32, size: usize) -> Vec<u8> {
    let values = [
        ("CATEGORY", "bench"),
        ("PF", "package-1"),
        ("SLOT", "0"),
        ("repository", "bench"),
        ("CHOST", "x86_64-pc-linux-gnu"),
        ("BUILD_ID", &build_id.to_string()),
    ];
    let metadata = values.map(|(key, value)| (format!("metadata/{key}"), value.as_bytes().to_vec()));
    let metadata = zstd::encode_all(&tar(&metadata)[..], 1).unwrap();
    let image = image(build_id, size);
    let mut members = vec![("gpkg-1", Vec::new()), ("metadata.tar.zst", metadata), ("image.tar.zst", image)];
    let line = |(name, bytes): &(&str, Vec<u8>)| {
        let (blake2b, sha512) = (hex(Blake2b512::digest(bytes)), hex(Sha512::digest(bytes)));
        format!("DATA {name} {} BLAKE2B {blake2b} SHA512 {sha512}\n", bytes.len())
    };
    let manifest: String = members.iter().map(line).collect();
    members.push(("Manifest", manifest.into_bytes()));
    let members: Vec<_> =
        members.into_iter().map(|(name, bytes)| (format!("package-1-{build_id}/{name}"), bytes)).collect();
    tar(&members)
}

/// Bytes that differ from package to package.
fn image(seed: i32, size: usize) -> Vec<u8> {
    let block = Sha512::digest(seed.to_le_bytes());
    block.iter().copied().cycle().take(size).collect()
}

/// Prints a line for each size.
pub(crate) async fn run() {
    let (signing, plain) = (Binhost::start(true).await, Binhost::start(false).await);
    let mut build_id = 0;
    for (bytes, rounds) in CASES {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            build_id += 1;
            let package = package(build_id, bytes);
            without.push(plain.stage(build_id, package.clone()).await);
            with.push(signing.stage(build_id, package).await);
        }
        report::line(&json!({
            "name": "signing", "unit": "ms", "image_bytes": bytes, "n": rounds,
            "stage_signed": report::spread(&with), "stage_unsigned": report::spread(&without),
            "highest_memory_kib": signing.highest_memory_kib(),
        }));
    }
}
