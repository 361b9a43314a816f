//! Staging: what is checked, fenced, repeated and seen.

use crate::harness::*;
use crate::package::Package;
use reqwest::Method;
use swarm_protocol::binhost::Expected;
use swarm_protocol::id::{BuildId, RunId};
use swarm_protocol::ticket::{Scope, Ticket};
use swarm_protocol::{Code, Digest};

/// A change to what is expected.
type Edit = fn(&mut Expected);

#[tokio::test]
async fn a_staged_package_is_seen_by_its_run_at_once() {
    let binhost = Binhost::start().await;
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["0"]);
    let built = binhost.upload(&Package::zlib()).await;
    let staged = binhost.stage(1, 1, built, zlib()).await.unwrap();
    assert_eq!(staged.path, "sys-libs/zlib/zlib-1.3.1-2.gpkg.tar");
    assert_eq!(values(&binhost.staging().await, "PATH"), std::slice::from_ref(&staged.path));
    let file = binhost.drone().staging(&target(), RUN, &staged.path).await.unwrap();
    let file = file.bytes().await.unwrap();
    assert_eq!((Digest::of(&file), file.len() as u64), (staged.published, staged.size));
    let gzip = binhost.drone().staging(&target(), RUN, "Packages.gz").await.unwrap().bytes().await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&gzip[..]), &mut text).unwrap();
    assert_eq!(text, binhost.staging().await);
}

#[tokio::test]
async fn each_mismatch_is_refused() {
    let binhost = Binhost::start().await;
    let built = binhost.upload(&Package::zlib()).await;
    let edits: [(&str, Edit); 7] = [
        ("CATEGORY", |e| e.cpv = "dev-libs/zlib-1.3.1".parse().unwrap()),
        ("directory", |e| e.cpv = "sys-libs/zlib-1.3.2".parse().unwrap()),
        ("SLOT", |e| e.slot = "0/2".parse().unwrap()),
        ("repository", |e| e.repository = "guru".parse().unwrap()),
        ("USE", |e| e.use_flags.clear()),
        ("CHOST", |e| e.chost = "i686-pc-linux-gnu".to_owned()),
        ("directory", |e| e.build_id = BuildId(3)),
    ];
    for (part, edit) in edits {
        let mut expected = zlib();
        edit(&mut expected);
        let error = binhost.stage(1, 1, built, expected).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::UnexpectedPackage), "{error}");
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    for (value, part) in [("a/b:=", "not bound"), ("x? ( a/b )", "not evaluated")] {
        let built = binhost.upload(&Package::zlib().value("RDEPEND", value)).await;
        let error = binhost.stage(1, 1, built, zlib()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    let plain = binhost.upload(&Package::zlib().value("BUILD_ID", "9").basename("zlib-1.3.1")).await;
    assert!(binhost.stage(1, 1, plain, zlib()).await.unwrap_err().to_string().contains("BUILD_ID"));
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["0"]);
}

#[tokio::test]
async fn bad_packages_and_missing_ones() {
    let binhost = Binhost::start().await;
    let missing = Digest::of(b"never uploaded");
    assert_eq!(code(binhost.stage(1, 1, missing, zlib()).await), Code::NotFound);
    let whole = Package::zlib().bytes();
    for bytes in [whole[..whole.len() / 2].to_vec(), b"no tar".to_vec(), Vec::new()] {
        let digest = Digest::of(&bytes);
        binhost.drone().upload(digest, bytes.len() as u64, bytes).await.unwrap();
        assert_eq!(code(binhost.stage(1, 1, digest, zlib()).await), Code::InvalidPackage);
    }
    let zero = Expected { build_id: BuildId(0), ..zlib() };
    assert_eq!(code(binhost.stage(1, 1, missing, zero).await), Code::InvalidValue);
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["0"]);
}

