//! What Portage and wget ask, and what they get.

use crate::harness::*;
use reqwest::Method;
use swarm_protocol::Code;

pub(crate) const INDEX: &str = "/binhost/amd64/Packages";
pub(crate) const FILE: &str = "/binhost/amd64/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";

async fn promoted() -> Binhost {
    let binhost = Binhost::start().await;
    promote(&binhost).await;
    binhost
}

/// Makes a generation with zlib the current one.
pub(crate) async fn promote(binhost: &Binhost) {
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    binhost.prepare(1, &[zlib]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
}

fn date(seconds: i64) -> String {
    httpdate::fmt_http_date(build_binhost::clock::system_time(seconds))
}

#[tokio::test]
async fn an_index_is_not_sent_to_those_who_have_it() {
    let binhost = promoted().await;
    for path in [INDEX, "/binhost/amd64/Packages.gz"] {
        let first = binhost.get(path).await;
        assert_eq!(first.headers()["last-modified"], date(NOW).as_str());
        assert!(!first.headers().contains_key("content-encoding"));
        let tag = first.headers()["etag"].clone();
        for (name, value, status) in [
            // Portage adds 5 seconds to the TIMESTAMP that it holds.
            ("If-Modified-Since", date(NOW + 5), 304),
            ("If-Modified-Since", date(NOW - 1), 200),
            ("If-None-Match", tag.to_str().unwrap().to_owned(), 304),
            ("If-None-Match", "\"other\"".to_owned(), 200),
        ] {
            let response = binhost.request(Method::GET, path).header(name, &value).send().await.unwrap();
            assert_eq!(response.status(), status, "{path} {name} {value}");
            assert_eq!(response.headers()["last-modified"], date(NOW).as_str());
        }
    }
    // The next generation, prepared in the same second, is not hidden by the client's tolerance.
    binhost.prepare(2, &[]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    let asked =
        binhost.request(Method::GET, INDEX).header("If-Modified-Since", date(NOW + 5)).send().await.unwrap();
    assert_eq!(
        (asked.status().as_u16(), &asked.headers()["last-modified"]),
        (200, &date(NOW + 6).parse().unwrap())
    );
}

#[tokio::test]
async fn a_download_is_resumed() {
    let binhost = promoted().await;
    let whole = binhost.get(FILE).await;
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let bytes = whole.bytes().await.unwrap();
    assert!(build_binhost::gpkg::read(&bytes[..]).is_ok());
    for (range, condition, status, part) in [
        ("bytes=100-", None, 206, &bytes[100..]),
        ("bytes=100-199", Some(tag.as_str()), 206, &bytes[100..200]),
        ("bytes=-7", None, 206, &bytes[bytes.len() - 7..]),
        ("bytes=100-", Some("\"other\""), 200, &bytes[..]),
        ("bytes=0-1,5-6", None, 200, &bytes[..]),
    ] {
        let mut request = binhost.request(Method::GET, FILE).header("Range", range);
        if let Some(condition) = condition {
            request = request.header("If-Range", condition);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(response.headers()["content-length"], part.len().to_string().as_str());
        assert_eq!(response.bytes().await.unwrap(), part, "{range}");
    }
    let part = binhost.request(Method::GET, FILE).header("Range", "bytes=1-2").send().await.unwrap();
    assert_eq!(part.headers()["content-range"], format!("bytes 1-2/{}", bytes.len()).as_str());
    let beyond = format!("bytes={}-", bytes.len());
    let response = binhost.request(Method::GET, FILE).header("Range", beyond).send().await.unwrap();
    assert_eq!(response.headers()["content-range"], format!("bytes */{}", bytes.len()).as_str());
    assert_eq!(problem(response).await.code, Code::RangeNotSatisfiable);
}

#[tokio::test]
async fn an_index_is_resumed_and_a_replaced_one_is_not() {
    let binhost = promoted().await;
    let whole = binhost.get(INDEX).await;
    let date = whole.headers()["last-modified"].clone();
    let text = whole.text().await.unwrap();
    let rest = || binhost.request(Method::GET, INDEX).header("Range", "bytes=10-").header("If-Range", &date);
    let response = rest().send().await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(response.text().await.unwrap(), text[10..]);
    binhost.prepare(2, &[]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    let response = rest().send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().starts_with("PACKAGES: 0\n"));
    let wanted =
        binhost.request(Method::GET, INDEX).header("If-Unmodified-Since", &date).send().await.unwrap();
    assert_eq!(problem(wanted).await.code, Code::PreconditionFailed);
}

#[tokio::test]
async fn head_says_what_get_would() {
    let binhost = promoted().await;
    for path in [INDEX, FILE, "/binhost/amd64/Packages.gz"] {
        let (get, head) =
            (binhost.get(path).await, binhost.request(Method::HEAD, path).send().await.unwrap());
        for name in ["content-length", "etag", "last-modified", "content-type"] {
            assert_eq!(get.headers()[name], head.headers()[name], "{path} {name}");
        }
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn nothing_but_paths_of_generations_is_served() {
    let binhost = promoted().await;
    for path in [
        "/binhost/amd64/.generation.json",
        "/binhost/amd64/",
        "/binhost/amd64",
        "/binhost/amd64/sys-libs",
        "/binhost/amd64/%2e%2e/artifacts.log",
        "/binhost/amd64/..%2fartifacts.log",
        "/binhost/amd64/sys-libs//zlib/zlib-1.3.1-2.gpkg.tar",
        "/binhost/AMD64/Packages",
        "/binhost/..%2famd64/Packages",
        "/binhost/other/Packages",
    ] {
        let response = binhost.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        problem(response).await;
    }
}

#[tokio::test]
async fn health() {
    let binhost = Binhost::start().await;
    assert_eq!(binhost.text("/healthz").await.unwrap(), "alive\n");
    let ready = binhost.text("/readyz").await.unwrap();
    assert!(ready.starts_with(r#"{"status":"ready","degraded":[],"disk_free_bytes":"#), "{ready}");
    assert!(names(&binhost.path("uploads")).is_empty());
}
