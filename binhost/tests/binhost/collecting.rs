//! What stays and what goes: collection, retention, dropped runs, artifacts whose bytes are gone.

use crate::harness::*;
use crate::package::Package;
use build_binhost::clock::{Clock, SystemClock};
use build_binhost::config::{Retention, Upkeep};
use std::os::unix::fs::MetadataExt;
use swarm_protocol::binhost::{Inherit, Stage};
use swarm_protocol::id::{AttemptId, GenerationNumber, PackageId, RunId};
use swarm_protocol::{Code, Digest};

const DAY: i64 = 86_400;
const KEEP: Retention = Retention { generations: 2, days: 1, distfile_bytes: 1 << 20, distfile_days: 1 };

/// A binhost that collects all the time. Bytes age by the machine's clock, so its clock is at that time.
async fn busy() -> Binhost {
    let upkeep = Upkeep { collect_seconds: 1, ..Upkeep::default() };
    Binhost::at(SystemClock.now(), |config| (config.retention, config.upkeep) = (KEEP, upkeep)).await
}

impl Binhost {
    fn later(&self, days: i64) {
        self.clock.set(self.clock.now() + days * DAY);
    }

    fn holds(&self, digest: Digest) -> bool {
        self.blob(digest).exists()
    }

    async fn collected(&self, digest: Digest) {
        eventually("the bytes to be collected", || !self.holds(digest)).await;
    }

    /// Uploads what nobody stages; when it is collected, a whole collection has passed.
    async fn a_collection_passes(&self, name: &str) {
        let bait = self.upload(&Package::new(name, 9)).await;
        self.later(2);
        self.collected(bait).await;
        let next = self.upload(&Package::new(name, 8)).await;
        self.later(2);
        self.collected(next).await;
    }

    async fn drop_run(&self, run: RunId) {
        self.orchestrator().drop_run(&target(), run).await.unwrap();
    }
}

#[tokio::test]
async fn bytes_go_when_nothing_refers_to_them_for_a_day() {
    let binhost = busy().await;
    let staged = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let forgotten = binhost.upload(&Package::new("dev-libs/expat-2.6.4", 1)).await;
    binhost.a_collection_passes("bait/one-1").await;
    assert!(binhost.holds(staged), "the staging view refers to it");
    assert!(!binhost.holds(forgotten));
    // The view ends, and the bytes are good for a generation still.
    binhost.prepare(1, &[staged]).await.unwrap();
    binhost.drop_run(RUN).await;
    binhost.a_collection_passes("bait/two-1").await;
    assert!(binhost.holds(staged), "the generation refers to it");
}

#[tokio::test]
async fn an_upload_of_what_is_there_makes_it_young_again() {
    let binhost = busy().await;
    let package = Package::new("dev-libs/expat-2.6.4", 1);
    let digest = binhost.upload(&package).await;
    let path = binhost.blob(digest);
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    // A second is what a file's times are compared by.
    let due = SystemClock.now() + 2;
    eventually("a later second", || SystemClock.now() >= due).await;
    binhost.upload(&package).await;
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.ctime() >= due, "it was touched");
    assert_eq!(metadata.modified().unwrap(), before, "MTIME of the artifact stays");
}

#[tokio::test]
async fn what_is_gone_is_neither_inherited_nor_prepared() {
    let binhost = busy().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let signed = std::fs::read(binhost.blob(zlib)).unwrap();
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    binhost.drop_run(RUN).await;
    binhost.a_collection_passes("bait/one-1").await;
    let inherit = Inherit { artifacts: vec![zlib] };
    let other = RunId(8);
    assert_eq!(code(binhost.orchestrator().inherit(&target(), other, &inherit).await), Code::Gone);
    assert_eq!(code(binhost.prepare(1, &[zlib]).await), Code::Gone);
    let mut missing = binhost.orchestrator().missing(&target(), vec![zlib, xz]).await.unwrap();
    missing.sort_by_key(ToString::to_string);
    assert_eq!(missing.len(), 2);
    // From here on, nothing is old. The path still is the first one's for ever.
    binhost.clock.set(SystemClock.now());
    let other = binhost.upload(&Package::zlib().image(b"other bytes".to_vec())).await;
    let stage = Stage {
        package: PackageId(5),
        attempt: AttemptId(5),
        built: other,
        expected: expected("sys-libs/zlib-1.3.1", 2),
    };
    assert_eq!(code(binhost.orchestrator().stage(&target(), RunId(8), &stage).await), Code::PathUsed);
    // Signing the first one's bytes again would give it other ones, too.
    let built = binhost.upload(&Package::zlib()).await;
    let stage = Stage { built, ..stage };
    assert_eq!(code(binhost.orchestrator().stage(&target(), RunId(8), &stage).await), Code::Gone);
    // The bytes that it had, from a mirror, are the same artifact.
    binhost.drone().upload(zlib, signed.len() as u64, signed).await.unwrap();
    binhost.orchestrator().stage(&target(), RunId(8), &stage).await.unwrap();
    binhost.orchestrator().inherit(&target(), RunId(9), &inherit).await.unwrap();
}

