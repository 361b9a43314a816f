//! The loops towards the orchestrator, where a real one cannot easily be brought to answer so: lost answers, reclaimed
//! attempts, sessions that are over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod stub;

use build_drone::cache::Cache;
use build_drone::closure;
use build_drone::config::Config;
use build_drone::desk::Desk;
use build_drone::link::Link;
use build_drone::live::{Cancelled, Live};
use build_drone::log::BuildLog;
use build_drone::report::{Unreported, report};
use build_drone::{heartbeat, session, shipper};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stub::{Answer, Asked, Stub, claim};
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::Start;
use swarm_protocol::id::{AttemptId, SessionId};
use swarm_protocol::{Code, Digest};

const NOTHING: fn() -> Answer = || Answer::Json(json!({"revoked": [], "regained": []}));

fn a_claim(attempt: i64) -> Value {
    claim(attempt, "a/b-1", &json!(Digest::of(b"")))
}

/// A link to `stub` that holds attempt 7 in session 1, and beats.
async fn link(stub: &Stub) -> (tempfile::TempDir, Arc<Link>, Arc<Live>) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&stub::config(dir.path(), &stub.url), |_| None).unwrap();
    let client = DroneClient::new(&stub.url, Some("secret".to_owned()));
    let session = session::open(&config, &client).await.unwrap();
    let link = Link::new(config, client, session);
    let claims = vec![serde_json::from_value(a_claim(7)).unwrap()];
    let live = Desk::settle(&mut link.desk(), SessionId(1), 1, claims).remove(0);
    let beating = link.clone();
    tokio::spawn(async move { heartbeat::run(&beating).await });
    (dir, link, live)
}

async fn start(link: &Link, live: &Live) -> Result<(), Unreported> {
    report(link, live, |client, identity| async move {
        client.start(identity.claim.attempt, &Start { fence: identity.fence() }).await
    })
    .await
}

fn opens(asked: &Asked) -> Option<Answer> {
    (asked.path == "drone/sessions").then(|| Answer::Json(stub::session(1, "http://127.0.0.1:1")))
}

#[tokio::test]
async fn a_session_is_opened_however_long_it_takes_and_once() {
    let mut failures = 2;
    let stub = Stub::start(move |_| {
        failures -= 1;
        if failures >= 0 { Answer::Problem(Code::Unavailable) } else { Answer::Json(stub::session(1, "")) }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&stub::config(dir.path(), &stub.url), |_| None).unwrap();
    let client = DroneClient::new(&stub.url, Some("secret".to_owned()));
    session::open(&config, &client).await.unwrap();
    let asked = stub.asked("sessions");
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|one| one.body["nonce"] == asked[0].body["nonce"]));
}

/// It is asked for now and then: an update of the orchestrator is seen, and no supervisor restarts us in a loop.
#[tokio::test]
async fn another_protocol_version_is_outwaited() {
    let mut updated = false;
    let stub = Stub::start(move |_| {
        let answer =
            if updated { Answer::Json(stub::session(1, "")) } else { Answer::Problem(Code::ProtocolVersion) };
        updated = true;
        answer
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&stub::config(dir.path(), &stub.url), |_| None).unwrap();
    let client = DroneClient::new(&stub.url, Some("secret".to_owned()));
    session::open_again_after(&config, &client, Duration::from_millis(1)).await.unwrap();
    let asked = stub.asked("sessions");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body["nonce"], asked[1].body["nonce"]);
}

/// After a partition: the report is stale, the heartbeat brings a new identity, the report is made under that.
#[tokio::test]
async fn a_regained_attempt_goes_on_under_its_new_identity() {
    let stub = Stub::start(|asked| match asked.path.as_str() {
        _ if opens(asked).is_some() => opens(asked).unwrap(),
        "drone/attempts/7/start" => Answer::Problem(Code::StaleReport),
        "drone/heartbeat" if asked.body["held"][0]["attempt"] == 7 => {
            Answer::Json(json!({"revoked": [7], "regained": [{"former": 7, "claim": a_claim(9)}]}))
        }
        _ => NOTHING(),
    })
    .await;
    let (_dir, link, live) = link(&stub).await;
    start(&link, &live).await.unwrap();
    assert_eq!((live.attempt(), live.cancelled()), (AttemptId(9), None));
    assert_eq!(stub.asked("attempts/9/start")[0].body["fence"]["session"], 1);
    assert_eq!(live.identity().claim.token, serde_json::from_value(a_claim(9)["token"].clone()).unwrap());
}

#[tokio::test]
async fn a_stale_report_without_a_word_about_it_is_a_lost_attempt() {
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "drone/attempts/7/start" => Answer::Problem(Code::StaleReport),
        _ => opens(asked).unwrap_or_else(NOTHING),
    })
    .await;
    let (_dir, link, live) = link(&stub).await;
    assert!(matches!(start(&link, &live).await, Err(Unreported::Cancelled)));
    assert_eq!(live.cancelled(), Some(Cancelled::Revoked));
}

#[tokio::test]
async fn reports_outlast_an_orchestrator_that_is_away() {
    let tries = AtomicUsize::new(0);
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "drone/attempts/7/start" if tries.fetch_add(1, Ordering::SeqCst) < 3 => {
            Answer::Problem(Code::Unavailable)
        }
        _ => opens(asked).unwrap_or_else(NOTHING),
    })
    .await;
    let (_dir, link, live) = link(&stub).await;
    start(&link, &live).await.unwrap();
    assert_eq!(stub.asked("attempts/7/start").len(), 4);
}

