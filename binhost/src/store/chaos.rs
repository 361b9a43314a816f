//! Everything at once, on one store: uploads, stagings, inheritances, generations, drops, collections, and a clock that
//! jumps by days. What is referred to is there at every moment, and a verification finds nothing in the end.

use super::Store;
use crate::clock::{Clock, SystemClock};
use crate::config::Retention;
use crate::error::Error;
use crate::signing::Keyring;
use crate::testing::Package;
use crate::verify;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use swarm_protocol::binhost::{Expected, Inherit, Prepare, Promote, Provided, Stage};
use swarm_protocol::id::{AttemptId, BuildId, GenerationNumber, PackageId, RunId};
use swarm_protocol::{Code, Digest};

const PACKAGES: u64 = 8;
const BUILDS: u64 = 40;
const RUNS: usize = 4;
const WORKERS: u64 = 6;
const ROUNDS: usize = 120;
const RETENTION: Retention = Retention { generations: 2, days: 1, distfile_bytes: 1 << 20, distfile_days: 1 };
/// A hanging lock fails the test instead of stopping it.
const PATIENCE: Duration = Duration::from_mins(2);

/// Splitmix64: small, and the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

struct World {
    store: Store,
    /// A signed file is another one than the built one, and comes to be while it is staged.
    keyring: Keyring,
    ahead: AtomicI64,
    /// Runs that are dropped are followed by new ones.
    runs: [AtomicU64; RUNS],
    attempts: AtomicI64,
    published: Mutex<BTreeMap<String, Digest>>,
    /// The last generation.
    number: Mutex<i64>,
}

/// What the packages need, and nobody builds.
fn provided() -> Provided {
    Provided {
        packages: vec!["sys-libs/glibc-2.41".parse().unwrap(), "dev-libs/libfoo-1".parse().unwrap()],
        sonames: vec!["x86_64: libc.so.6".parse().unwrap()],
    }
}

fn ok<T>(result: Result<T, Error>, allowed: &[Code]) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Refused(problem)) if allowed.contains(&problem.code) => None,
        Err(error) => panic!("{error}"),
    }
}

impl World {
    fn now(&self) -> i64 {
        SystemClock.now() + self.ahead.load(Ordering::SeqCst)
    }

    fn run(&self, random: &mut Random) -> (usize, RunId) {
        let slot = usize::try_from(random.below(RUNS as u64)).unwrap();
        (slot, RunId(i64::try_from(self.runs[slot].load(Ordering::SeqCst)).unwrap()))
    }

    fn act(&self, random: &mut Random) {
        match random.below(12) {
            0..=4 => self.build(random),
            5 => self.inherit(random),
            6 | 7 => self.publish(random),
            8 => self.drop_run(random),
            9 => {
                let hours = i64::try_from(random.below(30)).unwrap();
                self.ahead.fetch_add(hours * 3600, Ordering::SeqCst);
            }
            _ => drop(self.store.collect(RETENTION, self.now()).unwrap()),
        }
    }

    /// As a drone and the orchestrator: upload unless it is there, then stage.
    fn build(&self, random: &mut Random) {
        let cpv = format!("dev-libs/lib{}-1.0", random.below(PACKAGES));
        // A path whose file was collected has no other for ever.
        let build_id = i32::try_from(random.below(BUILDS)).unwrap() + 1;
        let bytes = Package::new(&cpv, build_id).bytes();
        let (blobs, built) = (&self.store.blobs, Digest::of(&bytes));
        if !blobs.touch(built, &blobs.hold()).unwrap() {
            let mut upload = blobs.upload(built).unwrap();
            upload.write(&bytes).unwrap();
            upload.verified().unwrap().finish(&blobs.hold()).unwrap();
        }
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        let expected = Expected {
            cpv: cpv.parse().unwrap(),
            slot: "0/1".parse().unwrap(),
            repository: "gentoo".parse().unwrap(),
            use_flags: vec!["ssl".parse().unwrap()],
            build_id: BuildId(build_id),
            chost: "x86_64-pc-linux-gnu".to_owned(),
            flags: vec![],
        };
        let stage = Stage { package: PackageId(attempt), attempt: AttemptId(attempt), built, expected };
        let target = self.store.target_or_new(&"amd64".parse().unwrap()).unwrap();
        // Collected when the clock jumped a day after the upload; dropped; staged as another package.
        let allowed = [Code::NotFound, Code::Gone, Code::WrongState, Code::Conflict];
        let (run, now) = (self.run(random).1, self.now());
        if let Some(staged) = ok(target.stage(blobs, Some(&self.keyring), run, &stage, now), &allowed) {
            self.published.lock().unwrap().insert(cpv, staged.published);
        }
    }

