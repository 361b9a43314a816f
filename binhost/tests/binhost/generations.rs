//! Prepare and promote: whole, numbered, one current, TIMESTAMPs that clients believe.

use crate::harness::*;
use swarm_protocol::{Code, Digest};

const ZLIB_2: &str = "/binhost/amd64/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
const INDEX: &str = "/binhost/amd64/Packages";

#[tokio::test]
async fn a_generation_is_seen_only_when_promoted() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    binhost.prepare(1, &[zlib, xz]).await.unwrap();
    for path in [INDEX, ZLIB_2, "/binhost/amd64/Packages.gz"] {
        assert_eq!(binhost.text(path).await, Err(reqwest::StatusCode::NOT_FOUND), "{path}");
    }
    let ask = |path: &str, ticket: String| {
        let path = format!("/generations/amd64/1/{path}");
        binhost.request(reqwest::Method::GET, &path).bearer_auth(ticket).send()
    };
    let gate = |path: &str| ask(path, of_generation(NOW, 1));
    assert_eq!(ask("Packages", control(NOW)).await.unwrap().status(), 200);
    for other in [of_generation(NOW, 2), attempt(NOW, 100)] {
        assert_eq!(ask("Packages", other).await.unwrap().status(), 403);
    }
    let judged = gate("Packages").await.unwrap().text().await.unwrap();
    assert_eq!(values(&judged, "CPV"), ["app-arch/xz-utils-5.6.4", "sys-libs/zlib-1.3.1"]);
    assert_eq!(gate("sys-libs/zlib/zlib-1.3.1-2.gpkg.tar").await.unwrap().status(), 200);
    assert_eq!(gate("sys-libs/zlib/zlib-1.3.1-3.gpkg.tar").await.unwrap().status(), 404);
    assert_eq!(binhost.promote(1, None).await.unwrap(), NOW);
    assert_eq!(binhost.text(INDEX).await.unwrap(), judged);
    assert_eq!(binhost.get(ZLIB_2).await.status(), 200);
}

#[tokio::test]
async fn the_directory_is_complete_for_any_web_server() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    binhost.prepare(1, &[zlib]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    let current = binhost.path("targets/amd64/current");
    assert_eq!(names(&current), [".generation.json", "Packages", "Packages.gz", "sys-libs"]);
    let file = std::fs::read(current.join("sys-libs/zlib/zlib-1.3.1-2.gpkg.tar")).unwrap();
    assert_eq!(Digest::of(&file), zlib);
    for name in ["Packages", "Packages.gz"] {
        let modified = std::fs::metadata(current.join(name)).unwrap().modified().unwrap();
        assert_eq!(build_binhost::clock::unix_seconds(modified), NOW);
        let served = binhost.get(&format!("/binhost/amd64/{name}")).await.bytes().await.unwrap();
        assert_eq!(std::fs::read(current.join(name)).unwrap(), served);
    }
}

#[tokio::test]
async fn prepare_is_repeatable_and_refuses_nonsense() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let rebuilt = binhost.publish(2, "sys-libs/zlib-1.3.1", 3).await;
    let xz = binhost.publish(3, "app-arch/xz-utils-5.6.4", 1).await;
    binhost.prepare(1, &[zlib, xz]).await.unwrap();
    binhost.prepare(1, &[xz, zlib]).await.unwrap();
    assert_eq!(code(binhost.prepare(1, &[zlib]).await), Code::Conflict);
    assert_eq!(code(binhost.prepare(2, &[zlib, zlib]).await), Code::InvalidValue);
    assert_eq!(code(binhost.prepare(2, &[zlib, rebuilt]).await), Code::InvalidValue);
    assert_eq!(code(binhost.prepare(2, &[Digest::of(b"unknown")]).await), Code::InvalidValue);
    assert_eq!(code(binhost.prepare(0, &[zlib]).await), Code::InvalidValue);
    assert_eq!(names(&binhost.path("targets/amd64/generations")), ["1"]);
    binhost.prepare(2, &[]).await.unwrap();
}

#[tokio::test]
async fn promote_expects_and_repeats() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    assert_eq!(code(binhost.promote(1, None).await), Code::NotFound);
    binhost.prepare(1, &[zlib]).await.unwrap();
    binhost.prepare(2, &[]).await.unwrap();
    binhost.prepare(3, &[zlib]).await.unwrap();
    assert_eq!(code(binhost.promote(1, Some(7)).await), Code::NotCurrent);
    let first = binhost.promote(1, None).await.unwrap();
    assert_eq!(binhost.promote(1, None).await.unwrap(), first);
    assert_eq!(code(binhost.promote(2, None).await), Code::NotCurrent);
    binhost.promote(3, Some(1)).await.unwrap();
    // Its index is older than what clients hold by now: they would ignore it.
    assert_eq!(code(binhost.promote(2, Some(3)).await), Code::WrongState);
    let current = binhost.orchestrator().current(&target()).await.unwrap();
    assert_eq!((current.number.unwrap().0, current.timestamp), (3, Some(NOW + 12)));
    let none = binhost.orchestrator().current(&"other".parse().unwrap()).await.unwrap();
    assert_eq!((none.number, none.timestamp), (None, None));
}

#[tokio::test]
async fn timestamps_increase_by_more_than_a_client_tolerates() {
    let binhost = Binhost::start().await;
    for (number, now, timestamp) in
        [(1, NOW, NOW), (2, NOW + 1, NOW + 6), (3, NOW - 999, NOW + 12), (4, NOW + 50, NOW + 50)]
    {
        binhost.clock.set(now);
        binhost.prepare(number, &[]).await.unwrap();
        let expect = (number > 1).then_some(number - 1);
        assert_eq!(binhost.promote(number, expect).await.unwrap(), timestamp);
        let index = binhost.text(INDEX).await.unwrap();
        assert_eq!(values(&index, "TIMESTAMP"), [timestamp.to_string()]);
    }
}

#[tokio::test]
async fn files_of_older_generations_stay_but_those_never_promoted_do_not_appear() {
    let mut binhost = Binhost::start().await;
    let old = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let never = binhost.publish(2, "sys-libs/zlib-1.3.1", 3).await;
    let new = binhost.publish(3, "sys-libs/zlib-1.3.1", 4).await;
    for (number, digest) in [(1, old), (2, never), (3, new)] {
        binhost.prepare(number, &[digest]).await.unwrap();
    }
    binhost.promote(1, None).await.unwrap();
    binhost.promote(3, Some(1)).await.unwrap();
    for restarted in [false, true] {
        let path = |id: i32| format!("/binhost/amd64/sys-libs/zlib/zlib-1.3.1-{id}.gpkg.tar");
        for (id, status) in [(2, 200), (3, 404), (4, 200)] {
            assert_eq!(binhost.get(&path(id)).await.status(), status, "{id} {restarted}");
        }
        assert_eq!(values(&binhost.text(INDEX).await.unwrap(), "BUILD_ID"), ["4"]);
        if !restarted {
            binhost = binhost.restart(|_| {}).await.unwrap();
        }
    }
}