/// A session that is over is replaced by one with another nonce; what is held stays listed, requests count anew.
#[tokio::test]
async fn a_session_that_is_over_is_replaced() {
    let mut sessions = 0;
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "drone/sessions" => {
            sessions += 1;
            Answer::Json(stub::session(sessions, "http://127.0.0.1:1"))
        }
        "drone/heartbeat" if asked.body["session"] == 1 => Answer::Problem(Code::StaleSession),
        _ => NOTHING(),
    })
    .await;
    let (_dir, link, _live) = link(&stub).await;
    let asked = stub.wait("sessions", 2).await;
    assert_ne!(asked[0].body["nonce"], asked[1].body["nonce"]);
    let listed = || {
        let beats = stub.asked("heartbeat");
        beats.into_iter().find(|beat| beat.body["session"] == 2)
    };
    let beat = stub::until(10, listed).await.unwrap();
    assert_eq!(
        (beat.body["held"][0]["attempt"].clone(), beat.body["settled_request"].clone()),
        (json!(7), json!(0))
    );
    assert_eq!(link.desk().session(), SessionId(2));
}

/// The log of a regained attempt is sent from its beginning; the end of shipping means that all of it is there.
#[tokio::test]
async fn a_regained_attempt_gets_the_whole_log() {
    let mut reclaimed = false;
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "drone/attempts/7/log" if asked.body["sequence"] == 1 => {
            reclaimed = true;
            Answer::Problem(Code::StaleReport)
        }
        "drone/heartbeat" if reclaimed && asked.body["held"][0]["attempt"] == 7 => {
            Answer::Json(json!({"revoked": [], "regained": [{"former": 7, "claim": a_claim(9)}]}))
        }
        _ => opens(asked).unwrap_or_else(NOTHING),
    })
    .await;
    let (dir, link, live) = link(&stub).await;
    let log = Arc::new(BuildLog::create(&dir.path().join("log"), 1 << 20).unwrap());
    let shipping = {
        let (link, live, log) = (link.clone(), live.clone(), log.clone());
        tokio::spawn(async move { shipper::ship(&link, &live, &log).await })
    };
    let text = "0123456789abcdef".repeat(8192);
    log.write(text.as_bytes());
    log.close();
    shipping.await.unwrap().unwrap();
    let chunks = stub.asked("attempts/9/log");
    let sequences: Vec<_> = chunks.iter().map(|chunk| chunk.body["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequences, [0, 1]);
    let decoded: Vec<u8> = chunks.iter().flat_map(|chunk| unpacked(&chunk.body)).collect();
    assert_eq!(decoded, text.as_bytes());
}

/// The closure comes from the staging view, corrupted bytes are asked for again, and PKGDIR lists nothing else.
#[tokio::test]
async fn the_closure_is_brought_whole_and_alone() {
    let mut corrupted = false;
    let index = "VERSION: 0\nPACKAGES: 2\n\nBUILD_ID: 4\nCPV: a/c-1\nPATH: a/c/c-1-4.gpkg.tar\nSIZE: 5\n\n\
                 BUILD_ID: 1\nCPV: a/d-1\nPATH: a/d/d-1-1.gpkg.tar\nSIZE: 5\n\n";
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "/staging/box/1/Packages" => Answer::Bytes(index.into()),
        "/staging/box/1/a/c/c-1-4.gpkg.tar" if !std::mem::replace(&mut corrupted, true) => {
            Answer::Bytes("BYTES".into())
        }
        "/staging/box/1/a/c/c-1-4.gpkg.tar" => Answer::Bytes("bytes".into()),
        _ => opens(asked).unwrap_or_else(NOTHING),
    })
    .await;
    let (dir, link, live) = link(&stub).await;
    link.reopened(serde_json::from_value(stub::session(1, &stub.url)).unwrap());
    let mut claim = a_claim(7);
    claim["closure"] = json!([{"cpv": "a/c-1", "build_id": 4, "path": "a/c/c-1-4.gpkg.tar",
        "published": Digest::of(b"bytes"), "size": 5}]);
    live.regain(serde_json::from_value(claim).unwrap(), SessionId(1));
    let cache = Cache::open(&dir.path().join("cache")).unwrap();
    let log = BuildLog::create(&dir.path().join("log"), 1 << 20).unwrap();
    for pkgdir in ["first", "second"].map(|name| dir.path().join(name)) {
        std::fs::create_dir(&pkgdir).unwrap();
        closure::collect(&link, &live, &cache, &pkgdir, &log).await.unwrap();
        assert_eq!(std::fs::read(pkgdir.join("a/c/c-1-4.gpkg.tar")).unwrap(), b"bytes");
        let index = std::fs::read_to_string(pkgdir.join("Packages")).unwrap();
        assert!(index.contains("PACKAGES: 1\n") && !index.contains("a/d-1"), "{index}");
    }
    // The second time it came from the cache.
    assert_eq!(stub.asked("c-1-4").len(), 2);
}

fn unpacked(body: &Value) -> Vec<u8> {
    use base64::Engine;
    let zstd = base64::prelude::BASE64_STANDARD.decode(body["zstd_base64"].as_str().unwrap()).unwrap();
    zstd::bulk::decompress(&zstd, 1 << 20).unwrap()
}
