//! Mirrors: on a real S3 server, and in another directory.

use crate::harness::*;
use crate::package::Package;
use crate::s3::{KEY, S3, SECRET};
use build_binhost::clock::{Clock, SystemClock};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use swarm_protocol::Digest;

/// Three files, of which one is larger than a part; generation 1 has the first two.
async fn with_generation() -> (Binhost, [Digest; 3]) {
    let binhost = Binhost::at(SystemClock.now() - 3600, |_| {}).await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let large = Package::new("app-arch/xz-utils-5.6.4", 1)
        .image((0..12_u32 << 18).flat_map(u32::to_le_bytes).collect());
    let built = binhost.upload(&large).await;
    let large = binhost.stage(2, 2, built, expected("app-arch/xz-utils-5.6.4", 1)).await.unwrap().published;
    let expat = binhost.publish(3, "dev-libs/libsigc++-2.10.8", 1).await;
    binhost.prepare(1, &[zlib, large]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    (binhost, [zlib, large, expat])
}

fn pushed(binhost: &Binhost, s3: &S3, more: &[&str]) -> String {
    let arguments = [&["mirror", "s3://mirror/public"], more].concat();
    said(&binhost.tool_with(&arguments, |command| s3.set_up(command)))
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn get(s3: &S3, path: &str) -> reqwest::Response {
    reqwest::get(format!("{}/public/amd64/{path}", s3.public())).await.unwrap()
}

const ZLIB: &str = "sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
const LARGE: &str = "app-arch/xz-utils/xz-utils-5.6.4-1.gpkg.tar";
const PLUS: &str = "dev-libs/libsigc++/libsigc++-2.10.8-1.gpkg.tar";

#[tokio::test]
async fn what_is_missing_is_pushed_and_what_is_not_kept_is_pruned() {
    let (binhost, [zlib, large, plus]) = with_generation().await;
    let s3 = S3::start().await;
    let first = pushed(&binhost, &s3, &[]);
    assert!(
        first.starts_with("amd64: 2 files of ")
            && first.ends_with("; the index of generation 1 is there now\n")
    );
    assert!(first.contains("pushed, 0 were there"), "{first}");
    let index = get(&s3, "Packages").await.text().await.unwrap();
    assert_eq!(index, binhost.text("/binhost/amd64/Packages").await.unwrap());
    let keys = get(&s3, "key.asc").await.text().await.unwrap();
    assert_eq!(keys, binhost.text("/binhost/amd64/key.asc").await.unwrap());
    for (path, digest) in [(ZLIB, zlib), (LARGE, large)] {
        assert_eq!(Digest::of(&get(&s3, path).await.bytes().await.unwrap()), digest);
    }
    let again = pushed(&binhost, &s3, &[]);
    assert_eq!(
        again,
        "amd64: 0 files of 0 bytes pushed, 2 were there; the index of generation 1 was there\n"
    );

    // Cut off: one file did not come to its end, and the record does not know of another.
    fs::write(s3.file(&format!("public/amd64/{LARGE}")), "half").unwrap();
    fs::remove_file(s3.file("public/amd64/.mirror.json")).unwrap();
    assert!(pushed(&binhost, &s3, &[]).starts_with("amd64: 2 files of "));
    assert_eq!(Digest::of(&get(&s3, LARGE).await.bytes().await.unwrap()), large);

    // A later generation, and a file of none.
    binhost.prepare(2, &[large, plus]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    fs::create_dir_all(s3.file("public/amd64/sys-libs/old")).unwrap();
    fs::write(s3.file("public/amd64/sys-libs/old/old-1-1.gpkg.tar"), "of no generation").unwrap();
    fs::write(s3.file("public/amd64/README"), "of somebody else").unwrap();
    let second = pushed(&binhost, &s3, &["--prune"]);
    assert!(
        second.starts_with("amd64: 1 files of ") && second.contains("2 were there, 1 removed; "),
        "{second}"
    );
    assert_eq!(get(&s3, "sys-libs/old/old-1-1.gpkg.tar").await.status(), 404);
    assert!(get(&s3, "README").await.status().is_success());
    assert!(get(&s3, ZLIB).await.status().is_success(), "generation 1 is kept, and somebody has its index");
    let encoded = PLUS.replace('+', "%2B");
    assert_eq!(Digest::of(&get(&s3, &encoded).await.bytes().await.unwrap()), plus);
    let index = get(&s3, "Packages.gz").await.bytes().await.unwrap();
    assert_eq!(index, binhost.get("/binhost/amd64/Packages.gz").await.bytes().await.unwrap());
}

/// Killed while the first files arrive, in the middle, and near the end: an index is never there before its files.
#[tokio::test]
async fn a_push_that_is_killed_is_repeated() {
    let binhost = Binhost::start().await;
    let mut artifacts = Vec::new();
    for number in 1..=90 {
        artifacts.push(binhost.publish(number, &format!("dev-libs/lib{number}x-1.0"), 1).await);
    }
    binhost.prepare(1, &artifacts).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    let s3 = S3::start().await;
    let packages = s3.file("public/amd64/dev-libs");
    for arrived in [1, 30, 70] {
        let (mut command, _config) = binhost.command(&["mirror", "s3://mirror/public"]);
        s3.set_up(&mut command);
        let mut push = command.spawn().unwrap();
        eventually("some files", || {
            let there = packages.is_dir() && names(&packages).len() >= arrived;
            there || push.try_wait().unwrap().is_some()
        })
        .await;
        push.kill().unwrap();
        push.wait().unwrap();
        let all = names(&packages).len() == 90;
        assert!(all || !s3.file("public/amd64/Packages.gz").exists());
    }
    assert!(pushed(&binhost, &s3, &[]).contains("the index of generation 1 is"));
    for number in 1..=90 {
        let file = s3.file(&format!("public/amd64/dev-libs/lib{number}x/lib{number}x-1.0-1.gpkg.tar"));
        assert_eq!(Digest::of(&fs::read(file).unwrap()), artifacts[number - 1]);
    }
}

/// The time of upload is later than what a client asks with that holds the index before: it is never told 304.
#[tokio::test]
async fn an_index_is_never_hidden_by_the_one_before() {
    let (binhost, [zlib, ..]) = with_generation().await;
    let s3 = S3::start().await;
    binhost.clock.set(SystemClock.now());
    binhost.prepare(2, &[zlib]).await.unwrap();
    let held = binhost.promote(2, Some(1)).await.unwrap();
    pushed(&binhost, &s3, &[]);
    binhost.prepare(3, &[]).await.unwrap();
    binhost.promote(3, Some(2)).await.unwrap();
    pushed(&binhost, &s3, &[]);
    for name in ["Packages", "Packages.gz"] {
        let asked = httpdate(held + 5);
        let request = reqwest::Client::new().get(format!("{}/public/amd64/{name}", s3.public()));
        let answer = request.header("If-Modified-Since", asked).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
    }
    assert!(SystemClock.now() > held + 5);
}

fn httpdate(seconds: i64) -> String {
    httpdate::fmt_http_date(build_binhost::clock::system_time(seconds))
}

#[tokio::test]
async fn a_mirror_goes_neither_back_nor_to_another_binhost() {
    let (binhost, [zlib, ..]) = with_generation().await;
    let directory = tempfile::tempdir().unwrap();
    let place = format!("file://{}/public", directory.path().display());
    let mirror = ["mirror", place.as_str(), "--target", "amd64", "--json"];
    let first: serde_json::Value = serde_json::from_str(&said(&binhost.tool(&mirror))).unwrap();
    assert_eq!((&first[0]["files"], &first[0]["index"]), (&2.into(), &true.into()));
    let file = directory.path().join("public/amd64").join(ZLIB);
    assert_eq!(Digest::of(&fs::read(file).unwrap()), zlib);

    let record = directory.path().join("public/amd64/.mirror.json");
    let good = fs::read_to_string(&record).unwrap();
    fs::write(&record, good.replace(&zlib.to_string(), &Digest::of(b"other").to_string())).unwrap();
    assert!(refusal(&binhost.tool(&mirror)).contains("the mirror is of another binhost"));
    let timestamp = binhost.orchestrator().current(&target()).await.unwrap().timestamp.unwrap();
    fs::write(&record, good.replace(&timestamp.to_string(), &(timestamp + 100).to_string())).unwrap();
    assert!(refusal(&binhost.tool(&mirror)).contains("it does not go back"));
    fs::write(&record, good).unwrap();
    said(&binhost.tool(&mirror));

    // Damaged bytes stay where they are.
    fs::remove_file(directory.path().join("public/amd64").join(LARGE)).unwrap();
    let blob = walk(&binhost, LARGE);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[5000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    assert!(refusal(&binhost.tool(&mirror)).contains("is damaged"));
    assert!(!directory.path().join("public/amd64").join(LARGE).exists());
}

/// A generation's file is its blob.
fn walk(binhost: &Binhost, path: &str) -> std::path::PathBuf {
    binhost.path("targets/amd64/generations/1").join(path)
}

#[tokio::test]
async fn credentials_are_asked_for_and_never_shown() {
    let (binhost, _) = with_generation().await;
    let s3 = S3::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "access_key_id = \"{KEY}\"\nsecret_access_key = \"{SECRET}\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\nallow_http = true\n",
        s3.endpoint()
    );
    fs::write(&file, &text).unwrap();
    let path = file.path().to_str().unwrap();
    let mirror = ["mirror", "s3://mirror/public", "--credentials", path];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&binhost.tool(&mirror)).contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(said(&binhost.tool(&mirror)).contains("the index of generation 1 is there now"));
    fs::write(&file, text.replace(SECRET, "another-secret")).unwrap();
    let refused = refusal(&binhost.tool(&mirror));
    assert!(refused.contains("cannot read the mirror") && !refused.contains("another-secret"), "{refused}");
    fs::write(&file, "secret_access_key = \"half\nregion").unwrap();
    let refused = refusal(&binhost.tool(&mirror));
    assert!(refused.contains("is no TOML") && !refused.contains("half"), "{refused}");
    for (place, why) in [
        ("http://example.org/x", "not at http://"),
        ("s3://key:secret@mirror/x", "not in the destination"),
        ("file://host/x", "three slashes"),
    ] {
        assert!(refusal(&binhost.tool(&["mirror", place])).contains(why));
    }
}
