//! The steps inside a root, with Portage itself: needs the Gentoo box's base root (`tests/gentoo-box/setup`) and root.
//! Where there is none, these tests say so and pass: the end-to-end tests make one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod bench;

use bench::{BASE, Bench, claim, failure};
use build_drone::artifact::Artifact;
use build_drone::live::{Cancelled, Live};
use build_drone::stop::Stop;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use swarm_protocol::drone::Dependency;
use swarm_protocol::id::{BuildId, SessionId};
use swarm_protocol::state::FailureClass;

fn dependency(cpv: &str, build_id: i32, artifact: &Artifact) -> Dependency {
    let cpv: swarm_protocol::gentoo::Cpv = cpv.parse().unwrap();
    Dependency {
        path: format!("{}/{}-{build_id}.gpkg.tar", cpv.cp(), cpv.pf()),
        build_id: BuildId(build_id),
        published: artifact.digest,
        size: artifact.size,
        cpv,
    }
}

/// zlib with a seeded BUILD_ID, then pigz that needs exactly that zlib.
#[tokio::test(flavor = "multi_thread")]
async fn a_library_and_a_program_on_it() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (zlib, log) = bench.build(claim("sys-libs/zlib-1.2.13", 42, vec![]), pool.path()).await;
    let zlib = zlib.unwrap_or_else(|error| panic!("{error:?}\n{log}"));
    let closure = vec![dependency("sys-libs/zlib-1.2.13", 42, &zlib)];
    let (pigz, log) = bench.build(claim("app-arch/pigz-2.8", 1, closure), pool.path()).await;
    let pigz = pigz.unwrap_or_else(|error| panic!("{error:?}\n{log}"));
    assert!(pigz.path.ends_with("app-arch/pigz/pigz-2.8-1.gpkg.tar"));
    if std::env::var_os("SHOW_LOG").is_some() {
        println!("{log}");
    }
    let index = fs::read_to_string(pool.path().join("Packages")).unwrap();
    assert!(index.contains("REQUIRES: "), "scanelf did its work:\n{index}");
}

/// Without its dependency in the closure, a package is not built: the drone and the plan are out of step.
#[tokio::test(flavor = "multi_thread")]
async fn a_closure_that_lacks_something_is_an_epoch_failure() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("app-arch/pigz-2.8", 1, vec![]), pool.path()).await;
    let failure = failure(result, &log);
    assert_eq!(failure.class, FailureClass::Epoch, "{log}");
    assert!(failure.reason.contains("zlib"), "{}", failure.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("swarm-test/fails-1", 1, vec![]), pool.path()).await;
    let fails = failure(result, &log);
    assert_eq!(fails.class, FailureClass::Package, "{log}");
    assert!(fails.excerpt.contains("fails on purpose"), "{}", fails.excerpt);
    let (result, log) = bench.build(claim("swarm-test/absent-1", 2, vec![]), pool.path()).await;
    assert_eq!(failure(result, &log).class, FailureClass::Epoch, "{log}");
}

/// A build that is killed, by its limit or by a revocation, leaves no process and no mount.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let slow = Live::new(claim("swarm-test/slow-1", 3, vec![]), SessionId(1));
    let cancel = async {
        // The log says when it compiles; nothing else is known to change then.
        while slow.held().phase.is_none_or(|phase| phase != "building: compile") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = slow.held().progress;
        while slow.held().progress <= before + 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slow.cancel(Cancelled::Revoked);
    };
    let ((result, log), ()) = tokio::join!(bench.run(&slow, pool.path(), Duration::from_mins(5)), cancel);
    assert!(matches!(result, Err(Stop::Cancelled)), "{result:?}\n{log}");
    let limited = Live::new(claim("swarm-test/slow-1", 4, vec![]), SessionId(1));
    let (result, log) = bench.run(&limited, pool.path(), Duration::from_secs(8)).await;
    assert_eq!(failure(result, &log).class, FailureClass::Resources, "{log}");
    bench.nothing_is_left();
}

/// What ccache counts in a directory, by the base root's own ccache: hits and misses.
fn counted(directory: &Path) -> (u64, u64) {
    let script = format!(
        "mount --bind {} {BASE}/mnt && CCACHE_DIR=/mnt chroot {BASE} ccache --print-stats",
        directory.display()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        line.unwrap_or_else(|| panic!("no {name}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    };
    (count("direct_cache_hit") + count("preprocessed_cache_hit"), count("cache_miss"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_has_compiled_it_does_not_compile_again() {
    let Some(bench) = Bench::with("[ccache]\nmax_bytes = 100000000\n") else { return };
    let pool = tempfile::tempdir().unwrap();
    let caches = bench.state.path().join("ccache");
    let mut counts = Vec::new();
    for build_id in [1, 2] {
        let (result, log) = bench.build(claim("sys-libs/zlib-1.2.13", build_id, vec![]), pool.path()).await;
        assert!(result.is_ok(), "{result:?}\n{log}");
        counts.push(counted(&caches.join("box")));
    }
    let [first, second] = counts[..] else { panic!() };
    let (found, compiled) = (second.0 - first.0, second.1 - first.1);
    // What configure compiles has the number of its process in its name.
    assert!(first.1 > 20 && found > 15 && compiled < first.1 / 2, "{counts:?}");
    let mut other = claim("sys-libs/zlib-1.2.13", 3, vec![]);
    other.target = "laptop".parse().unwrap();
    assert!(bench.build(other, pool.path()).await.0.is_ok());
    assert!(counted(&caches.join("laptop")).1 > 20, "every target has its own");
}
