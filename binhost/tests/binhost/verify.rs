//! Every kind of damage is found, beside the running daemon; the daemon's own scrub finds it too, and says so.

use crate::harness::*;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use swarm_protocol::Code;
use swarm_protocol::id::GenerationNumber;

async fn with_generation() -> (Binhost, [swarm_protocol::Digest; 2]) {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    binhost.prepare(1, &[zlib, xz]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    (binhost, [zlib, xz])
}

/// The exit status, and each finding as `FAULT PATH needed by COUNT`.
fn verified(binhost: &Binhost) -> (i32, Vec<String>) {
    let output = binhost.tool(&["verify", "--json"]);
    let status = output.status.code().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let root = binhost.path("").display().to_string();
    let finding = |finding: &Value| {
        let path = finding["path"].as_str().unwrap().replace(&root, "");
        let path = path.split('/').filter(|part| part.len() < 40).collect::<Vec<_>>().join("/");
        format!(
            "{} {path} {}",
            finding["fault"].as_str().unwrap(),
            finding["needed_by"].as_array().unwrap().len()
        )
    };
    (status, report["findings"].as_array().unwrap().iter().map(finding).collect())
}

fn flip(path: &Path) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 600).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 600).unwrap();
}

#[tokio::test]
async fn a_good_store_is_good() {
    let (binhost, _) = with_generation().await;
    assert_eq!(verified(&binhost), (0, vec![]));
    let slowly = binhost.tool(&["verify", "--bytes-per-second", "1000000000"]);
    let said = String::from_utf8(slowly.stdout).unwrap();
    assert!(said.starts_with("4 blobs of ") && said.ends_with("0 faults were found\n"), "{said}");
}

#[tokio::test]
async fn each_damage_is_found_with_what_needs_it() {
    let (binhost, [zlib, xz]) = with_generation().await;
    let generation = |name: &str| binhost.path(&format!("targets/amd64/generations/1/{name}"));
    let prefix = |digest: swarm_protocol::Digest| digest.to_string()[..2].to_owned();

    let bytes = fs::read(binhost.blob(zlib)).unwrap();
    flip(&binhost.blob(zlib));
    assert_eq!(verified(&binhost), (3, vec![format!("damaged blobs/{} 2", prefix(zlib))]));
    flip(&binhost.blob(zlib));
    assert_eq!(verified(&binhost), (0, vec![]));

    let blob = fs::OpenOptions::new().write(true).open(binhost.blob(zlib)).unwrap();
    blob.set_len(1000).unwrap();
    assert_eq!(verified(&binhost), (3, vec![format!("damaged blobs/{} 2", prefix(zlib))]));
    fs::remove_file(binhost.blob(zlib)).unwrap();
    assert_eq!(verified(&binhost), (3, vec![format!("missing blobs/{} 2", prefix(zlib))]));
    fs::write(binhost.blob(zlib), &bytes).unwrap();
    let file = generation("sys-libs/zlib/zlib-1.3.1-2.gpkg.tar");
    let shown = "targets/amd64/generations/1/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
    assert_eq!(verified(&binhost), (3, vec![format!("not_linked {shown} 0")]));
    fs::remove_file(&file).unwrap();
    assert_eq!(verified(&binhost), (3, vec![format!("missing {shown} 0")]));
    fs::hard_link(binhost.blob(zlib), &file).unwrap();
    assert_eq!(verified(&binhost), (0, vec![]));

    let index = fs::read(generation("Packages")).unwrap();
    let time = fs::metadata(generation("Packages")).unwrap().modified().unwrap();
    fs::write(generation("Packages"), "PACKAGES: 0\n").unwrap();
    assert_eq!(verified(&binhost), (3, vec!["index targets/amd64/generations/1/Packages 0".to_owned()]));
    fs::write(generation("Packages"), index).unwrap();
    // The time of writing is not its TIMESTAMP.
    assert_eq!(verified(&binhost), (3, vec!["index targets/amd64/generations/1/Packages 0".to_owned()]));
    fs::File::options().write(true).open(generation("Packages")).unwrap().set_modified(time).unwrap();
    let gzip = fs::read(generation("Packages.gz")).unwrap();
    fs::write(generation("Packages.gz"), &gzip[..gzip.len() / 2]).unwrap();
    assert_eq!(verified(&binhost), (3, vec!["index targets/amd64/generations/1/Packages.gz 0".to_owned()]));
    fs::write(generation("Packages.gz"), gzip).unwrap();
    fs::File::options().write(true).open(generation("Packages.gz")).unwrap().set_modified(time).unwrap();

    fs::write(binhost.path("blobs/00/readme"), "").unwrap();
    assert_eq!(verified(&binhost), (3, vec!["strange blobs/00/readme 0".to_owned()]));
    fs::remove_file(binhost.path("blobs/00/readme")).unwrap();

    let sidecar = fs::read(generation(".generation.json")).unwrap();
    fs::write(generation(".generation.json"), "{}").unwrap();
    let said = "sidecar targets/amd64/generations/1/.generation.json 0";
    assert_eq!(verified(&binhost), (3, vec![said.to_owned()]));
    fs::write(generation(".generation.json"), sidecar).unwrap();

    let log = binhost.path("targets/amd64/runs/7/staging.log");
    let records = fs::read(&log).unwrap();
    let mut damaged = records.clone();
    damaged[30] ^= 1;
    fs::write(&log, damaged).unwrap();
    assert_eq!(verified(&binhost), (3, vec!["journal targets/amd64/runs/7/staging.log 0".to_owned()]));
    // A torn tail is a record on its way.
    fs::write(&log, [&records[..], b"0123"].concat()).unwrap();
    assert_eq!(verified(&binhost), (0, vec![]));

    fs::remove_file(binhost.path("targets/amd64/current")).unwrap();
    std::os::unix::fs::symlink("generations/9", binhost.path("targets/amd64/current")).unwrap();
    assert_eq!(verified(&binhost), (3, vec!["current targets/amd64/current 0".to_owned()]));
    assert!(binhost.blob(xz).exists());
}

