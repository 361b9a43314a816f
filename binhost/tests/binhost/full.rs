//! A disk that is really full: the store on a small tmpfs, in a mount namespace of the binary's own (this needs root).

use crate::harness::*;
use crate::package::Package;
use crate::process::Process;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::binhost::{Prepare, Stage};
use swarm_protocol::id::{AttemptId, GenerationNumber, PackageId, RunId};
use swarm_protocol::{Code, Digest};

fn start(directory: &Path, size: &str, limits: &str) -> Process {
    let store = directory.join("store");
    std::fs::create_dir_all(&store).unwrap();
    let config = Process::config(directory);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[limits]\n{limits}\n")).unwrap();
    let script = "mount -t tmpfs -o size=$4,mode=755 tmpfs \"$1\" && exec \"$2\" serve --config \"$3\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&store);
    command.arg(env!("CARGO_BIN_EXE_build-binhost")).arg(config).arg(size);
    Process::spawn(&mut command)
}

/// A path of the store, as the process sees it.
fn inside(process: &Process, directory: &Path, path: &str) -> PathBuf {
    let store = directory.join("store");
    format!("/proc/{}/root{}/{path}", process.child.id(), store.display()).into()
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_said_before_it_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path(), "16m", "disk_low_bytes = 8388608");
    let filler = inside(&process, directory.path(), "filler");
    let ready = async || process.orchestrator().ready().await.unwrap();
    assert_eq!(ready().await.degraded, Vec::<String>::new());
    std::fs::write(&filler, vec![1; 12 << 20]).unwrap();
    let low = ready().await;
    assert_eq!(low.status, "degraded");
    let free = low.disk_free_bytes.unwrap();
    assert!(free < 4 << 20, "{free}");
    let said = format!(
        "its disk is nearly full: {} MiB are free, and limits.disk_low_bytes asks for 8;",
        free >> 20
    );
    assert!(low.degraded.len() == 1 && low.degraded[0].starts_with(&said), "{low:?}");
    assert!(low.degraded[0].contains("[retention]"), "it says what to do: {low:?}");
    // It is no more than a warning: what fits is taken.
    let bytes = Package::zlib().bytes();
    process.drone().upload(Digest::of(&bytes), bytes.len() as u64, bytes).await.unwrap();
    std::fs::remove_file(filler).unwrap();
    assert_eq!(ready().await.degraded, Vec::<String>::new());
    process.kill();
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path(), "4m", "");
    let inside = |path: &str| inside(&process, directory.path(), path);
    let bytes = Package::zlib().bytes();
    let stage =
        Stage { package: PackageId(1), attempt: AttemptId(1), built: Digest::of(&bytes), expected: zlib() };
    process.drone().upload(stage.built, bytes.len() as u64, bytes).await.unwrap();

    let large = vec![9; 8 << 20];
    let upload = process.drone().upload(Digest::of(&large), large.len() as u64, large).await;
    assert_eq!(code(upload), Code::DiskFull);
    assert!(names(&inside("uploads")).is_empty(), "nothing is left of it");

    let filler = inside("filler");
    while std::fs::write(&filler, vec![1; 4 << 20]).is_ok() {}
    assert_eq!(code(process.orchestrator().stage(&target(), RUN, &stage).await), Code::DiskFull);
    assert!(names(&inside("uploads")).is_empty(), "nothing is left of the signed package");
    assert_eq!(reqwest::get(format!("{}/readyz", process.base)).await.unwrap().status(), 507);

    let dropped = process.orchestrator().drop_run(&target(), RunId(9)).await;
    assert_eq!(code(dropped), Code::DiskFull, "a run is not dropped that would not stay so");
    assert!(process.drone().upload(stage.built, 5, "again").await.is_ok(), "touching needs no room");

    std::fs::remove_file(filler).unwrap();
    process.orchestrator().drop_run(&target(), RunId(9)).await.unwrap();
    assert_eq!(reqwest::get(format!("{}/readyz", process.base)).await.unwrap().status(), 200);
    let published = process.orchestrator().stage(&target(), RUN, &stage).await.unwrap().published;

    // A generation that cannot be written leaves nothing, and can be repeated.
    while std::fs::write(inside("filler"), vec![1; 4 << 20]).is_ok() {}
    let number = GenerationNumber(1);
    let prepare = Prepare { artifacts: vec![published], system: vec![], provided: provided() };
    assert_eq!(code(process.orchestrator().prepare(&target(), number, &prepare).await), Code::DiskFull);
    assert!(names(&inside("targets/amd64/generations")).is_empty());
    std::fs::remove_file(inside("filler")).unwrap();
    process.orchestrator().prepare(&target(), number, &prepare).await.unwrap();
    process.kill();
}
