//! Fuzzing of every parser, on stable Rust and for a bounded time: the files of `corpus/PARSER/` and what `mutate` makes
//! of them. A parser may refuse an input but must not panic, and what it accepts must hold what `targets` says.
//!
//! `FUZZ_ROUNDS=1000000 cargo test --release -p build-binhost --test fuzz` looks longer, with the same inputs first. An
//! input that fails is written beside the test's other temporary files; put into the corpus, it is tried ever after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

mod mutate;
mod targets;

use mutate::Mutator;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Some seconds for all parsers together, unoptimised.
const ROUNDS: u64 = 2000;

fn fuzz(parser: &str, target: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(parser);
    let mut files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty());
    for input in &corpus {
        attempt(parser, &target, input);
    }
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut mutator = Mutator::new(&corpus);
    for _ in 0..rounds {
        attempt(parser, &target, &mutator.input());
    }
}

fn attempt(parser: &str, target: &impl Fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{parser}"));
        fs::write(&path, input).unwrap();
        eprintln!("the input that fails is {}", path.display());
        resume_unwind(panic);
    }
}

#[test]
fn gpkg() {
    fuzz("gpkg", targets::gpkg);
}

#[test]
fn xpak() {
    fuzz("xpak", targets::xpak);
}

#[test]
fn packages() {
    fuzz("packages", targets::packages);
}

#[test]
fn cache() {
    fuzz("cache", targets::cache);
}
