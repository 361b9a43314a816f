//! The real binary against a scripted orchestrator and binhost, with Portage itself in the Gentoo box's base root: a whole
//! build, a polite stop, and `kill -9`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod stub;

use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use stub::{Answer, Asked, Stub};
use swarm_protocol::Digest;
use tokio::process::{Child, Command};

fn ready() -> bool {
    let ready = Path::new(stub::BASE).join("etc/portage").exists() && rustix::process::geteuid().is_root();
    if !ready {
        eprintln!("no base root at {}: nothing is tested", stub::BASE);
    }
    ready
}

/// Gives one claim of `cpv`, under the epoch that the drone itself names, and receives what comes.
fn script(url: String, cpv: &'static str, revoke: bool) -> impl FnMut(&Asked) -> Answer + Send {
    let (mut lost, mut accepting) = (false, false);
    move |asked| match asked.path.as_str() {
        "drone/sessions" => Answer::Json(stub::session(1, &url)),
        // The first answer is lost on the way; the drone must repeat the number.
        "drone/claims" if !std::mem::replace(&mut lost, true) => {
            Answer::Problem(swarm_protocol::Code::Unavailable)
        }
        "drone/claims" if asked.body["request"] == 1 => {
            Answer::Json(json!({"claims": [stub::claim(7, cpv, &asked.body["epochs"][0])]}))
        }
        "drone/claims" => Answer::Later(Duration::from_secs(30)),
        "drone/attempts/7/complete" if !std::mem::replace(&mut accepting, true) => {
            Answer::Json(json!({"result": "accepting"}))
        }
        "drone/attempts/7/complete" => Answer::Json(json!({"result": "received"})),
        "drone/heartbeat" if revoke && asked.body["held"][0]["phase"] == "building: compile" => {
            Answer::Json(json!({"revoked": [7], "regained": []}))
        }
        _ => Answer::Json(json!({"revoked": [], "regained": []})),
    }
}

async fn stub(cpv: &'static str, revoke: bool) -> Stub {
    Stub::start_at(|url| script(url, cpv, revoke)).await
}

fn drone(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_build-drone"))
        .args(["run", "--config"])
        .arg(config)
        .env("SECRET_OF_THE_DRONE", "must not reach a package")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

async fn said(child: Child) -> (Option<i32>, String) {
    let output =
        tokio::time::timeout(Duration::from_mins(1), child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What emerge stored of its environment in the package.
fn environment(dir: &Path, package: &[u8]) -> String {
    fs::write(dir.join("package.gpkg.tar"), package).unwrap();
    let script = "tar -xOf package.gpkg.tar --wildcards '*/metadata.tar.zst' | zstd -dc \
                  | tar -xO metadata/environment.bz2 | bzcat";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// True while a process is in a root below `state`.
fn busy(state: &Path) -> bool {
    let state = state.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut inside = entries.filter(|entry| {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        entry.file_name() != "self" && read("mountinfo").contains(&format!("{state}/attempts"))
    });
    inside.next().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_build_and_a_polite_stop() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stub = stub("swarm-test/trivial-1", false).await;
    let child = drone(&stub::config(dir.path(), &stub.url));
    stub.wait("complete", 2).await;
    let numbers: Vec<_> = stub.asked("claims").iter().map(|asked| asked.body["request"].clone()).collect();
    assert_eq!(numbers[..2], [json!(1), json!(1)]);
    let upload = stub.asked("uploads/").remove(0);
    assert_eq!(upload.path, format!("uploads/{}", Digest::of(&upload.bytes)));
    let environment = environment(dir.path(), &upload.bytes);
    assert!(environment.contains("declare -x PF=\"trivial-1\""), "{environment}");
    assert!(!environment.contains("must not reach"), "{environment}");
    let built = stub.asked("complete")[0].body["built"].clone();
    assert_eq!(built, json!(Digest::of(&upload.bytes)));
    let paths = stub.paths();
    let at = |path: &str| paths.iter().rposition(|asked| asked.contains(path)).unwrap();
    assert!(
        at("/start") < at("uploads/") && at("uploads/") < at("/complete") && at("/log") < at("/complete")
    );
    // The second request says that the hands are empty again.
    stub.wait("claims", 3).await;
    signal(&child, rustix::process::Signal::TERM);
    let (status, stderr) = said(child).await;
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stub.asked("sessions/close").len(), 1);
    assert!(!stderr.contains("secret") && !stderr.contains("ticket"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_patience_a_build_is_handed_back() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stub = stub("swarm-test/slow-1", false).await;
    let child = drone(&stub::config(dir.path(), &stub.url));
    stub.wait("/start", 1).await;
    signal(&child, rustix::process::Signal::TERM);
    let (status, stderr) = said(child).await;
    assert_eq!(status, Some(0), "{stderr}");
    let paths = stub.paths();
    let at = |path: &str| paths.iter().position(|asked| asked.contains(path));
    assert!(at("hand-back").unwrap() < at("sessions/close").unwrap(), "{paths:?}");
    assert!(!busy(&dir.path().join("state")));
    assert!(stub.asked("heartbeat").iter().any(|beat| beat.body["draining"] == true));
}

/// A revoked build is killed, nothing is said of it, and the drone asks for other work.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_build_is_killed_and_forgotten() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let stub = stub("swarm-test/slow-1", true).await;
    let child = drone(&stub::config(dir.path(), &stub.url));
    let asks_again = || stub.asked("claims").into_iter().find(|asked| asked.body["request"] == 2);
    stub::until(60, asks_again).await.expect("it asks for other work");
    assert!(!busy(&dir.path().join("state")) && !dir.path().join("state/attempts/7").exists());
    for report in ["/fail", "/hand-back", "/complete"] {
        assert!(stub.asked(report).is_empty(), "{report}");
    }
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(said(child).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_leaves_neither_processes_nor_mounts() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let stub = stub("swarm-test/slow-1", false).await;
    let config = stub::config(dir.path(), &stub.url);
    let child = drone(&config);
    let building = || {
        stub.asked("heartbeat").into_iter().find(|beat| beat.body["held"][0]["phase"] == "building: compile")
    };
    stub::until(60, building).await.expect("it builds");
    assert!(busy(&state));
    signal(&child, rustix::process::Signal::KILL);
    said(child).await;
    stub::until(10, || (!busy(&state)).then_some(())).await.expect("all are dead");
    assert!(state.join("attempts/7").exists());
    // The next start clears what is left.
    let next = drone(&config);
    stub.wait("drone/sessions", 2).await;
    assert!(!state.join("attempts/7/upper").exists() || stub.asked("/start").len() > 1);
    // Without a build to finish, one signal is enough, and may be heard without a heartbeat.
    stub.wait("/start", 2).await;
    signal(&next, rustix::process::Signal::TERM);
    signal_again(&next, &stub).await;
    said(next).await;
    stub::until(10, || (!busy(&state)).then_some(())).await.expect("all are dead");
}

/// The second signal stops now. Sent when the first one was heard, for two at once are one signal.
async fn signal_again(child: &Child, stub: &Stub) {
    let draining =
        || stub.asked("drone/heartbeat").iter().any(|beat| beat.body["draining"] == true).then_some(());
    stub::until(10, draining).await.expect("the first signal is heard");
    signal(child, rustix::process::Signal::TERM);
}
