//! Uploads: verified, bounded, whole or not at all.

use crate::harness::*;
use crate::package::Package;
use reqwest::{Method, StatusCode};
use swarm_protocol::ticket::{Scope, Ticket, TicketSigner};
use swarm_protocol::{Code, Digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn put(binhost: &Binhost, ticket: &str, digest: &str, bytes: Vec<u8>) -> reqwest::Response {
    let request = binhost.request(Method::PUT, &format!("/api/v1/uploads/{digest}"));
    request.bearer_auth(ticket).body(bytes).send().await.unwrap()
}

fn blob(binhost: &Binhost, digest: Digest) -> std::path::PathBuf {
    let name = digest.to_string();
    binhost.path(&format!("blobs/{}/{name}", &name[..2]))
}

#[tokio::test]
async fn an_upload_is_stored_once() {
    let binhost = Binhost::start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (digest, ticket) = (Digest::of(&bytes), attempt(NOW, 3_000_000));
    let first = put(&binhost, &ticket, &digest.to_string(), bytes.clone()).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(std::fs::read(blob(&binhost, digest)).unwrap(), bytes);
    let before = std::fs::metadata(blob(&binhost, digest)).unwrap().modified().unwrap();
    let again = put(&binhost, &ticket, &digest.to_string(), bytes.clone()).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(std::fs::metadata(blob(&binhost, digest)).unwrap().modified().unwrap(), before);
    assert!(names(&binhost.path("uploads")).is_empty());
}

#[tokio::test]
async fn chunked_and_concurrent_uploads_of_the_same_bytes() {
    let binhost = Binhost::start().await;
    let bytes = Package::zlib().image(vec![3; 5_000_000]).compression("").bytes();
    let digest = Digest::of(&bytes);
    let upload = || {
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            bytes.chunks(70_001).map(|piece| Ok(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let request = binhost.request(Method::PUT, &format!("/api/v1/uploads/{digest}"));
        request.bearer_auth(attempt(NOW, 1 << 30)).body(body).send()
    };
    let answers = futures::future::join_all((0..6).map(|_| upload())).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status().is_success()));
    assert_eq!(Digest::of(&std::fs::read(blob(&binhost, digest)).unwrap()), digest);
    assert!(names(&binhost.path("uploads")).is_empty());
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let limits = build_binhost::config::Limits { upload_bytes: 2_000_000, ..Default::default() };
    let binhost = Binhost::with(limits).await;
    let bytes = vec![5; 1_500_000];
    let (digest, good) = (Digest::of(&bytes).to_string(), attempt(NOW, 1 << 30));
    let other = Digest::of(b"other").to_string();
    let forged = TicketSigner::new(&[8; 32]).sign(&Ticket { scope: Scope::Control, expires: NOW + 60 });
    for (ticket, digest, bytes, code) in [
        (&good, &other, bytes.clone(), Code::DigestMismatch),
        (&good, &other, Vec::new(), Code::DigestMismatch),
        (&attempt(NOW, 1_499_999), &digest, bytes.clone(), Code::TooLarge),
        (&good, &digest, vec![5; 2_000_001], Code::TooLarge),
        (&attempt(NOW - 60, 1 << 30), &digest, bytes.clone(), Code::Unauthenticated),
        (&attempt(NOW - 60, 1 << 30), &digest, vec![5; 30_000_000], Code::Unauthenticated),
        (&forged, &digest, bytes.clone(), Code::Unauthenticated),
        (&"nonsense".to_owned(), &digest, bytes.clone(), Code::Unauthenticated),
        (&control(NOW), &digest, bytes.clone(), Code::Forbidden),
        (&good, &"A".repeat(64), bytes.clone(), Code::InvalidValue),
        (&good, &"..%2f..%2fetc".to_owned(), bytes.clone(), Code::InvalidValue),
        (&good, &"%ff".to_owned(), bytes.clone(), Code::InvalidValue),
    ] {
        let said = problem(put(&binhost, ticket, digest, bytes).await).await;
        assert_eq!(said.code, code, "{said}");
    }
    assert!(names(&binhost.path("uploads")).is_empty());
    let blobs = names(&binhost.path("blobs"));
    assert!(blobs.iter().all(|prefix| names(&binhost.path("blobs").join(prefix)).is_empty()));
}

#[tokio::test]
async fn a_chunked_upload_over_the_limit_is_cut() {
    let binhost = Binhost::start().await;
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(vec![1_u8; 50_000]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let path = format!("/api/v1/uploads/{}", Digest::of(b"x"));
    let answer =
        binhost.request(Method::PUT, &path).bearer_auth(attempt(NOW, 1_000_000)).body(body).send().await;
    assert_eq!(problem(answer.unwrap()).await.code, Code::TooLarge);
    assert!(names(&binhost.path("uploads")).is_empty());
}

/// The head of an upload of `length` bytes.
fn head(digest: &str, length: usize) -> String {
    let ticket = attempt(NOW, 1 << 30);
    format!(
        "PUT /api/v1/uploads/{digest} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {ticket}\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_truncated_upload_disappears() {
    let binhost = Binhost::start().await;
    let mut stream = TcpStream::connect(binhost.address).await.unwrap();
    let digest = Digest::of(b"never complete").to_string();
    stream.write_all(head(&digest, 10_000_000).as_bytes()).await.unwrap();
    stream.write_all(&vec![0; 3_000_000]).await.unwrap();
    eventually("the temporary file", || !names(&binhost.path("uploads")).is_empty()).await;
    drop(stream);
    eventually("its removal", || names(&binhost.path("uploads")).is_empty()).await;
}

#[tokio::test]
async fn a_stalled_upload_is_ended() {
    let limits = build_binhost::config::Limits { stall_seconds: 1, ..Default::default() };
    let binhost = Binhost::with(limits).await;
    let mut stream = TcpStream::connect(binhost.address).await.unwrap();
    stream.write_all(head(&Digest::of(b"slow").to_string(), 100).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("the body stopped coming"), "{answer}");
}

#[tokio::test]
async fn a_slow_header_is_ended() {
    let limits = build_binhost::config::Limits { header_seconds: 1, ..Default::default() };
    let binhost = Binhost::with(limits).await;
    let mut stream = TcpStream::connect(binhost.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    assert!(stream.read_to_end(&mut answer).await.is_ok(), "the connection is closed");
}
