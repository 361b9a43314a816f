//! `build-binhost reindex` beside `emaint binhost --fix` on the same packages: many small ones, where the reading of each
//! counts, and few large ones, where the hashing of the index's MD5 and SHA-1 does. Both start as processes, on copies of
//! one directory whose bytes are in the page cache; `cold` has neither index nor cache, `warm` has both.

use crate::report;
use serde_json::json;
use std::fs;
use std::process::Command;
use std::time::Instant;
use swarm_tests::pkgdirs::Pkgdirs;

const ROUNDS: usize = 3;
const SMALL: (u32, u32) = (1000, 2 << 10);
const LARGE: (u32, u32) = (8, 64 << 20);

fn timed(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1000.0
}

/// Milliseconds of each round, each on a fresh copy.
fn rounds(pkgdirs: &Pkgdirs, mut work: impl FnMut(&str)) -> Vec<f64> {
    let round = |_| {
        pkgdirs.copy("packages", "round");
        let time = timed(|| work("round"));
        fs::remove_dir_all(pkgdirs.path("round")).unwrap();
        time
    };
    (0..ROUNDS).map(round).collect()
}

fn median(times: &[f64]) -> f64 {
    report::spread(times)["median"].as_f64().unwrap()
}

/// What hashing alone costs: coreutils over the same files, on all cores.
fn hashing(pkgdirs: &Pkgdirs) -> Vec<f64> {
    let script =
        "find \"$0\" -name '*.gpkg.tar' | xargs -P \"$(nproc)\" -n 1 sh -c 'md5sum \"$0\"; sha1sum \"$0\"'";
    rounds(pkgdirs, |name| {
        let hashed = Command::new("sh").args(["-c", script]).arg(pkgdirs.path(name)).output().unwrap();
        assert!(hashed.status.success());
    })
}

fn measure(name: &str, (count, bytes): (u32, u32)) {
    let pkgdirs = Pkgdirs::start();
    pkgdirs.fill("packages", 1, count, &bytes.to_string());
    let emaint = rounds(&pkgdirs, |name| pkgdirs.emaint(name, "--fix"));
    let cold = rounds(&pkgdirs, |name| drop(pkgdirs.reindex_ok(name)));
    let hashing = hashing(&pkgdirs);
    assert_eq!(pkgdirs.reindex_ok("packages")["packages"], count);
    let warm: Vec<_> = (0..ROUNDS).map(|_| timed(|| drop(pkgdirs.reindex_ok("packages")))).collect();
    let mebibytes = f64::from(count) * f64::from(bytes) / f64::from(1 << 20);
    report::line(&json!({
        "name": format!("reindex-{name}"),
        "packages": count,
        "image_bytes": bytes,
        "emaint_ms": report::spread(&emaint),
        "cold_ms": report::spread(&cold),
        "warm_ms": report::spread(&warm),
        "hashing_ms": report::spread(&hashing),
        "mebibytes_per_second": report::rounded(mebibytes / median(&cold) * 1000.0),
        "emaint_to_cold": report::rounded(median(&emaint) / median(&cold)),
        "emaint_to_warm": report::rounded(median(&emaint) / median(&warm)),
        "hashing_to_cold": report::rounded(median(&hashing) / median(&cold)),
    }));
}

pub(crate) fn run() {
    measure("small", SMALL);
    measure("large", LARGE);
}
