//! Packages that behave badly, with Portage itself: each is contained, and said what it did; nothing of it stays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod bench;

use bench::{BASE, Bench, REPO, claim, failure};
use build_drone::failure::Failure;
use build_drone::live::Live;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::id::SessionId;
use swarm_protocol::state::FailureClass;

/// emerge itself is a Python of some sixty megabytes, and three processes.
const LIMITS: &str = "[[limits]]\nmemory_bytes = 192000000\nprocesses = 100\ndisk_bytes = 64000000\n";

async fn fails(bench: &Bench, cpv: &str) -> Failure {
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim(cpv, 1, vec![]), pool.path()).await;
    bench.nothing_is_left();
    failure(result, &log)
}

async fn exceeds(cpv: &str, says: &str) {
    let Some(bench) = Bench::with(LIMITS) else { return };
    let failure = fails(&bench, cpv).await;
    assert_eq!(failure.class, FailureClass::Resources, "{failure:?}");
    assert!(failure.reason.contains(says) && failure.reason.contains("while building"), "{failure:?}");
    let (result, log) = bench.build(claim("swarm-test/trivial-1", 2, vec![]), bench.state.path()).await;
    assert!(result.is_ok(), "the next package is built: {result:?}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_memory() {
    exceeds("swarm-test/eats-memory-1", "more than 183 MiB of memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_without_end() {
    exceeds("swarm-test/forks-1", "more than 100 processes and threads").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    exceeds("swarm-test/fills-disk-1", "wrote more than 61 MiB").await;
}

/// A single file meets the kernel's own limit, at its byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_too_large() {
    let Some(bench) = Bench::with("[[limits]]\ndisk_bytes = 500000\n") else { return };
    let failure = fails(&bench, "swarm-test/fills-disk-1").await;
    assert_eq!(failure.class, FailureClass::Resources, "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_for_ever() {
    let Some(bench) = Bench::new() else { return };
    let live = Live::new(claim("swarm-test/slow-1", 1, vec![]), SessionId(1));
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.run(&live, pool.path(), Duration::from_secs(8)).await;
    let failure = failure(result, &log);
    assert_eq!(failure.class, FailureClass::Resources, "{failure:?}");
    assert!(failure.reason.contains("time limit"), "{failure:?}");
    bench.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_outside() {
    let Some(bench) = Bench::new() else { return };
    let failure = fails(&bench, "swarm-test/outside-1").await;
    assert_eq!(failure.class, FailureClass::Package, "{failure:?}");
    assert!(failure.excerpt.contains("nothing outside can be written"), "{failure:?}");
    for place in [&format!("{BASE}/etc"), REPO] {
        assert!(!Path::new(place).join("swarm-escaped").exists(), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket() {
    let Some(bench) = Bench::new() else { return };
    let failure = fails(&bench, "swarm-test/opens-socket-1").await;
    assert_eq!(failure.class, FailureClass::Package, "{failure:?}");
    assert!(failure.reason.contains("it needs the network"), "{failure:?}");
}

/// Portage gives the network to the phase that asks for it and takes it from the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_declared_network() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("swarm-test/networked-1", 1, vec![]), pool.path()).await;
    assert!(result.is_ok(), "{result:?}\n{log}");
}

/// With a rule, the phase that asks for nothing has a network, and the test's package says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_by_configuration() {
    let Some(bench) = Bench::with("[[limits]]\natom = 'swarm-test/networked'\nnetwork = true\n") else {
        return;
    };
    let failure = fails(&bench, "swarm-test/networked-1").await;
    assert!(failure.excerpt.contains("a live ebuild compiles with"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_build_used() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("sys-libs/zlib-1.2.13", 1, vec![]), pool.path()).await;
    assert!(result.is_ok(), "{result:?}\n{log}");
    let usage = bench.usage();
    assert!(usage.is_sane() && usage.sampled, "{usage:?}");
    assert!(usage.user_seconds > 1.0 && usage.system_seconds > 0.1, "a configure and a compiler: {usage:?}");
    assert!(((20 << 20)..(2 << 30)).contains(&usage.peak_memory_bytes), "{usage:?}");
    let phases = usage.phases;
    assert!(phases.unpack > 0.0 && phases.configure > phases.unpack && phases.compile > 0.0, "{usage:?}");
    let all: f64 = phases.named().iter().map(|(_, seconds)| seconds).sum();
    assert!(all < usage.build_seconds, "{usage:?}");
    assert!(usage.written_bytes > 0 && usage.build_seconds > usage.fetch_seconds, "{usage:?}");
    if std::env::var_os("SHOW_LOG").is_some() {
        println!("{usage:?}");
    }
}