#[tokio::test]
async fn bytes_that_changed_on_the_disk_are_uploaded_again() {
    let binhost = Binhost::start().await;
    let built = binhost.upload(&Package::zlib()).await;
    let name = built.to_string();
    let path = binhost.path(&format!("blobs/{}/{name}", &name[..2]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(code(binhost.stage(1, 1, built, zlib()).await), Code::DigestMismatch);
    assert_eq!(code(binhost.stage(1, 1, built, zlib()).await), Code::NotFound);
    binhost.upload(&Package::zlib()).await;
    binhost.stage(1, 1, built, zlib()).await.unwrap();
}

#[tokio::test]
async fn attempts_are_fenced_and_repeatable() {
    let binhost = Binhost::start().await;
    let first = binhost.upload(&Package::zlib()).await;
    let second = binhost.upload(&Package::new("sys-libs/zlib-1.3.1", 3)).await;
    let later = expected("sys-libs/zlib-1.3.1", 3);
    let answer = binhost.stage(1, 10, first, zlib()).await.unwrap();
    assert_eq!(binhost.stage(1, 10, first, zlib()).await.unwrap(), answer);
    assert_eq!(code(binhost.stage(1, 9, second, later.clone()).await), Code::StaleReport);
    assert_eq!(code(binhost.stage(1, 10, second, later.clone()).await), Code::Conflict);
    assert_eq!(code(binhost.stage(2, 11, first, zlib()).await), Code::Conflict);
    assert_eq!(values(&binhost.staging().await, "BUILD_ID"), ["2"]);
    let published = binhost.stage(1, 12, second, later.clone()).await.unwrap().published;
    assert_eq!(values(&binhost.staging().await, "BUILD_ID"), ["3"]);
    assert_eq!(code(binhost.stage(1, 10, first, zlib()).await), Code::StaleReport);
    // A returning drone's artifact under a new attempt: the same bytes at the same path.
    assert_eq!(binhost.stage(1, 13, second, later).await.unwrap().published, published);
}

#[tokio::test]
async fn a_path_names_one_artifact_for_ever() {
    let binhost = Binhost::start().await;
    let first = binhost.upload(&Package::zlib()).await;
    let other = binhost.upload(&Package::zlib().image(b"other bytes".to_vec())).await;
    binhost.stage(1, 1, first, zlib()).await.unwrap();
    assert_eq!(code(binhost.stage(1, 2, other, zlib()).await), Code::PathUsed);
    let stage = |built| swarm_protocol::binhost::Stage {
        package: swarm_protocol::id::PackageId(99),
        attempt: swarm_protocol::id::AttemptId(99),
        built,
        expected: zlib(),
    };
    let next_run = RunId(8);
    let orchestrator = binhost.orchestrator();
    assert_eq!(code(orchestrator.stage(&target(), next_run, &stage(other)).await), Code::PathUsed);
    let binhost = binhost.restart(|_| {}).await.unwrap();
    let orchestrator = binhost.orchestrator();
    assert_eq!(code(orchestrator.stage(&target(), next_run, &stage(other)).await), Code::PathUsed);
    // Carried over: the same bytes in a later run. And another target has paths of its own.
    orchestrator.stage(&target(), next_run, &stage(first)).await.unwrap();
    orchestrator.stage(&"arm64".parse().unwrap(), next_run, &stage(other)).await.unwrap();
}

#[tokio::test]
async fn staging_is_for_its_run_only() {
    let binhost = Binhost::start().await;
    binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let scope = |target: &str, run| Scope::Attempt {
        target: target.parse().unwrap(),
        run: RunId(run),
        package: swarm_protocol::id::PackageId(1),
        attempt: swarm_protocol::id::AttemptId(1),
        max_bytes: 1,
    };
    let sign = |scope, expires| signer().sign(&Ticket { scope, expires });
    for path in ["/staging/amd64/7/Packages", "/staging/amd64/7/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar"] {
        for (ticket, status) in [
            (None, 401),
            (Some(sign(scope("amd64", 7), NOW)), 401),
            (Some(sign(scope("amd64", 8), NOW + 9)), 403),
            (Some(sign(scope("arm64", 7), NOW + 9)), 403),
            (Some(sign(scope("amd64", 7), NOW + 9)), 200),
            (Some(control(NOW)), 200),
        ] {
            let mut request = binhost.request(Method::GET, path).header("If-None-Match", "*");
            if let Some(ticket) = &ticket {
                request = request.bearer_auth(ticket);
            }
            let response =
                request.header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT").send().await.unwrap();
            assert_eq!(response.status(), status, "{path} {ticket:?}");
            if status != 200 {
                problem(response).await;
            }
        }
    }
    assert_eq!(binhost.get("/binhost/amd64/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar").await.status(), 404);
}
