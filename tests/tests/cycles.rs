//! Packages that need each other, on real Portage: built in stages, and only the last ones are published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use swarm_protocol::admin::{NewRun, NewTarget, Package, Run, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

#[tokio::test(flavor = "multi_thread")]
async fn cycles_come_out_with_all_their_use() {
    const WORLD: &str = "swarm-test/cyc-b\nswarm-test/ring-b\n";
    let swarm = swarm_for(WORLD).await;
    let _drones = drones(&swarm, Place::default()).await;
    let packages = promoted(&swarm).await;
    assert_eq!(stages(&packages, "swarm-test/cyc-a-1"), [0, 1, 2].into());
    assert_eq!(stages(&packages, "swarm-test/cyc-b-1"), [0, 1].into());
    assert_eq!(stages(&packages, "swarm-test/ring-a-1"), [0, 1, 2].into());
    assert_eq!(stages(&packages, "swarm-test/ring-c-1"), [0, 1].into());
    published_are_the_last(&swarm, &packages);
    assert!(use_of(&swarm, "swarm-test/cyc-a-1").contains("cyc"));

    let workstation = machines::workstation(&swarm, WORLD, None);
    let _ = workstation.ok(&UPDATE);
    let read = |name: &str| {
        let file = workstation.root().join("opt/swarm/share/swarm-test").join(name);
        fs::read_to_string(file).unwrap()
    };
    // Each tells what it was built with: nothing reduced.
    assert_eq!((read("cyc-a").trim(), read("cyc-b").trim()), ("Built with cyc-b.", "Built with cyc-b."));
    assert_eq!((read("ring-a").trim(), read("ring-b").trim()), ("ring: closed", "closed"));
    assert!(!workstation.ok(&UPDATE).contains("[binary"), "Portage wants nothing else");

    // What is built is kept: the next run has no cycle to stage.
    let over = over(&swarm, swarm.unresolved_run().await).await;
    assert_eq!((over.state, over.counts.attempted), (RunState::Promoted, 0), "{over:#?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Gentoo's own cycle, from upstream's sources. Portage offers no solution: freetype demands harfbuzz[truetype].
#[tokio::test(flavor = "multi_thread")]
async fn freetype_and_harfbuzz_are_linked_with_each_other() {
    const WORLD: &str = "media-libs/freetype\n";
    const LOAD: &str = "from ctypes import *\n\
        harfbuzz, freetype = (CDLL(f'/opt/swarm/lib/lib{name}') for name in ('harfbuzz.so.0', 'freetype.so.6'))\n\
        assert harfbuzz.hb_ft_face_create and freetype.FT_Init_FreeType(byref(c_void_p())) == 0\n";
    let swarm = swarm_for(WORLD).await;
    let repository = machines::repository(&swarm);
    let _drones = drones(&swarm, Place { repository: Some(&repository), ..Place::default() }).await;
    let packages = promoted(&swarm).await;
    assert_eq!(stages(&packages, "media-libs/freetype-2.12.1"), [0, 1, 2].into());
    assert_eq!(stages(&packages, "media-libs/harfbuzz-6.0.0"), [0, 1].into());
    published_are_the_last(&swarm, &packages);
    assert!(use_of(&swarm, "media-libs/freetype-2.12.1").contains("harfbuzz"));
    assert!(use_of(&swarm, "media-libs/harfbuzz-6.0.0").contains("truetype"));

    let workstation = machines::workstation(&swarm, WORLD, Some(&repository));
    let _ = workstation.ok(&UPDATE);
    let needed = |name: &str| {
        let file = workstation.root().join("opt/swarm/lib").join(name);
        let output = Command::new("scanelf").args(["-BF", "%n#F"]).arg(file).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let are_linked = || {
        let (freetype, harfbuzz) = (needed("libfreetype.so.6"), needed("libharfbuzz.so.0"));
        assert!(freetype.contains("libharfbuzz.so.0") && harfbuzz.contains("libfreetype.so.6"));
        let _ = workstation.ok(&["python3", "-c", LOAD]);
    };
    are_linked();

    // A newer freetype alone: harfbuzz is kept, and would not work in the root of a freetype that is not built yet.
    let ebuilds = repository.join("media-libs/freetype");
    fs::copy(ebuilds.join("freetype-2.12.1.ebuild"), ebuilds.join("freetype-2.12.1-r1.ebuild")).unwrap();
    let packages = promoted(&swarm).await;
    assert_eq!(stages(&packages, "media-libs/freetype-2.12.1"), [1].into());
    assert_eq!(stages(&packages, "media-libs/freetype-2.12.1-r1"), [0, 2].into());
    assert_eq!(stages(&packages, "media-libs/harfbuzz-6.0.0"), [0].into());
    published_are_the_last(&swarm, &packages);
    let _ = workstation.ok(&UPDATE);
    are_linked();
}

/// From the second run on, no flag breaks the cycle; what the first one built does.
#[tokio::test(flavor = "multi_thread")]
async fn the_current_generation_breaks_what_no_flag_does() {
    const WORLD: &str = "swarm-test/knot-b\n";
    let swarm = swarm_for(WORLD).await;
    let repository = machines::repository(&swarm);
    let _drones = drones(&swarm, Place { repository: Some(&repository), ..Place::default() }).await;
    promoted(&swarm).await;
    let workstation = machines::workstation(&swarm, WORLD, Some(&repository));
    let _ = workstation.ok(&UPDATE);
    assert_eq!(knot(&workstation), ["knot-a-1\n", "knot-b-1 with knot-a-1\n"]);

    tie(&repository);
    let packages = promoted(&swarm).await;
    let expected = [
        ("swarm-test/knot-a-1", [1].into()),
        ("swarm-test/knot-b-1", [1].into()),
        ("swarm-test/knot-a-2", [0, 2].into()),
        ("swarm-test/knot-b-2", [0, 2].into()),
    ];
    for (name, expected) in expected {
        assert_eq!(stages(&packages, name), expected, "{name}");
    }
    assert!(packages.iter().filter(|package| package.stage == 1).all(|package| package.attempts == 0));
    published_are_the_last(&swarm, &packages);
    let _ = workstation.ok(&UPDATE);
    assert_eq!(knot(&workstation), ["knot-a-2 with knot-b-2\n", "knot-b-2 with knot-a-2\n"]);
    checker::check(&swarm.admin, &swarm.database.pool).await;

    // Who has none of it gets the whole cycle to read.
    let fresh: TargetName = "fresh".parse().unwrap();
    let world = vec!["swarm-test/knot-b".parse().unwrap()];
    let new = NewTarget { name: fresh.clone(), world, provided: Provided::default() };
    swarm.admin.create_target(&new).await.unwrap();
    let run = swarm.admin.start_run(&fresh, &NewRun { epoch: None, plan: None }).await.unwrap().id;
    let over = over(&swarm, run).await;
    assert_eq!((over.state, over.findings.len()), (RunState::Failed, 1), "{over:#?}");
    let finding = &over.findings[0];
    assert_eq!(finding.kind, FindingKind::Cycle);
    for line in [
        "swarm-test/knot-a-2 needs swarm-test/knot-b-2 (buildtime)",
        "swarm-test/knot-b-2 needs swarm-test/knot-a-2 (buildtime, runtime)",
        "Nor does an earlier build of theirs:\nthere is none",
    ] {
        assert!(finding.detail.contains(line), "{}", finding.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_root_breaks_what_no_flag_does() {
    const WORLD: &str = "swarm-test/knot-b\n";
    let swarm = swarm_for(WORLD).await;
    let repository = machines::repository(&swarm);
    let older = machines::base_with("=swarm-test/knot-a-1");
    let place = Place {
        repository: Some(&repository),
        prepare: Some(&older),
        base_root: Some(machines::OTHER_BASE),
        ..Place::default()
    };
    let _drone = DroneMachine::start_at(&swarm, "ant", place).await;
    tie(&repository);
    let packages = promoted(&swarm).await;
    assert_eq!(stages(&packages, "swarm-test/knot-a-2"), [0, 2].into());
    assert_eq!(stages(&packages, "swarm-test/knot-b-2"), [0, 1].into());
    published_are_the_last(&swarm, &packages);
    let workstation = machines::workstation(&swarm, WORLD, Some(&repository));
    let _ = workstation.ok(&UPDATE);
    assert_eq!(knot(&workstation), ["knot-a-2 with knot-b-2\n", "knot-b-2 with knot-a-2\n"]);
}

/// From now on the newer versions are to be had, which need each other.
fn tie(repository: &Path) {
    for name in ["knot-a", "knot-b"] {
        let ebuild = repository.join(format!("swarm-test/{name}/{name}-2.ebuild"));
        let text = fs::read_to_string(&ebuild).unwrap();
        fs::write(&ebuild, text.replace("~amd64", "amd64")).unwrap();
    }
}

/// What each of them was built with, as a workstation has it.
fn knot(workstation: &Machine) -> [String; 2] {
    ["knot-a", "knot-b"].map(|name| workstation.ok(&["cat", &format!("/opt/swarm/share/swarm-test/{name}")]))
}

/// A swarm that is to build this world.
async fn swarm_for(world: &str) -> Swarm {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let world = world.split_whitespace().map(|atom| atom.parse().unwrap()).collect();
    swarm.admin.set_world(&target(), &World { world, provided: Provided::default() }).await.unwrap();
    swarm
}

async fn drones(swarm: &Swarm, place: Place<'_>) -> [DroneMachine; 2] {
    [DroneMachine::start_at(swarm, "ant", place).await, DroneMachine::start_at(swarm, "bee", place).await]
}

/// Begins a run that becomes a generation; gives its packages.
async fn promoted(swarm: &Swarm) -> Vec<Package> {
    let run = swarm.unresolved_run().await;
    let over = over(swarm, run).await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    swarm.admin.packages(run).await.unwrap()
}

async fn over(swarm: &Swarm, run: RunId) -> Run {
    wait::until(600, "the run to be over", async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await
}

fn stages(packages: &[Package], name: &str) -> BTreeSet<i16> {
    packages.iter().filter(|package| package.cpv.to_string() == name).map(|package| package.stage).collect()
}

/// The index has each package once.
fn published_are_the_last(swarm: &Swarm, packages: &[Package]) {
    let index = published(swarm);
    let cpvs: Vec<_> = index.lines().filter(|line| line.starts_with("CPV: ")).collect();
    let last = packages.iter().filter(|package| package.stage == 0).count();
    assert_eq!((cpvs.len(), cpvs.iter().collect::<BTreeSet<_>>().len()), (last, last));
}

/// The USE flags that the index has of a package.
fn use_of(swarm: &Swarm, name: &str) -> BTreeSet<String> {
    let index = published(swarm);
    let entry = index.split("\n\n").find(|entry| entry.contains(&format!("CPV: {name}\n"))).unwrap();
    let line = entry.lines().find_map(|line| line.strip_prefix("USE: ")).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

fn published(swarm: &Swarm) -> String {
    fs::read_to_string(swarm.binhost_directory().join("targets/box/current/Packages")).unwrap()
}
