//! What signing adds to a stage call, whose other part reads and verifies the package: the same packages staged at a
//! binhost that signs and at one that does not, in turns. The memory is the signing one's, at its highest.

use crate::{noise, report};
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Instant;
use swarm_tests::binhost::{Binhost, expected};
use swarm_tests::gpkg;

const CASES: [(usize, i32); 3] = [(20 << 10, 100), (1 << 20, 30), (100 << 20, 5)];

async fn start(signing: bool) -> Binhost {
    let lines = format!("[signing]\nenabled = {signing}\n");
    Binhost::configured(Ipv4Addr::LOCALHOST.into(), "bench-signing", &lines).await
}

/// Uploads and stages a package; how long the stage call took, in milliseconds.
async fn stage(binhost: &Binhost, build_id: i32, size: usize) -> f64 {
    let expected = expected("bench/package-1", build_id);
    let bytes = gpkg::package_of(
        &expected.cpv,
        expected.build_id,
        &[],
        &noise::bytes(build_id.unsigned_abs().into(), size),
    );
    let uploaded = binhost.upload_bytes(build_id.into(), expected, bytes).await;
    let begun = Instant::now();
    binhost.stage(&uploaded).await;
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Prints a line for each size.
pub(crate) async fn run() {
    let (signing, plain) = (start(true).await, start(false).await);
    let mut build_id = 0;
    for (bytes, rounds) in CASES {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            build_id += 1;
            without.push(stage(&plain, build_id, bytes).await);
            with.push(stage(&signing, build_id, bytes).await);
        }
        report::line(&json!({
            "name": "signing", "unit": "ms", "image_bytes": bytes, "n": rounds,
            "stage_signed": report::spread(&with), "stage_unsigned": report::spread(&without),
            "highest_memory_mib": report::rounded(signing.peak_mib()),
        }));
    }
}
