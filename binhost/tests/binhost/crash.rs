//! Every state that a crash can leave, written by hand, and the start that reads it.

use crate::harness::*;
use crate::package::Package;
use std::fs;
use std::io::Write;
use std::path::Path;

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

async fn with_two() -> Binhost {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    binhost.prepare(1, &[zlib]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    binhost
}

#[tokio::test]
async fn everything_is_as_it_was_after_a_restart() {
    let binhost = with_two().await;
    let (staging, index) = (binhost.staging().await, binhost.text("/binhost/amd64/Packages").await);
    let current = binhost.orchestrator().current(&target()).await.unwrap();
    let binhost = binhost.restart(|_| {}).await.unwrap();
    assert_eq!(binhost.staging().await, staging);
    assert_eq!(binhost.text("/binhost/amd64/Packages").await, index);
    assert_eq!(binhost.orchestrator().current(&target()).await.unwrap(), current);
}

#[tokio::test]
async fn a_torn_staging_log_loses_only_what_was_never_confirmed() {
    let binhost = with_two().await;
    let log = "targets/amd64/runs/7/staging.log";
    let binhost =
        binhost.restart(|root| append(&root.join(log), b"0123456789abcdef {\"package\":3,")).await.unwrap();
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["2"]);
    binhost.publish(3, "dev-libs/expat-2.6.4", 1).await;
    let cut = |root: &Path| {
        let bytes = fs::read(root.join(log)).unwrap();
        fs::write(root.join(log), &bytes[..bytes.len() - 9]).unwrap();
    };
    let binhost = binhost.restart(cut).await.unwrap();
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["2"]);
    // Its path was reserved before: the same call finds its own reservation, other bytes do not get it.
    binhost.publish(3, "dev-libs/expat-2.6.4", 1).await;
    let other = binhost.upload(&Package::new("dev-libs/expat-2.6.4", 1).image(b"other".to_vec())).await;
    let refused = binhost.stage(4, 9, other, expected("dev-libs/expat-2.6.4", 1)).await;
    assert!(matches!(code(refused), swarm_protocol::Code::Conflict | swarm_protocol::Code::PathUsed));
    assert_eq!(values(&binhost.staging().await, "PACKAGES"), ["3"]);
}

#[tokio::test]
async fn a_damaged_log_is_not_guessed_at() {
    let binhost = with_two().await;
    let damage = |root: &Path| {
        let log = root.join("targets/amd64/artifacts.log");
        let mut bytes = fs::read(&log).unwrap();
        bytes[30] ^= 1;
        fs::write(log, bytes).unwrap();
    };
    let error = binhost.restart(damage).await.err().unwrap();
    assert!(format!("{error:#}").contains("line 1 of"), "{error:#}");
}

#[tokio::test]
async fn leftovers_are_swept() {
    let binhost = with_two().await;
    let leave = |root: &Path| {
        fs::write(root.join("uploads/0123.4"), "half").unwrap();
        fs::create_dir_all(root.join("targets/amd64/generations/.new-2/sys-libs")).unwrap();
        std::os::unix::fs::symlink("generations/2", root.join("targets/amd64/.current.new")).unwrap();
        fs::create_dir_all(root.join("targets/amd64/runs/9")).unwrap();
    };
    let binhost = binhost.restart(leave).await.unwrap();
    assert!(names(&binhost.path("uploads")).is_empty());
    assert_eq!(names(&binhost.path("targets/amd64/generations")), ["1"]);
    assert!(!binhost.path("targets/amd64/.current.new").is_symlink());
    binhost.prepare(2, &[]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
}

#[tokio::test]
async fn a_switch_without_its_note_is_noted() {
    let binhost = with_two().await;
    binhost.prepare(2, &[]).await.unwrap();
    let switch = |root: &Path| {
        let link = root.join("targets/amd64/current");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("generations/2", link).unwrap();
    };
    let binhost = binhost.restart(switch).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    binhost.prepare(3, &[]).await.unwrap();
    binhost.promote(3, Some(2)).await.unwrap();
    let log = fs::read_to_string(binhost.path("targets/amd64/promotions.log")).unwrap();
    assert_eq!(log.lines().count(), 3);
}
