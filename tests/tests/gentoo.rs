//! The main job on real Portage: drones in boxes of their own build real packages from real sources, and a workstation
//! without a compiler installs them with `emerge --usepkgonly` and runs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use swarm_protocol::id::{PackageId, RunId};
use swarm_protocol::plan::Plan;
use swarm_protocol::state::{AttemptPhase, Outcome, PackageState, RunState};
use swarm_tests::machines::{self, DroneMachine, Machine};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, wait};

const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

/// A directory whose file `go` lets `swarm-test/slow` finish.
fn gate(swarm: &Swarm) -> PathBuf {
    let gate = swarm.path().join("gate");
    fs::create_dir(&gate).unwrap();
    gate
}

fn plan(packages: &str, edges: &str) -> Plan {
    serde_json::from_str(&format!(r#"{{"packages": [{packages}], "edges": [{edges}]}}"#)).unwrap()
}

const SLOW: &str = r#"{"cpv": "swarm-test/slow-1", "slot": "0", "repository": "swarm-box"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_builds_and_a_workstation_installs_and_runs() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let drone = DroneMachine::start(&swarm, "ant", &gate(&swarm)).await;
    let run = swarm.run(drone.epoch(), machines::demo_plan()).await;
    let finished = swarm.run_reaches(run, RunState::Promoted, 900).await;
    assert_eq!(finished.counts.received, finished.counts.total);
    assert_eq!(finished.counts.failed, 0);

    let workstation = machines::workstation(&swarm, "app-arch/pigz\napp-misc/jq\napp-arch/xz-utils\n");
    assert!(
        !workstation.run(&["sh", "-c", "command -v cc"]).status.success(),
        "a workstation cannot compile"
    );
    let merged = workstation.ok(&UPDATE);
    assert!(!merged.contains("[ebuild"), "nothing was compiled:\n{merged}");
    let round_trip = "echo hello | /opt/swarm/bin/pigz | /opt/swarm/bin/pigz -d";
    assert_eq!(workstation.ok(&["sh", "-c", round_trip]), "hello\n");
    let query = r#"echo '{"a":"xyz"}' | /opt/swarm/bin/jq -r '.a | test("^x.z$")'"#;
    assert_eq!(workstation.ok(&["sh", "-c", query]), "true\n");
    let linked = workstation.ok(&["ldd", "/opt/swarm/bin/pigz"]);
    assert!(linked.contains("/opt/swarm/lib/libz.so.1"), "linked against the staged library:\n{linked}");
    // A second update finds nothing to do: what is installed is what the generation has.
    assert!(!workstation.ok(&UPDATE).contains("[binary"));

    index_is_what_portage_would_write(&swarm);
    secrets_stay_home(&swarm, &drone, run).await;
    log_is_kept(&swarm, run).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// `emaint binhost --fix` over the same files says the same of every package.
fn index_is_what_portage_would_write(swarm: &Swarm) {
    let generation = swarm.binhost_directory().join("targets/box/current");
    let copy = swarm.path().join("pkgdir");
    let copied = std::process::Command::new("cp").arg("-rLT").args([&generation, &copy]).status().unwrap();
    assert!(copied.success());
    let ours = index(&fs::read_to_string(copy.join("Packages")).unwrap());
    fs::remove_file(copy.join("Packages")).unwrap();
    fs::remove_file(copy.join("Packages.gz")).unwrap();
    let machine = Machine::up("emaint", "base", &[format!("{}:/var/cache/served", copy.display())]);
    let fix = ["PKGDIR=/var/cache/served", "FEATURES=binpkg-multi-instance", "emaint", "binhost", "--fix"];
    let _ = machine.ok(&fix);
    let portages = index(&fs::read_to_string(copy.join("Packages")).unwrap());
    assert_eq!(ours.len(), 7);
    for (package, entry) in &portages {
        assert_eq!(ours.get(package), Some(entry), "{package}");
    }
    assert_eq!(ours.len(), portages.len());
}

/// The entries of a `Packages` file by path, each with the CHOST that it may inherit from the header. MTIME is left out:
/// a copy has another one.
fn index(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let pairs = |block: &str| -> BTreeMap<String, String> {
        let pairs = block.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
    };
    let mut blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let inherited: BTreeMap<_, _> =
        pairs(blocks.next().unwrap()).into_iter().filter(|(key, _)| key == "CHOST").collect();
    let entries = blocks.map(|block| {
        let mut entry = inherited.clone();
        entry.extend(pairs(block).into_iter().filter(|(key, _)| key != "MTIME"));
        entry
    });
    entries.map(|entry| (entry["PATH"].clone(), entry)).collect()
}

/// Neither tokens nor tickets are found in what is published (PORTAGE.md 3).
async fn secrets_stay_home(swarm: &Swarm, drone: &DroneMachine, run: RunId) {
    let token = fs::read_to_string(swarm.path().join(&drone.name).join("token")).unwrap();
    for package in swarm.admin.packages(run).await.unwrap() {
        let path = swarm.binhost_directory().join("targets/box/current").join(package.artifact.unwrap().path);
        let environment = std::process::Command::new("sh")
            .arg("-c")
            .arg("tar -xOf \"$1\" --wildcards '*/metadata.tar*' | zstd -dc | tar -xO metadata/environment.bz2 | bzip2 -dc")
            .args(["sh", path.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(
            environment.status.success(),
            "{}: {}",
            package.cpv,
            String::from_utf8_lossy(&environment.stderr)
        );
        let text = String::from_utf8_lossy(&environment.stdout);
        assert!(text.contains("PN="), "this is the build's environment");
        assert!(!text.contains(token.trim()) && !text.contains("swt1."), "a secret in {}", package.cpv);
    }
}

async fn log_is_kept(swarm: &Swarm, run: RunId) {
    let package = swarm.package(run, "app-misc/jq-1.6").await;
    let attempts = swarm.admin.attempts(package.id).await.unwrap();
    let log = String::from_utf8(swarm.admin.log(attempts[0].id).await.unwrap()).unwrap();
    assert!(log.contains("jq") && log.contains("make"), "the build's log: {log}");
}

/// Waits until a drone compiles the package, and says so itself in the log.
async fn compiling(swarm: &Swarm, package: PackageId, attempt: usize) -> String {
    wait::until(120, "the package to be compiled", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        let attempt = attempts.get(attempt).filter(|attempt| attempt.phase == AttemptPhase::Building)?;
        let log = swarm.admin.log(attempt.id).await.unwrap();
        String::from_utf8_lossy(&log).contains("waiting for").then(|| attempt.drone.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_killed_in_mid_compile_loses_its_package_to_the_other_and_rejoins() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let mut first = DroneMachine::start(&swarm, "first", &gate).await;
    let run = swarm.run(first.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    assert_eq!(compiling(&swarm, package, 0).await, "first");
    let second = DroneMachine::start(&swarm, "second", &gate).await;
    first.daemon.take().unwrap().kill();
    let left = wait::until(20, "the killed drone's build to end with it", async || {
        let processes = first.machine.run(&["pgrep", "-f", "emerge|ebuild.sh|bwrap"]);
        (!processes.status.success()).then_some(())
    });
    left.await;
    assert_eq!(compiling(&swarm, package, 1).await, "second");
    first.start_daemon();
    wait::until(30, "the killed drone to be online again", async || {
        let drones = swarm.admin.drones().await.unwrap();
        drones.iter().all(|drone| drone.state == swarm_protocol::state::DroneState::Online).then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    let attempts = swarm.admin.attempts(package).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert!(
        matches!(outcomes[..], [Some(Outcome::Reclaimed | Outcome::Lost), Some(Outcome::Received)]),
        "{outcomes:?}"
    );
    checker::check(&swarm.admin, &swarm.database.pool).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_cut_off_for_longer_than_the_grace_keeps_its_build() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let drone = DroneMachine::start(&swarm, "far", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    drone.machine.cut();
    wait::until(60, "the attempt to be reclaimed", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        (attempts[0].outcome == Some(Outcome::Reclaimed)).then_some(())
    })
    .await;
    drone.machine.join();
    wait::until(60, "the drone to regain its package", async || {
        let attempts = swarm.admin.attempts(package).await.unwrap();
        attempts.get(1).is_some_and(|attempt| attempt.phase == AttemptPhase::Building).then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    let attempts = swarm.admin.attempts(package).await.unwrap();
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        // The drone sends its whole log again under the new attempt: the same compile, begun once.
        let log = swarm.admin.log(attempt.id).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&log).matches("waiting for").count(), 1, "{attempt:?}");
    }
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_does_not_compile_is_tried_elsewhere_and_quarantined_with_its_log() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let first = DroneMachine::start(&swarm, "first", &gate).await;
    let second = DroneMachine::start(&swarm, "second", &gate).await;
    let bad = r#"{"cpv": "swarm-test/fails-1", "slot": "0", "repository": "swarm-box"}"#;
    let good = r#"{"cpv": "swarm-test/trivial-1", "slot": "0", "repository": "swarm-box"}"#;
    let run = swarm.run(first.epoch(), plan(&format!("{bad}, {good}"), "")).await;
    let frozen = swarm.run_reaches(run, RunState::Frozen, 180).await;
    assert_eq!((frozen.counts.quarantined, frozen.counts.received), (1, 1));
    let package = swarm.package(run, "swarm-test/fails-1").await;
    assert_eq!(package.state, PackageState::Quarantined);
    let attempts = swarm.admin.attempts(package.id).await.unwrap();
    let drones: Vec<_> = attempts.iter().map(|attempt| attempt.drone.as_str()).collect();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_ne!(drones[0], drones[1], "the second try is another drone's");
    for attempt in &attempts {
        assert_eq!(attempt.class, Some(swarm_protocol::state::FailureClass::Package), "{attempt:?}");
        assert!(attempt.excerpt.as_deref().unwrap().contains("swarm-test"), "{attempt:?}");
    }
    checker::check(&swarm.admin, &swarm.database.pool).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_told_to_stop_finishes_its_build_first() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let mut drone = DroneMachine::start(&swarm, "polite", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    wait::until(20, "the drone to say that it stops", async || {
        swarm.admin.drones().await.unwrap()[0].stopping.then_some(())
    })
    .await;
    fs::write(gate.join("go"), "").unwrap();
    assert!(drone.daemon.as_mut().unwrap().ended(120).await.success());
    swarm.run_reaches(run, RunState::Promoted, 60).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_told_twice_to_stop_stops_now_and_its_package_is_reclaimed() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let gate = gate(&swarm);
    let mut drone = DroneMachine::start(&swarm, "hasty", &gate).await;
    let run = swarm.run(drone.epoch(), plan(SLOW, "")).await;
    let package = swarm.package(run, "swarm-test/slow-1").await.id;
    compiling(&swarm, package, 0).await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    wait::until(20, "the drone to say that it stops", async || {
        swarm.admin.drones().await.unwrap()[0].stopping.then_some(())
    })
    .await;
    let _ = drone.machine.ok(&["pkill", "-TERM", "-f", "build-drone run"]);
    // Its patience is thirty seconds; it does not wait for them.
    drone.daemon.as_mut().unwrap().ended(20).await;
    wait::until(20, "its build to end with it", async || {
        let processes = drone.machine.run(&["pgrep", "-f", "emerge|ebuild.sh|bwrap"]);
        (!processes.status.success()).then_some(())
    })
    .await;
    wait::until(30, "the package to be needed again", async || {
        (swarm.package(run, "swarm-test/slow-1").await.state == PackageState::Needed).then_some(())
    })
    .await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
