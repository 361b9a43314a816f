//! The real binary's resolution loop against a scripted orchestrator and binhost, with Portage itself in the Gentoo box's
//! base root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod stub;

use build_drone::resolver::root::EMPTY_INDEX;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use stub::{Answer, Asked, Stub};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::{Code, Digest};
use tokio::process::{Child, Command};

fn ready() -> bool {
    let ready = Path::new(stub::BASE).join("etc/portage").exists() && rustix::process::geteuid().is_root();
    if !ready {
        eprintln!("no base root at {}: nothing is tested", stub::BASE);
    }
    ready
}

fn drone(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_build-drone"));
    command.args(["run", "--config"]).arg(config).env("RUST_LOG", "build_drone=debug");
    command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Sends SIGTERM; the exit status and the log.
async fn stopped(child: Child) -> (Option<i32>, String) {
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn epoch(asked: &Asked) -> Digest {
    serde_json::from_value::<Epoch>(asked.body["epochs"][0]["epoch"].clone()).unwrap().digest()
}

fn resolution(number: i64, epoch: Digest, world: &[&str]) -> Answer {
    Answer::Json(json!({"resolution": {
        "resolution": number, "token": format!("00000000-0000-0000-0000-{number:012}"), "run": 1, "target": "box",
        "epoch": epoch, "world": world, "ticket": "the ticket", "limit_seconds": 300,
    }}))
}

/// Three tasks: one that Portage plans, one that it refuses, one under an epoch that the drone has left; then the drone is
/// trusted no more. The first answers of binhost and orchestrator are lost.
fn script(url: String) -> impl FnMut(&Asked) -> Answer + Send {
    let (mut tasks, mut no_index, mut no_answer) = (0, false, false);
    move |asked| match asked.path.as_str() {
        "drone/sessions" => Answer::Json(stub::session(1, &url)),
        "drone/claims" => Answer::Later(Duration::from_secs(30)),
        "drone/resolutions" => {
            tasks += 1;
            match tasks {
                1 => Answer::Problem(Code::Unavailable),
                2 => resolution(5, epoch(asked), &["app-misc/jq"]),
                3 => resolution(6, epoch(asked), &["swarm-test/absent"]),
                4 => resolution(7, Digest::of(b"another"), &[]),
                _ => Answer::Problem(Code::Forbidden),
            }
        }
        "/staging/box/1/Packages" if !std::mem::replace(&mut no_index, true) => {
            Answer::Problem(Code::Unavailable)
        }
        "/staging/box/1/Packages" => Answer::Bytes(EMPTY_INDEX.into()),
        "drone/resolutions/5/plan" if !std::mem::replace(&mut no_answer, true) => {
            Answer::Problem(Code::Unavailable)
        }
        "drone/resolutions/6/fail" => Answer::Problem(Code::StaleReport),
        _ => Answer::Json(json!({"revoked": [], "regained": []})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_resolved_and_reported() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start_at(script).await;
    let child = drone(&stub::config(dir.path(), &stub.url));

    let plans = stub.wait("resolutions/5/plan", 2).await;
    assert_eq!(plans[0].body, plans[1].body);
    let body = &plans[0].body;
    assert_eq!(body["fence"], json!({"token": "00000000-0000-0000-0000-000000000005", "session": 1}));
    let packages = body["plan"]["packages"].as_array().unwrap();
    let cpvs: Vec<&Value> = packages.iter().map(|package| &package["cpv"]).collect();
    assert_eq!(
        cpvs,
        ["app-misc/jq-1.6", "dev-libs/oniguruma-6.9.8", "sys-libs/glibc-2.36", "virtual/libc-1"]
    );

    let refused = stub.wait("resolutions/6/fail", 1).await.remove(0).body;
    assert_eq!(refused["class"], "package");
    assert_eq!(refused["reason"], "Portage refuses: unsatisfied: swarm-test/absent (wanted by @world)");
    assert_eq!(refused["findings"][0]["atom"], "swarm-test/absent");

    let left = stub.wait("resolutions/7/fail", 1).await.remove(0).body;
    assert_eq!(left["class"], "epoch");

    // It asks once whether it may, and not again for minutes.
    stub.wait("drone/resolutions", 5 + 4).await;
    let beats = stub.asked("heartbeat").len();
    stub.wait("heartbeat", beats + 3).await;
    let requests =
        stub.asked("drone/resolutions").into_iter().filter(|asked| asked.path == "drone/resolutions");
    assert_eq!(requests.count(), 5);
    let (status, log) = stopped(child).await;
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("the ticket"), "{log}");
    assert!(std::fs::read_dir(dir.path().join("state/resolutions")).unwrap().next().is_none());
}

/// A stop gives the run back at once, whatever the resolution waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_a_resolution_up() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start_at(|url| {
        move |asked: &Asked| match asked.path.as_str() {
            "drone/sessions" => Answer::Json(stub::session(1, &url)),
            "drone/resolutions" => resolution(5, epoch(asked), &["app-misc/jq"]),
            "drone/claims" | "/staging/box/1/Packages" => Answer::Later(Duration::from_mins(1)),
            _ => Answer::Json(json!({"revoked": [], "regained": []})),
        }
    })
    .await;
    let child = drone(&stub::config(dir.path(), &stub.url));
    stub.wait("staging", 1).await;
    let stop = tokio::time::timeout(Duration::from_secs(20), stopped(child));
    let (status, log) = stop.await.expect("it does not wait for the binhost");
    assert_eq!(status, Some(0), "{log}");
    let body = stub.asked("resolutions/5/fail").remove(0).body;
    assert_eq!((&body["class"], &body["reason"]), (&json!("infrastructure"), &json!("the drone stops")));
    let paths = stub.paths();
    let at = |path: &str| paths.iter().position(|asked| asked.contains(path)).unwrap();
    assert!(at("resolutions/5/fail") < at("sessions/close"), "{paths:?}");
}
