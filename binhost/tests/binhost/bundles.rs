//! Bundles: who may send and read them, and how long they stay.

use crate::harness::*;
use build_binhost::clock::{Clock, SystemClock};
use build_binhost::config::Upkeep;
use reqwest::{Method, StatusCode};
use std::fs;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::ticket::{Scope, Ticket};
use swarm_protocol::{Code, Digest};

const DAY: i64 = 86_400;

fn bytes(name: &str) -> (Digest, Vec<u8>) {
    let bytes = format!("the tree {name}").into_bytes();
    (Digest::of(&bytes), bytes)
}

impl Binhost {
    fn bearer(&self, bundles: &[Digest], max_bytes: Option<u64>) -> BinhostClient {
        let scope = Scope::Bundles { bundles: bundles.to_vec(), max_bytes };
        let ticket = signer().sign(&Ticket { scope, expires: self.now() + 60 });
        BinhostClient::new(&self.base(), ticket)
    }

    async fn push(&self, name: &str) -> Digest {
        let (digest, bytes) = bytes(name);
        self.bearer(&[digest], Some(100)).upload_bundle(digest, bytes.len() as u64, bytes).await.unwrap();
        digest
    }

    async fn read(&self, digest: Digest) -> Result<Vec<u8>, Code> {
        let read = self.bearer(&[digest], None).bundle(digest).await;
        Ok(read.map_err(|error| error.code().unwrap())?.bytes().await.unwrap().to_vec())
    }

    async fn retain(&self, bundles: &[Digest]) {
        self.orchestrator().retain_bundles(bundles.to_vec()).await.unwrap();
    }

    fn marked(&self, digest: Digest) -> bool {
        self.path(&format!("bundles/{digest}")).exists()
    }
}

#[tokio::test]
async fn a_ticket_is_for_its_bundles_and_its_sizes() {
    let binhost = Binhost::start().await;
    let ((tree, content), (other, _)) = (bytes("one"), bytes("two"));
    let size = content.len() as u64;
    let send = async |client: &BinhostClient| client.upload_bundle(tree, size, content.clone()).await;
    assert_eq!(code(send(&binhost.bearer(&[other], Some(100))).await), Code::Forbidden);
    assert_eq!(code(send(&binhost.bearer(&[tree], None)).await), Code::Forbidden, "it is for reading");
    assert_eq!(code(send(&binhost.bearer(&[tree], Some(size - 1))).await), Code::TooLarge);
    assert_eq!(code(send(&binhost.drone()).await), Code::Forbidden);
    let wrong = binhost.bearer(&[other], Some(100)).upload_bundle(other, size, content.clone()).await;
    assert_eq!(code(wrong), Code::DigestMismatch);
    assert_eq!(names(&binhost.path("bundles")), [""; 0], "nothing was taken");

    for _ in 0..2 {
        send(&binhost.bearer(&[other, tree], Some(size))).await.unwrap();
    }
    assert_eq!(binhost.read(tree).await.unwrap(), content);
    assert_eq!(binhost.orchestrator().bundle(tree).await.unwrap().bytes().await.unwrap(), content);
    assert_eq!(binhost.read(other).await.unwrap_err(), Code::NotFound);
    assert_eq!(code(binhost.bearer(&[other], None).bundle(tree).await.map(drop)), Code::Forbidden);
    let head = binhost.request(Method::HEAD, &format!("/api/v1/bundles/{tree}"));
    let head = head.bearer_auth(control(NOW)).send().await.unwrap();
    assert_eq!((head.status(), head.headers()["content-length"].to_str().unwrap()), (StatusCode::OK, "12"));
    for path in ["binhost/bundles", "bundles", "api/v1/bundles", "binhost/amd64/bundles"] {
        let status = binhost.text(&format!("/{path}/{tree}")).await.unwrap_err();
        assert!(matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_package_is_no_bundle_until_the_orchestrator_needs_it_as_one() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    assert_eq!(binhost.read(zlib).await.unwrap_err(), Code::NotFound);
    assert_eq!(binhost.orchestrator().missing_bundles(vec![zlib]).await.unwrap(), [zlib]);
    binhost.retain(&[zlib]).await;
    assert_eq!(Digest::of(&binhost.read(zlib).await.unwrap()), zlib);
    assert_eq!(code(binhost.bearer(&[], None).bundle(zlib).await.map(drop)), Code::Forbidden);
    binhost.clock.set(binhost.now() + DAY);
    binhost.retain(&[]).await;
    assert_eq!(
        binhost.read(zlib).await.unwrap_err(),
        Code::NotFound,
        "its generation has it, and nobody else"
    );
}

#[tokio::test]
async fn bundles_stay_as_long_as_they_are_needed_and_a_day_longer() {
    let upkeep = Upkeep { collect_seconds: 1, ..Upkeep::default() };
    let binhost = Binhost::at(SystemClock.now(), |config| config.upkeep = upkeep).await;
    let (needed, dropped, asked) =
        (binhost.push("needed").await, binhost.push("dropped").await, binhost.push("asked").await);
    binhost.retain(&[needed]).await;
    assert!(binhost.marked(dropped), "a push may be on its way");
    binhost.clock.set(binhost.now() + DAY);
    let missing = binhost.orchestrator().missing_bundles(vec![asked, Digest::of(b"new")]).await.unwrap();
    assert_eq!(missing, [Digest::of(b"new")]);
    for _ in 0..2 {
        binhost.retain(&[needed, Digest::of(b"unknown")]).await;
    }
    assert_eq!([needed, dropped, asked].map(|digest| binhost.marked(digest)), [true, false, true]);
    assert_eq!(binhost.read(dropped).await.unwrap_err(), Code::NotFound);
    assert!(binhost.blob(dropped).exists(), "for those who read it at that moment");
    // The bytes age by the machine's clock, and were touched when they lost their mark.
    binhost.clock.set(binhost.now() + DAY);
    eventually("the bytes to be collected", || !binhost.blob(dropped).exists()).await;
    assert!(binhost.read(needed).await.is_ok() && binhost.read(asked).await.is_ok());
    let again = binhost.push("dropped").await;
    assert!(binhost.read(again).await.is_ok());
}

#[tokio::test]
async fn marks_survive_a_restart_and_damage_is_found() {
    let binhost = Binhost::start().await;
    let (kept, lost) = (binhost.push("kept").await, binhost.push("lost").await);
    let blob = binhost.blob(lost);
    let binhost = binhost.restart(move |_| fs::remove_file(blob).unwrap()).await.unwrap();
    assert!(binhost.read(kept).await.is_ok());
    assert_eq!(binhost.read(lost).await.unwrap_err(), Code::Gone);
    fs::write(binhost.path("bundles/strange"), "").unwrap();
    let verified = binhost.tool(&["verify", "--json"]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(!verified.status.success());
    assert!(said.contains("bundles/strange") && said.contains(&lost.to_string()), "{said}");
    assert!(!said.contains(&kept.to_string()), "{said}");
    assert_eq!(binhost.orchestrator().missing_bundles(vec![kept, lost]).await.unwrap(), [lost]);
    let again = binhost.push("lost").await;
    assert_eq!(binhost.read(again).await.unwrap(), bytes("lost").1);
    fs::remove_file(binhost.path("bundles/strange")).unwrap();
    assert!(binhost.tool(&["verify"]).status.success());
}
