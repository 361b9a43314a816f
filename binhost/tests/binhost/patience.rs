//! Clients that are slow, idle, many, or change their mind.

use crate::harness::*;
use crate::headers::raw;
use crate::package::Package;
use crate::serving::{FILE, INDEX, promote};
use build_binhost::config::Limits;
use std::time::Duration;
use swarm_protocol::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A bound for what should take a second or two.
const SOON: Duration = Duration::from_secs(20);

async fn get(stream: &mut TcpStream, path: &str, more: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Waits until the other side closes; what came before that.
async fn closed(mut stream: TcpStream) -> Vec<u8> {
    let mut came = Vec::new();
    // A reset is as good an end as any.
    let _ = timeout(SOON, stream.read_to_end(&mut came)).await.expect("the connection ends");
    came
}

/// Publishes a package that no socket's buffers hold.
async fn large(binhost: &Binhost) -> (String, u64) {
    let package = Package::new("dev-libs/large-1", 1).image(vec![7; 16 << 20]).compression("");
    let built = binhost.upload(&package).await;
    let staged = binhost.stage(1, 1, built, expected("dev-libs/large-1", 1)).await.unwrap();
    binhost.prepare(1, &[staged.published]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    (format!("/binhost/amd64/{}", staged.path), staged.size)
}

#[tokio::test]
async fn a_header_that_drips_is_given_up() {
    let binhost = Binhost::with(Limits { header_seconds: 1, ..Limits::default() }).await;
    promote(&binhost).await;
    for path in [INDEX, "/healthz"] {
        let stream = TcpStream::connect(binhost.address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let dripping = tokio::spawn(async move {
            let request = format!("GET {path} HTTP/1.1\r\nX: {}", "x".repeat(10_000));
            for byte in request.bytes() {
                if writer.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut came = Vec::new();
        let _ = timeout(SOON, reader.read_to_end(&mut came)).await.expect("the connection ends");
        assert!(!came.starts_with(b"HTTP/1.1 200"), "{path}");
        dripping.abort();
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left_and_one_that_reads_slowly_is_not() {
    let binhost = Binhost::with(Limits { stall_seconds: 1, connections: 1, ..Limits::default() }).await;
    let (path, size) = large(&binhost).await;
    let mut stalled = TcpStream::connect(binhost.address).await.unwrap();
    get(&mut stalled, &path, "").await;
    // The only slot is free again when the stalled one was left.
    let slow = timeout(SOON, async {
        let mut slow = TcpStream::connect(binhost.address).await.unwrap();
        get(&mut slow, &path, "Connection: close\r\n").await;
        let (mut came, mut piece) = (0, vec![0; 1 << 20]);
        loop {
            match slow.read(&mut piece).await.unwrap() {
                0 => return came,
                read => came += read as u64,
            }
            // Never as long as the bound on a stall, in sum longer.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(slow.await.expect("the slow one ends") > size, "the whole file, and its header");
    assert!((closed(stalled).await.len() as u64) < size);
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let binhost = Binhost::with(Limits { connections: 4, header_seconds: 1, ..Limits::default() }).await;
    promote(&binhost).await;
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(TcpStream::connect(binhost.address).await.unwrap());
    }
    let request = format!("GET {INDEX} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    let asked = timeout(Duration::from_mins(1), raw(binhost.address, &request)).await;
    assert!(asked.expect("its turn comes").starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn the_last_slot_is_not_kept_for_later() {
    // One slot is always taken by whoever comes next.
    for (connections, closes) in [(1, true), (3, false)] {
        let binhost = Binhost::with(Limits { connections, ..Limits::default() }).await;
        promote(&binhost).await;
        let mut stream = TcpStream::connect(binhost.address).await.unwrap();
        get(&mut stream, INDEX, "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT\r\n").await;
        let mut answer = vec![0; 1000];
        let read = timeout(SOON, stream.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer[..read].to_vec()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 304"), "{answer}");
        assert_eq!(answer.contains("connection: close"), closes, "{connections}: {answer}");
    }
}

/// Several questions at once, of both kinds: answered one after the other, in order.
#[tokio::test]
async fn one_connection_for_everything() {
    let binhost = Binhost::start().await;
    promote(&binhost).await;
    let mut stream = TcpStream::connect(binhost.address).await.unwrap();
    let file = binhost.get(FILE).await.bytes().await.unwrap();
    get(&mut stream, INDEX, "Range: bytes=0-7\r\n").await;
    get(&mut stream, FILE, "").await;
    get(&mut stream, "/healthz", "").await;
    get(&mut stream, FILE, "").await;
    get(&mut stream, "/binhost/amd64/none", "Connection: close\r\n").await;
    let answers = closed(stream).await;
    let starts: Vec<_> = answers
        .windows(12)
        .filter(|window| window.starts_with(b"HTTP/1.1 "))
        .map(|w| w[9..].to_vec())
        .collect();
    let statuses: Vec<_> = starts.iter().map(|status| std::str::from_utf8(status).unwrap()).collect();
    assert_eq!(statuses, ["206", "200", "200", "200", "404"]);
    let whole = answers.windows(file.len()).filter(|window| *window == file).count();
    assert_eq!(whole, 2, "the file, from either way of serving, is {}", Digest::of(&file));
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let binhost = Binhost::start().await;
    promote(&binhost).await;
    let long = format!("GET {INDEX} HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET /binhost/amd64/Packages HTTP/1.1\r\nA B: c\r\n\r\n", "400"),
        (&long, "431"),
        ("GET /binhost/amd64/Packages HTTP/1.0\r\n\r\n", "200"),
        ("GET /binhost/amd64/Packages?x HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", "200"),
        ("GET /binhost/amd64/%50ackages HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", "200"),
        (
            "GET /binhost/amd64/Packages HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            "200",
        ),
    ] {
        let answer = timeout(SOON, raw(binhost.address, request)).await.unwrap();
        let start = String::from_utf8_lossy(&answer[..12.min(answer.len())]).into_owned();
        assert_eq!(start.split(' ').nth(1), Some(status), "{start}: {request:.60}");
    }
}