#[tokio::test]
async fn a_dropped_run_never_comes_back() {
    let binhost = Binhost::start().await;
    let built = binhost.upload(&Package::zlib()).await;
    binhost.stage(1, 1, built, zlib()).await.unwrap();
    binhost.drop_run(RUN).await;
    binhost.drop_run(RUN).await;
    binhost.drop_run(RunId(99)).await;
    let binhost = binhost.restart(|root| {
        // What a crash between the journal and the directory leaves.
        std::fs::create_dir_all(root.join("targets/amd64/runs/7")).unwrap();
    });
    let binhost = binhost.await.unwrap();
    assert!(names(&binhost.path("targets/amd64/runs")).is_empty());
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["0"]);
    assert_eq!(code(binhost.stage(1, 1, built, zlib()).await), Code::WrongState);
    let inherit = Inherit { artifacts: vec![built] };
    assert_eq!(code(binhost.orchestrator().inherit(&target(), RUN, &inherit).await), Code::WrongState);
}

#[tokio::test]
async fn a_pinned_generation_stays_until_it_is_unpinned() {
    let binhost = busy().await;
    for number in 1..=3 {
        binhost.prepare(number, &[]).await.unwrap();
        binhost.promote(number, (number > 1).then_some(number - 1)).await.unwrap();
    }
    let pin = async |number, pinned| {
        binhost.orchestrator().pin(&target(), GenerationNumber(number), pinned).await.unwrap();
    };
    pin(1, true).await;
    binhost.later(2);
    binhost.a_collection_passes("bait/one-1").await;
    let generations = binhost.path("targets/amd64/generations");
    assert_eq!(names(&generations), ["1", "2", "3"]);
    pin(1, false).await;
    eventually("the first generation to go", || names(&generations) == ["2", "3"]).await;
}

#[tokio::test]
async fn old_generations_go_and_their_numbers_stay_used() {
    let binhost = busy().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    let expat = binhost.publish(3, "dev-libs/expat-2.6.4", 1).await;
    for (number, artifact, expect) in [(1, zlib, None), (2, xz, Some(1)), (3, expat, Some(2))] {
        binhost.prepare(number, &[artifact]).await.unwrap();
        binhost.promote(number, expect).await.unwrap();
    }
    let old = "/binhost/amd64/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
    assert!(binhost.get(old).await.status().is_success(), "young enough");
    binhost.later(2);
    let generations = binhost.path("targets/amd64/generations");
    eventually("the first generation to go", || names(&generations) == ["2", "3"]).await;
    let kept = binhost.orchestrator().kept(&target()).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.number.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(binhost.get(old).await.status(), 404);
    assert!(binhost.holds(zlib), "the view of its run has it");
    assert_eq!(code(binhost.prepare(1, &[zlib]).await), Code::Gone);
    let binhost = binhost.restart(|root| {
        // What a crash in the middle of a removal leaves.
        std::fs::create_dir(root.join("targets/amd64/generations/.old-1")).unwrap();
    });
    let binhost = binhost.await.unwrap();
    assert_eq!(names(&binhost.path("targets/amd64/generations")), ["2", "3"]);
    assert_eq!(code(binhost.prepare(1, &[zlib]).await), Code::Gone);
    assert_eq!(
        binhost.text("/binhost/amd64/Packages").await.unwrap().matches("CPV: dev-libs/expat").count(),
        1
    );
}
