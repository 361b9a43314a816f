//! The main job, whole, on real Portage: a world set, resolved by Portage, built by several drones, installed by a
//! workstation that cannot compile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use swarm_protocol::admin::{Run, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::id::{BuildId, RunId};
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

async fn set_world(swarm: &Swarm, atoms: &str) {
    let world = atoms.split_whitespace().map(|atom| atom.parse().unwrap()).collect();
    let world = World { world, provided: Provided::default() };
    swarm.admin.set_world(&target(), &world).await.unwrap();
}

/// Waits until the run is over; it must be promoted.
async fn promoted(swarm: &Swarm, run: RunId, seconds: u64) -> Run {
    let over = wait::until(seconds, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    over
}

/// The run's packages with their `BUILD_ID`s, and whether this run built them.
async fn outcome(swarm: &Swarm, run: RunId) -> BTreeMap<String, (BuildId, bool)> {
    let packages = swarm.admin.packages(run).await.unwrap();
    let outcome = packages.into_iter().map(|package| {
        let built = package.attempts > 0;
        (package.cpv.to_string(), (package.artifact.unwrap().build_id, built))
    });
    outcome.collect()
}

fn built(outcome: &BTreeMap<String, (BuildId, bool)>) -> Vec<&str> {
    outcome.iter().filter(|(_, (_, built))| *built).map(|(cpv, _)| cpv.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drones_build_the_world_and_a_workstation_installs_and_runs_it() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    set_world(&swarm, machines::WORLD).await;
    let _drones = [
        DroneMachine::start_at(&swarm, "ant", Place::default()).await,
        DroneMachine::start_at(&swarm, "bee", Place::default()).await,
    ];
    let first = swarm.unresolved_run().await;
    let run = promoted(&swarm, first, 1500).await;
    assert!(run.counts.total >= 16, "{:?}", run.counts);
    assert_eq!((run.counts.received, run.counts.kept), (run.counts.total, 0));
    assert_eq!((run.counts.succeeded, run.counts.failed), (run.counts.total, 0), "each was built once");
    let packages = swarm.admin.packages(first).await.unwrap();
    let builders: BTreeSet<_> =
        packages.iter().map(|package| package.artifact.as_ref().unwrap().drone.as_str()).collect();
    assert_eq!(builders, ["ant", "bee"].into());

    let workstation = machines::workstation(&swarm, machines::WORLD, None);
    assert!(
        !workstation.run(&["sh", "-c", "command -v cc"]).status.success(),
        "a workstation cannot compile"
    );
    let merged = workstation.ok(&UPDATE);
    assert!(!merged.contains("[ebuild"), "nothing was compiled:\n{merged}");
    programs_run(&workstation);
    // A second update finds nothing to do: what is installed is what the generation has.
    assert!(!workstation.ok(&UPDATE).contains("[binary"));
    index_is_what_portage_would_write(&swarm, packages.len());
    secrets_stay_home(&swarm, first).await;

    // Nothing has changed, so Portage keeps everything and nothing is published.
    let second = swarm.unresolved_run().await;
    let run = promoted(&swarm, second, 300).await;
    assert_eq!((run.counts.kept, run.counts.attempted), (run.counts.total, 0), "{run:?}");
    assert_eq!(run.reason.as_deref(), Some("nothing changed since generation 1"));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

fn programs_run(workstation: &Machine) {
    let round_trip = "echo hello | /opt/swarm/bin/pigz | /opt/swarm/bin/pigz -d";
    assert_eq!(workstation.ok(&["sh", "-c", round_trip]), "hello\n");
    let query = r#"echo '{"a":"xyz"}' | /opt/swarm/bin/jq -r '.a | test("^x.z$")'"#;
    assert_eq!(workstation.ok(&["sh", "-c", query]), "true\n");
    let perl = r"printf 'a1\nb2\n' | /opt/swarm/bin/grep -P '^b(?=\d)'";
    assert_eq!(workstation.ok(&["sh", "-c", perl]), "b2\n");
    let linked = workstation.ok(&["ldd", "/opt/swarm/bin/pigz"]);
    assert!(linked.contains("/opt/swarm/lib/libz.so.1"), "linked against the staged library:\n{linked}");
}

/// `emaint binhost --fix` over the same files says the same of every package.
fn index_is_what_portage_would_write(swarm: &Swarm, packages: usize) {
    let generation = swarm.binhost_directory().join("targets/box/current");
    let copy = swarm.path().join("pkgdir");
    let copied = std::process::Command::new("cp").arg("-rLT").args([&generation, &copy]).status().unwrap();
    assert!(copied.success());
    let ours = index(&fs::read_to_string(copy.join("Packages")).unwrap());
    fs::remove_file(copy.join("Packages")).unwrap();
    fs::remove_file(copy.join("Packages.gz")).unwrap();
    let machine = Machine::up("emaint", "base", &[format!("{}:/var/cache/served", copy.display())]);
    // emaint leaves out what it cannot verify.
    machine.trust(&swarm.binhost_url(), &target());
    let fix = ["PKGDIR=/var/cache/served", "FEATURES=binpkg-multi-instance", "emaint", "binhost", "--fix"];
    let _ = machine.ok(&fix);
    let portages = index(&fs::read_to_string(copy.join("Packages")).unwrap());
    assert_eq!(ours.len(), packages);
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

/// Neither tokens nor tickets are found in what is published (PORTAGE.md 3), and every build left its log.
async fn secrets_stay_home(swarm: &Swarm, run: RunId) {
    let token = |name: &str| fs::read_to_string(swarm.path().join(name).join("token")).unwrap();
    let tokens = [token("ant"), token("bee")];
    for package in swarm.admin.packages(run).await.unwrap() {
        let path = swarm.binhost_directory().join("targets/box/current").join(package.artifact.unwrap().path);
        let text = environment(&path);
        assert!(text.contains("PN="), "this is the build's environment");
        let leaked = tokens.iter().any(|token| text.contains(token.trim())) || text.contains("swt1.");
        assert!(!leaked, "a secret in {}", package.cpv);
        let attempts = swarm.admin.attempts(package.id).await.unwrap();
        let log = String::from_utf8(swarm.admin.log(attempts[0].id).await.unwrap()).unwrap();
        assert!(log.contains(&package.cpv.pf()), "the build's log: {log}");
    }
}

/// What a package holds of the environment that it was built in.
fn environment(package: &Path) -> String {
    let unpack = "tar -xOf \"$1\" --wildcards '*/metadata.tar*' | zstd -dc | tar -xO metadata/environment.bz2 | bzip2 -dc";
    let output = std::process::Command::new("sh")
        .args(["-c", unpack, "sh", package.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", package.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_slot_bump_rebuilds_the_consumer_and_the_workstation_gets_both() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = machines::repository(&swarm);
    let ebuilds = repository.join("swarm-test/libsub");
    let newer = fs::read(ebuilds.join("libsub-2.ebuild")).unwrap();
    fs::remove_file(ebuilds.join("libsub-2.ebuild")).unwrap();
    set_world(&swarm, "swarm-test/uses-libsub swarm-test/trivial").await;
    let place = Place { repository: Some(&repository), ..Place::default() };
    let _drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let first = swarm.unresolved_run().await;
    promoted(&swarm, first, 300).await;
    let before = outcome(&swarm, first).await;
    let workstation =
        machines::workstation(&swarm, "swarm-test/uses-libsub\nswarm-test/trivial\n", Some(&repository));
    let _ = workstation.ok(&UPDATE);
    assert_eq!(built_against(&workstation), "built against libsub 1\n");

    let text = String::from_utf8(newer).unwrap().replace("~amd64", "amd64");
    fs::write(ebuilds.join("libsub-2.ebuild"), text).unwrap();
    let second = swarm.unresolved_run().await;
    let run = promoted(&swarm, second, 300).await;
    assert_ne!(run.epoch, swarm.admin.run(first).await.unwrap().epoch, "the tree has changed");
    let after = outcome(&swarm, second).await;
    assert_eq!(built(&after), ["swarm-test/libsub-2", "swarm-test/uses-libsub-1"], "{after:?}");
    assert_eq!(after["swarm-test/trivial-1"].0, before["swarm-test/trivial-1"].0, "it is the same artifact");
    assert!(
        after["swarm-test/uses-libsub-1"].0 > before["swarm-test/uses-libsub-1"].0,
        "a path has one content"
    );
    let merged = workstation.ok(&UPDATE);
    assert!(!merged.contains("[ebuild") && !merged.contains("swarm-test/trivial"), "{merged}");
    assert_eq!(built_against(&workstation), "built against libsub 2\n");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

fn built_against(workstation: &Machine) -> String {
    workstation.ok(&["cat", "/opt/swarm/share/swarm-test/uses-libsub"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_base_root_has_is_planned_too_and_never_linked_against() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = machines::repository(&swarm);
    let newer = repository.join("swarm-test/libsub/libsub-2.ebuild");
    fs::write(&newer, fs::read_to_string(&newer).unwrap().replace("~amd64", "amd64")).unwrap();
    set_world(&swarm, "swarm-test/uses-libsub").await;
    let older = machines::base_with("=swarm-test/libsub-1");
    let place = Place {
        repository: Some(&repository),
        prepare: Some(&older),
        base_root: Some(machines::OTHER_BASE),
        ..Place::default()
    };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let installed = format!("{}/opt/swarm/share/swarm-test/libsub", machines::OTHER_BASE);
    assert_eq!(drone.machine.ok(&["cat", &installed]), "libsub 1\n", "the base root has the older library");
    let run = swarm.unresolved_run().await;
    promoted(&swarm, run, 300).await;
    assert!(built(&outcome(&swarm, run).await).contains(&"swarm-test/libsub-2"));
    let workstation = machines::workstation(&swarm, "swarm-test/uses-libsub\n", Some(&repository));
    let _ = workstation.ok(&UPDATE);
    assert_eq!(built_against(&workstation), "built against libsub 2\n");
}
