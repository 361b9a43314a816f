//! A few seeds of chaos; `make chaos SEEDS=1000` is the long run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use swarm_chaos::storm::weather;

fn lives_through(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let report = weather(seed, false).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(report.violations.is_empty(), "{report:#?}");
    }
}

#[test]
fn seeds_0_and_1() {
    lives_through(0..2);
}

#[test]
fn seeds_2_and_3() {
    lives_through(2..4);
}

#[test]
fn seeds_4_and_5() {
    lives_through(4..6);
}
