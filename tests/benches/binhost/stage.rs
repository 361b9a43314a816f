//! One package added to a staged index of 20,000.
//!
//! | side | what is measured |
//! |---|---|
//! | ours | the stage call over HTTP, from request to answer: the package read and checked, both logs durable, the view with its gzip member |
//! | ours, again | the same call repeated, which changes nothing: what HTTP, the ticket and the fence cost |
//! | Portage | `bintree.inject` in a box, over the same index in a PKGDIR, after it was loaded |
//!
//! After each of our calls the view is read and must have the package.

use crate::report;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::BuildId;
use swarm_tests::binhost::{Binhost, RUN};
use swarm_tests::gpkg;
use swarm_tests::machines::Machine;

const STAGED: i64 = 20_000;
const ADDED: i64 = 100;
const INJECTED: i64 = 15;

/// Among those who are staged, not behind them.
fn cpv(number: i64) -> String {
    format!("cat-{}/package{}-1.{}", number * 7919 % 83, number * 104_729 % 999_983, number % 10)
}

/// As much metadata as packages have: entries of about 850 bytes.
fn metadata(number: i64) -> [(&'static str, String); 6] {
    let library = |salt: i64| {
        let hash = (number * 31 + salt * 17).pow(2) % 7919;
        format!(">=dev-libs/library{}-{}.{}:0/{}=", hash % 600, hash % 9, hash % 31, hash % 12)
    };
    let depend = |from: i64| (from..from + 5).map(library).collect::<Vec<_>>().join(" ");
    let flags: Vec<_> = (0..8).map(|salt| format!("flag{}", (number + salt * salt) % 300)).collect();
    [
        ("DEPEND", depend(0)),
        ("RDEPEND", depend(5)),
        ("BDEPEND", library(11)),
        ("IUSE", flags.join(" ")),
        ("PROVIDES", format!("x86_64: libpackage{number}.so.{}", number % 9)),
        ("REQUIRES", format!("x86_64: libc.so.6 libm.so.6 liblibrary{}.so.1", number % 600)),
    ]
}

async fn upload(binhost: &Binhost, number: i64) -> swarm_tests::binhost::Uploaded {
    let metadata = metadata(number);
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    binhost.upload(number, &cpv(number), 1, &metadata).await
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

async fn view(binhost: &Binhost, name: &str) -> (Vec<u8>, f64) {
    let begun = Instant::now();
    let answer = binhost.control.staging(&binhost.target, RUN, name).await.unwrap();
    let bytes = answer.bytes().await.unwrap().to_vec();
    (bytes, milliseconds(begun))
}

fn unpacked(gzip: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(gzip).read_to_string(&mut text).unwrap();
    text
}

pub(crate) async fn run() {
    let mut binhost = Binhost::start(Ipv4Addr::LOCALHOST.into(), "bench-stage").await;
    let all = stream::iter(0..STAGED).map(async |number| {
        let uploaded = upload(&binhost, number).await;
        binhost.stage(&uploaded).await;
    });
    all.buffer_unordered(16).for_each(async |()| ()).await;
    let (text, _) = view(&binhost, "Packages").await;
    report::line(&start(&mut binhost).await);
    let (mut stage, mut again, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for number in STAGED..STAGED + ADDED {
        let uploaded = upload(&binhost, number).await;
        let begun = Instant::now();
        let staged = binhost.stage(&uploaded).await;
        stage.push(milliseconds(begun));
        let begun = Instant::now();
        assert_eq!(binhost.stage(&uploaded).await, staged);
        again.push(milliseconds(begun));
        let (gzip, took) = view(&binhost, "Packages.gz").await;
        read.push(took);
        assert!(
            unpacked(&gzip).contains(&format!("\nPATH: {}\n", staged.path)),
            "{} does not show",
            staged.path
        );
    }
    let portage = portage(&binhost, &text);
    let inject: Vec<f64> = serde_json::from_value(portage["inject"].clone()).unwrap();
    let median = |values: &[f64]| report::spread(values)["median"].as_f64().unwrap();
    report::line(&json!({
        "name": "stage", "unit": "ms", "staged": STAGED, "text_bytes": text.len(), "n": ADDED,
        "ours": report::percentiles(&stage), "ours_again": report::percentiles(&again),
        "ours_without_http": report::rounded(median(&stage) - median(&again)),
        "whole_gzip_read": report::percentiles(&read),
        "portage_inject": report::spread(&inject), "portage_load": portage["load"],
        "ratio": report::rounded(median(&inject) / median(&stage)),
    }));
}

/// How long a start takes with all of that in the logs, and the first read after it.
async fn start(binhost: &mut Binhost) -> Value {
    let begun = Instant::now();
    binhost.start_again().await;
    let ready = milliseconds(begun);
    let (gzip, first) = view(binhost, "Packages.gz").await;
    let (_, second) = view(binhost, "Packages.gz").await;
    json!({
        "name": "start", "unit": "ms", "staged": STAGED, "ready": report::rounded(ready), "gzip_bytes": gzip.len(),
        "first_read": report::rounded(first), "second_read": report::rounded(second),
    })
}

/// What Portage needs for the same, with the index as we serve it. It trusts that, so it looks at no other file.
const INJECT: &str = r#"
import json, sys, time
import portage
bintree = portage.db[portage.root]["bintree"]
begun = time.perf_counter()
bintree.populate()
load = (time.perf_counter() - begun) * 1000
assert len(bintree.dbapi.cpv_all()) == int(sys.argv[1]), len(bintree.dbapi.cpv_all())
inject = []
for line in open("/pkgdir/new"):
    cpv, path = line.split()
    begun = time.perf_counter()
    assert bintree.inject(cpv, current_pkg_path=path)
    inject.append((time.perf_counter() - begun) * 1000)
print(json.dumps({"load": round(load, 3), "inject": inject}))
"#;

fn portage(binhost: &Binhost, text: &[u8]) -> Value {
    let pkgdir = binhost.path().join("pkgdir");
    std::fs::create_dir(&pkgdir).unwrap();
    std::fs::write(pkgdir.join("Packages"), text).unwrap();
    let mut new = String::new();
    for number in STAGED + ADDED..STAGED + ADDED + INJECTED {
        new += &inject_file(&pkgdir, number);
    }
    std::fs::write(pkgdir.join("new"), new).unwrap();
    let machine = Machine::up("inject", "base", &[format!("{}:/pkgdir", pkgdir.display())]);
    let environment = [
        "PKGDIR=/pkgdir",
        "FEATURES=pkgdir-index-trusted binpkg-multi-instance compress-index -binpkg-signing",
        "python3",
        "-c",
        INJECT,
    ];
    serde_json::from_str(&machine.ok(&[&environment[..], &[&STAGED.to_string()]].concat())).unwrap()
}

/// Writes a package where Portage would have put it; its line in the list.
fn inject_file(pkgdir: &Path, number: i64) -> String {
    let cpv: Cpv = cpv(number).parse().unwrap();
    let metadata = metadata(number);
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let path = format!("{}/{}-1.gpkg.tar", cpv.cp(), cpv.pf());
    let file = pkgdir.join(&path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, gpkg::package_of(&cpv, BuildId(1), &metadata, &[])).unwrap();
    format!("{cpv} /pkgdir/{path}\n")
}
