//! Uploads over loopback, hashed and fsynced, beside what the same machine needs for the hash and the disk alone; and
//! the memory that the binhost takes for it.

use crate::common::report;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_tests::binhost::Binhost;

/// What travels at a time.
const CHUNK: usize = 1 << 20;
const ROUNDS: u8 = 3;

async fn upload(binhost: &Binhost, bytes: &'static [u8], digest: Digest) {
    let pieces = bytes.chunks(CHUNK).map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    binhost.drone.upload(digest, bytes.len() as u64, body).await.unwrap();
}

/// Bytes that differ from round to round; they live as long as the process, so that sending them copies nothing.
fn content(size: usize, round: u8) -> &'static [u8] {
    let piece: Vec<u8> = (0..=250_u8).cycle().take(CHUNK).map(|byte| byte ^ round).collect();
    Vec::leak(piece.into_iter().cycle().take(size).collect())
}

#[expect(clippy::cast_precision_loss, reason = "sizes below 2^53")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The hash alone, then the disk alone, in MiB per second.
fn alone(directory: &Path, bytes: &[u8]) -> (f64, f64, Digest) {
    let began = Instant::now();
    let digest = Digest::of(bytes);
    let hashing = mib(bytes.len()) / began.elapsed().as_secs_f64();
    let path = directory.join("alone");
    let began = Instant::now();
    let mut file = File::create(&path).unwrap();
    bytes.chunks(CHUNK).for_each(|piece| file.write_all(piece).unwrap());
    file.sync_all().unwrap();
    let writing = mib(bytes.len()) / began.elapsed().as_secs_f64();
    std::fs::remove_file(path).unwrap();
    (hashing, writing, digest)
}

async fn measure(name: &str, size: usize, count: u8) -> Value {
    let binhost = Binhost::start(Ipv4Addr::LOCALHOST.into(), "bench-upload").await;
    let before = binhost.peak_mib();
    let (mut hashing, mut writing, mut uploading) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS * count {
        let bytes = content(size, round);
        let (hash, write, digest) = alone(binhost.path(), bytes);
        let began = Instant::now();
        upload(&binhost, bytes, digest).await;
        uploading.push(mib(size) / began.elapsed().as_secs_f64());
        hashing.push(hash);
        writing.push(write);
    }
    json!({
        "name": format!("upload {name}"), "bytes": size, "uploads": ROUNDS * count,
        "upload_mib_per_second": report::spread(&uploading),
        "blake3_alone_mib_per_second": report::spread(&hashing),
        "write_and_fsync_alone_mib_per_second": report::spread(&writing),
        "binhost_peak_mib": { "idle": report::rounded(before), "after": report::rounded(binhost.peak_mib()) },
    })
}

/// Runs it.
pub(crate) async fn run() {
    for (name, size, count) in [("20 KiB", 20 << 10, 60), ("1 MiB", 1 << 20, 20), ("1 GiB", 1 << 30, 1)] {
        report::line(&measure(name, size, count).await);
    }
}