#[tokio::test]
async fn files_of_earlier_generations_are_looked_at_too() {
    let (binhost, [zlib, xz]) = with_generation().await;
    binhost.prepare(2, &[xz]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    assert_eq!(verified(&binhost), (0, vec![]));
    let carried = "targets/amd64/generations/2/sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
    fs::remove_file(binhost.path(carried)).unwrap();
    assert_eq!(verified(&binhost), (3, vec![format!("missing {carried} 0")]));
    fs::hard_link(binhost.blob(zlib), binhost.path(carried)).unwrap();
    for number in [1, 2] {
        binhost.orchestrator().pin(&target(), GenerationNumber(number), true).await.unwrap();
    }
    let pins = binhost.path("targets/amd64/pins.log");
    let mut records = fs::read(&pins).unwrap();
    records[30] ^= 1;
    fs::write(&pins, records).unwrap();
    assert_eq!(verified(&binhost), (3, vec!["journal targets/amd64/pins.log 0".to_owned()]));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_no_good_store() {
    let binhost = Binhost::start().await;
    fs::rename(binhost.path("blobs"), binhost.path("elsewhere")).unwrap();
    let output = binhost.tool(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("could not be verified"));
}

#[tokio::test]
async fn the_daemons_scrub_sets_damage_aside_and_stays_loud() {
    let (binhost, [zlib, _]) = with_generation().await;
    let bytes = fs::read(binhost.blob(zlib)).unwrap();
    let binhost = binhost.restart(|root| {
        flip(&root.join(format!("blobs/{}/{zlib}", &zlib.to_string()[..2])));
        // As if the last one were long ago.
        let _ = fs::remove_file(root.join("scrub.json"));
    });
    let binhost = binhost.await.unwrap();
    eventually("the scrub's note", || binhost.path("scrub.json").exists()).await;
    assert!(!binhost.blob(zlib).exists() && binhost.blob(zlib).with_extension("damaged").exists());
    let loud = r#"{"status":"degraded","degraded":["the last scrub found "#;
    let said = binhost.text("/readyz").await.unwrap();
    assert!(said.starts_with(loud), "{said}");
    let binhost = binhost.restart(|_| {}).await.unwrap();
    let said = binhost.text("/readyz").await.unwrap();
    assert!(said.starts_with(loud), "a restart forgets nothing: {said}");
    // Nobody else has to wait for it: what is lost is not carried on.
    let expat = binhost.publish(3, "dev-libs/expat-2.6.4", 1).await;
    assert_eq!(code(binhost.prepare(2, &[zlib]).await), Code::Gone);
    binhost.prepare(2, &[expat]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    // The address is free.
    binhost.drone().upload(zlib, bytes.len() as u64, bytes).await.unwrap();
    assert!(binhost.blob(zlib).exists());
}

#[tokio::test]
async fn gc_is_for_a_directory_that_no_daemon_has() {
    let binhost = Binhost::start().await;
    let refused = binhost.tool(&["gc"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("held by another binhost"), "{said}");
    assert!(said.contains("collects by itself, every 21600 seconds"), "{said}");
}
