//! A generation of 2,500 packages: how long it takes to prepare, and to switch to; forth, and back as rollbacks are, by
//! publishing the earlier set again. First with nobody reading, then among 50 clients that read in a loop.
//!
//! A client reads the index, then some of the files it lists. A mixed set is an index that does not hold what its header
//! says, or a listed file that is missing or has other bytes than the index says.

use crate::report;
use futures::{StreamExt, stream};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_tests::binhost::Binhost;
use swarm_tests::readers::Readers;

const PACKAGES: i64 = 2_500;
const REBUILT: i64 = 60;
const TURNS: usize = 10;
const READERS: usize = 50;

/// Publishes every package once, and some of them a second time: two sets.
async fn sets(binhost: &Binhost) -> [Vec<Digest>; 2] {
    let publish = async |(number, build_id): (i64, i32)| {
        let cpv = format!("cat-{}/package{number}-1.{}", number % 83, number % 10);
        binhost.publish(number * 10 + i64::from(build_id), &cpv, build_id).await
    };
    let first: Vec<_> =
        stream::iter((0..PACKAGES).map(|number| (number, 1))).map(publish).buffered(16).collect().await;
    let rebuilt: Vec<_> =
        stream::iter((0..REBUILT).map(|number| (number * 41, 2))).map(publish).buffered(16).collect().await;
    let mut second = first.clone();
    for (number, digest) in rebuilt.into_iter().enumerate() {
        second[number * 41] = digest;
    }
    [first, second]
}

pub(crate) async fn run() {
    let binhost = Arc::new(Binhost::start(Ipv4Addr::LOCALHOST.into(), "bench-promote").await);
    let sets = sets(&binhost).await;
    let mut number = 0;
    turns(&binhost, &sets, &mut number, 0).await;
    turns(&binhost, &sets, &mut number, READERS).await;
}

async fn turns(binhost: &Arc<Binhost>, sets: &[Vec<Digest>; 2], number: &mut i64, readers: usize) {
    let readers_at_work = Readers::start(readers, &binhost.public(""));
    let (mut prepare, mut switch) = (Vec::new(), Vec::new());
    for set in sets.iter().cycle().take(2 * TURNS) {
        *number += 1;
        let begun = Instant::now();
        let prepared = binhost.prepare(*number, set).await;
        prepare.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(prepared.packages, PACKAGES.unsigned_abs());
        let begun = Instant::now();
        binhost.promote(*number).await.unwrap();
        switch.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let seen = readers_at_work.end().await;
    report::line(&json!({
        "name": "promote", "unit": "ms", "packages": PACKAGES, "n": 2 * TURNS, "readers": readers,
        "prepare": report::percentiles(&prepare), "switch": report::percentiles(&switch),
        "indexes_read": seen.indexes, "generations_seen": seen.timestamps.len(), "files_checked": seen.files,
        "mixed_sets": seen.mixed.len(),
    }));
    assert!(seen.mixed.is_empty(), "{:?}", seen.mixed);
}
