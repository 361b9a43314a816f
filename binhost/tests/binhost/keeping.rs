//! What is kept: pins, the files of earlier generations in the directory of a later one, and how generations differ.

use crate::harness::*;
use swarm_protocol::client::ClientError;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::kept::{Between, ChangeKind, Diff};
use swarm_protocol::{Code, Digest};

async fn pin(binhost: &Binhost, number: i64, pinned: bool) -> Result<bool, ClientError> {
    let kept = binhost.orchestrator().pin(&target(), GenerationNumber(number), pinned).await?;
    assert_eq!(kept.number.0, number);
    Ok(kept.pinned)
}

async fn pinned(binhost: &Binhost) -> Vec<i64> {
    let kept = binhost.orchestrator().kept(&target()).await.unwrap();
    kept.into_iter().filter(|kept| kept.pinned).map(|kept| kept.number.0).collect()
}

#[tokio::test]
async fn pins_are_remembered_and_repeatable() {
    let mut binhost = Binhost::start().await;
    assert_eq!(code(pin(&binhost, 1, true).await), Code::NotFound);
    for number in 1..=3 {
        binhost.prepare(number, &[]).await.unwrap();
    }
    for (number, wanted) in [(1, true), (1, true), (2, true), (2, false), (3, false)] {
        assert_eq!(pin(&binhost, number, wanted).await.unwrap(), wanted);
    }
    assert_eq!(code(pin(&binhost, 4, true).await), Code::NotFound);
    for _ in 0..2 {
        assert_eq!(pinned(&binhost).await, [1]);
        binhost = binhost.restart(|_| {}).await.unwrap();
    }
    let log = std::fs::read_to_string(binhost.path("targets/amd64/pins.log")).unwrap();
    assert_eq!(log.lines().count(), 3, "what is so already is not written again: {log}");
    assert_eq!(binhost.orchestrator().kept(&"other".parse().unwrap()).await.unwrap(), []);
}

async fn diff(binhost: &Binhost, from: Option<i64>, to: Option<i64>) -> Result<Diff, ClientError> {
    let between = Between { from: from.map(GenerationNumber), to: to.map(GenerationNumber) };
    binhost.orchestrator().diff(&target(), between).await
}

#[tokio::test]
async fn generations_are_compared() {
    let binhost = Binhost::start().await;
    let old = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    assert_eq!(code(diff(&binhost, None, None).await), Code::NotFound);
    let new = binhost.publish(2, "sys-libs/zlib-1.3.1", 3).await;
    let xz = binhost.publish(3, "app-arch/xz-utils-5.6.4", 1).await;
    for (number, set) in [(1, &[old][..]), (2, &[xz]), (3, &[new, xz])] {
        binhost.prepare(number, set).await.unwrap();
    }
    binhost.promote(1, None).await.unwrap();
    let first = diff(&binhost, None, None).await.unwrap();
    assert_eq!((first.from, first.to.0, first.changes.len()), (None, 1, 1));
    binhost.promote(3, Some(1)).await.unwrap();
    let between = diff(&binhost, None, None).await.unwrap();
    // Generation 2 was never current.
    assert_eq!((between.from, between.to.0), (Some(GenerationNumber(1)), 3));
    let kinds: Vec<_> = between.changes.iter().map(|change| (change.kind, change.package.as_str())).collect();
    assert_eq!(kinds, [(ChangeKind::Added, "app-arch/xz-utils"), (ChangeKind::Rebuilt, "sys-libs/zlib")]);
    let back = diff(&binhost, Some(3), Some(2)).await.unwrap();
    assert_eq!(back.changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Removed]);
    assert_eq!(code(diff(&binhost, Some(7), None).await), Code::NotFound);
}

/// The files that a web server finds below a generation's directory.
fn instances(binhost: &Binhost, directory: &str) -> Vec<String> {
    names(&binhost.path(&format!("targets/amd64/{directory}/sys-libs/zlib")))
}

#[tokio::test]
async fn a_generation_s_directory_has_the_files_that_clients_of_earlier_ones_ask_for() {
    let binhost = Binhost::start().await;
    let mut zlib: Vec<Digest> = Vec::new();
    for build_id in 1..=5 {
        zlib.push(binhost.publish(i64::from(build_id), "sys-libs/zlib-1.3.1", build_id).await);
    }
    let file = |id: i32| format!("zlib-1.3.1-{id}.gpkg.tar");
    binhost.prepare(1, &zlib[..1]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    // Both are prepared before either is current; the second one never will be.
    binhost.prepare(2, &zlib[1..2]).await.unwrap();
    binhost.prepare(3, &zlib[2..3]).await.unwrap();
    binhost.prepare(4, &zlib[3..4]).await.unwrap();
    assert_eq!(instances(&binhost, "generations/4"), [file(1), file(4)]);
    binhost.promote(3, Some(1)).await.unwrap();
    binhost.promote(4, Some(3)).await.unwrap();
    assert_eq!(instances(&binhost, "current"), [file(1), file(3), file(4)]);
    let binhost = binhost.restart(|_| {}).await.unwrap();
    binhost.prepare(5, &zlib[4..5]).await.unwrap();
    binhost.promote(5, Some(4)).await.unwrap();
    assert_eq!(instances(&binhost, "current"), [file(1), file(3), file(4), file(5)]);
    for index in [
        std::fs::read_to_string(binhost.path("targets/amd64/current/Packages")).unwrap(),
        binhost.text("/binhost/amd64/Packages").await.unwrap(),
    ] {
        assert_eq!(values(&index, "BUILD_ID"), ["5"], "the earlier ones are not in the index");
    }
    for (id, digest) in [(1, zlib[0]), (3, zlib[2]), (5, zlib[4])] {
        let path = binhost.path(&format!("targets/amd64/current/sys-libs/zlib/{}", file(id)));
        assert_eq!(Digest::of(&std::fs::read(path).unwrap()), digest);
    }
}
