//! Source archives: who may send and read them, what their address says of them, and how long they stay.

use crate::harness::*;
use blake2::{Blake2b512, Digest as _};
use reqwest::{Method, StatusCode};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use swarm_protocol::Code;
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::distfile::Blake2b;
use swarm_protocol::ticket::{Scope, Ticket};

const DAY: i64 = 86_400;

fn digest(bytes: &[u8]) -> Blake2b {
    let digest: [u8; 64] = Blake2b512::digest(bytes).into();
    digest.into()
}

impl Binhost {
    fn archives(&self, max_bytes: u64) -> BinhostClient {
        let ticket =
            signer().sign(&Ticket { scope: Scope::Distfiles { max_bytes }, expires: self.now() + 60 });
        BinhostClient::new(&self.base(), ticket)
    }

    async fn share(&self, bytes: &'static [u8]) -> Result<(), ClientError> {
        self.archives(100).upload_distfile(digest(bytes), bytes.len() as u64, bytes).await
    }

    async fn shared(&self, bytes: &[u8]) -> Result<Vec<u8>, Code> {
        let read = self.archives(0).distfile(digest(bytes)).await;
        Ok(read.map_err(|error| error.code().unwrap())?.bytes().await.unwrap().to_vec())
    }

    fn place(&self, bytes: &[u8]) -> PathBuf {
        let name = digest(bytes).to_string();
        self.path(&format!("distfiles/{}/{name}", &name[..2]))
    }
}

#[tokio::test]
async fn an_archive_is_its_digest_and_nobody_else_s_business() {
    let binhost = Binhost::start().await;
    let archive = b"zlib-1.3.1.tar.xz";
    assert_eq!(binhost.shared(archive).await, Err(Code::NotFound));
    let lie = binhost.archives(100).upload_distfile(digest(archive), 4, "evil").await;
    assert_eq!(code(lie), Code::DigestMismatch);
    assert_eq!(code(binhost.archives(3).upload_distfile(digest(archive), 4, "evil").await), Code::TooLarge);
    assert_eq!(code(binhost.drone().upload_distfile(digest(archive), 4, "evil").await), Code::Forbidden);
    assert_eq!(binhost.shared(archive).await, Err(Code::NotFound), "nothing was taken");
    assert_eq!(names(&binhost.path("uploads")), [""; 0]);

    for _ in 0..2 {
        binhost.share(archive).await.unwrap();
    }
    assert_eq!(binhost.shared(archive).await.unwrap(), archive);
    assert_eq!(code(binhost.drone().distfile(digest(archive)).await.map(drop)), Code::Forbidden);
    let path = format!("/api/v1/distfiles/{}", digest(archive));
    assert_eq!(binhost.text(&path).await, Err(StatusCode::UNAUTHORIZED));
    let head = binhost.request(Method::HEAD, &path).bearer_auth(control(NOW)).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::FORBIDDEN, "the orchestrator has no use for it");
    for path in ["binhost/distfiles", "distfiles", "binhost/amd64/distfiles"] {
        let status = binhost.text(&format!("/{path}/{}", digest(archive))).await.unwrap_err();
        assert!(matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED), "{path}: {status}");
    }
    assert!(binhost.tool(&["verify"]).status.success(), "it is no part of what is verified");
}

#[tokio::test]
async fn what_the_disk_has_changed_is_replaced_by_what_is_sent_again() {
    let binhost = Binhost::start().await;
    let archive = b"a source archive";
    binhost.share(archive).await.unwrap();
    fs::write(binhost.place(archive), "other bytes").unwrap();
    assert_eq!(binhost.shared(archive).await.unwrap(), b"other bytes", "whoever gets them compares");
    binhost.share(archive).await.unwrap();
    assert_eq!(binhost.shared(archive).await.unwrap(), archive);
    fs::remove_file(binhost.place(archive)).unwrap();
    assert_eq!(binhost.shared(archive).await, Err(Code::NotFound));
    binhost.share(archive).await.unwrap();
    assert_eq!(binhost.shared(archive).await.unwrap(), archive);
}

#[tokio::test]
async fn archives_fit_into_their_room_and_the_one_asked_for_longest_ago_goes_first() {
    let binhost = Binhost::configured("[retention]\ndistfile_bytes = 20\n", |_| {}).await;
    let (first, second, third) = (b"first 9..", b"second 9.", b"third 9..");
    binhost.share(first).await.unwrap();
    binhost.clock.set(NOW + 1);
    binhost.share(second).await.unwrap();
    binhost.clock.set(NOW + 2);
    binhost.shared(first).await.unwrap();
    binhost.clock.set(NOW + 3);
    binhost.share(third).await.unwrap();
    assert_eq!(binhost.shared(second).await, Err(Code::NotFound));
    assert!(binhost.shared(first).await.is_ok() && binhost.shared(third).await.is_ok());
    assert!(!binhost.place(second).exists());
    assert_eq!(code(binhost.share(b"larger than all of the room").await), Code::TooLarge);
}

#[tokio::test]
async fn what_nobody_asks_for_goes_and_a_restart_remembers_when_that_was() {
    let binhost = Binhost::start().await;
    let (old, young) = (b"an old one", b"a young one");
    binhost.share(old).await.unwrap();
    binhost.share(young).await.unwrap();
    let (gone, kept) = (binhost.place(old), binhost.place(young));
    let quarter = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW - 90 * DAY).unwrap());
    let aged = gone.clone();
    let age =
        move |_: &Path| fs::File::options().write(true).open(aged).unwrap().set_modified(quarter).unwrap();
    let binhost = binhost.restart(age).await.unwrap();
    eventually("the old one to be collected", || !gone.exists()).await;
    assert!(binhost.shared(young).await.is_ok() && kept.exists());
    assert_eq!(binhost.shared(old).await, Err(Code::NotFound));
}
