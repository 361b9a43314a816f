//! The headers of every kind of answer, as they go over the wire, from both ways of serving.

use crate::harness::*;
use crate::serving::{FILE, INDEX, promote};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A header line that no answer depends on, but that makes a request hyper's.
const FOR_HYPER: &str = "Upgrade: none\r\n";

/// The bytes that come back on a connection that is closed after one answer.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// The status line and the sorted headers, but for hyper's own `Date`, and the body.
fn parts(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let mut lines: Vec<_> = headers.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("date: ")).count(), 1, "{head}");
    lines.retain(|line| !line.starts_with("date: "));
    lines.sort_unstable();
    (format!("{status}\n{}", lines.join("\n")), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn of_every_kind_of_answer() {
    let binhost = Binhost::start().await;
    promote(&binhost).await;
    let etag = binhost.get(FILE).await.headers()["etag"].to_str().unwrap().to_owned();
    let since = httpdate::fmt_http_date(build_binhost::clock::system_time(NOW + 5));
    let mut said = Vec::new();
    for (method, path, more) in [
        ("GET", INDEX, String::new()),
        ("GET", "/binhost/amd64/Packages.gz", String::new()),
        ("GET", INDEX, format!("If-Modified-Since: {since}\r\n")),
        ("GET", INDEX, "Range: bytes=3-6\r\n".to_owned()),
        ("GET", FILE, String::new()),
        ("HEAD", FILE, "Range: bytes=3-6\r\n".to_owned()),
        ("GET", FILE, format!("If-None-Match: {etag}\r\n")),
        ("GET", FILE, format!("Range: bytes=-5\r\nIf-Range: {etag}\r\n")),
        ("GET", FILE, "Range: bytes=99999999-\r\n".to_owned()),
        ("GET", FILE, "If-Match: \"other\"\r\n".to_owned()),
        ("GET", "/binhost/amd64/nothing", String::new()),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n{more}");
        let direct = parts(&raw(binhost.address, &format!("{request}\r\n")).await);
        let hyper = parts(&raw(binhost.address, &format!("{request}{FOR_HYPER}\r\n")).await);
        assert_eq!(direct, hyper, "{request}");
        let lines: Vec<_> = direct.0.lines().map(masked).collect();
        said.push(format!("> {method} {path}\n{}", lines.join("\n")));
    }
    insta::assert_snapshot!(said.join("\n\n"));
}

/// What depends on the moment at which a package was uploaded, and on what the compressor made of it.
fn masked(line: &str) -> String {
    let Some((name, value)) = line.split_once(": ") else { return line.to_owned() };
    let value = match name {
        "etag" => "DIGEST",
        "last-modified" => "DATE",
        "content-length" if value.len() > 1 => "N",
        "content-range" if value.contains('*') => "bytes */N",
        "content-range" => "bytes N-N/N",
        _ => value,
    };
    format!("{name}: {value}")
}