    fn some(&self, random: &mut Random) -> Vec<Digest> {
        let published = self.published.lock().unwrap();
        published.values().filter(|_| random.below(2) == 0).copied().collect()
    }

    fn inherit(&self, random: &mut Random) {
        let target = self.store.target_or_new(&"amd64".parse().unwrap()).unwrap();
        let inherit = Inherit { artifacts: self.some(random) };
        ok(
            target.inherit(&self.store.blobs, self.run(random).1, &inherit, self.now()),
            &[Code::Gone, Code::WrongState],
        );
    }

    fn publish(&self, random: &mut Random) {
        let target = self.store.target_or_new(&"amd64".parse().unwrap()).unwrap();
        let mut number = self.number.lock().unwrap();
        let next = GenerationNumber(*number + 1);
        let prepare = Prepare { artifacts: self.some(random), provided: provided(), ..Prepare::default() };
        if ok(target.prepare(&self.store.blobs, next, &prepare, self.now()), &[Code::Gone]).is_some() {
            *number += 1;
            let promote = Promote { number: next, expect: target.current().number };
            target.promote(&self.store.blobs, &promote).unwrap();
        }
    }

    fn drop_run(&self, random: &mut Random) {
        let (slot, run) = self.run(random);
        let target = self.store.target_or_new(&"amd64".parse().unwrap()).unwrap();
        target.drop_run(run).unwrap();
        self.runs[slot].fetch_add(RUNS as u64, Ordering::SeqCst);
    }

    /// The one law of the collector.
    fn check(&self) {
        let _hold = self.store.blobs.hold();
        let missing = self.store.blobs.missing(self.store.roots()).unwrap();
        assert!(missing.is_empty(), "{missing:?} are referred to, and gone");
    }
}

#[test]
fn what_is_referred_to_is_there() {
    for seed in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::of(directory.path());
        keyring.open(SystemClock.now()).unwrap();
        let world = Arc::new(World {
            store: Store::open(directory.path()).unwrap(),
            keyring,
            ahead: AtomicI64::new(0),
            runs: std::array::from_fn(|slot| AtomicU64::new(slot as u64 + 1)),
            attempts: AtomicI64::new(1),
            published: Mutex::default(),
            number: Mutex::new(0),
        });
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (world, mut random) = (Arc::clone(&world), Random(seed * WORKERS + worker));
                std::thread::spawn(move || {
                    for _ in 0..ROUNDS {
                        world.act(&mut random);
                        world.check();
                    }
                })
            })
            .collect();
        let began = Instant::now();
        while !workers.iter().all(std::thread::JoinHandle::is_finished) {
            assert!(began.elapsed() < PATIENCE, "the workers hang");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        for worker in workers {
            worker.join().unwrap();
        }
        // Another process finds the same on the disk.
        world.ahead.fetch_add(3 * 86_400, Ordering::SeqCst);
        world.store.collect(RETENTION, world.now()).unwrap();
        let report = verify::verify(directory.path(), |_| Ok(())).unwrap();
        assert_eq!(report.findings, [], "seed {seed}");
        assert_eq!(report.blobs, world.store.roots().len() as u64, "nothing else is left");
    }
}
