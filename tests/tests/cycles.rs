//! Packages that need each other, on real Portage: built in stages, and only the last ones are published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use swarm_protocol::admin::World;
use swarm_protocol::binhost::Provided;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

#[tokio::test(flavor = "multi_thread")]
async fn cycles_come_out_with_all_their_use() {
    const WORLD: &str = "swarm-test/cyc-b\nswarm-test/ring-b\n";
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let world = WORLD.split_whitespace().map(|atom| atom.parse().unwrap()).collect();
    swarm.admin.set_world(&target(), &World { world, provided: Provided::default() }).await.unwrap();
    let _drones = [
        DroneMachine::start_at(&swarm, "ant", Place::default()).await,
        DroneMachine::start_at(&swarm, "bee", Place::default()).await,
    ];
    let run = swarm.unresolved_run().await;
    let over = wait::until(600, "the run to be over", async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    let packages = swarm.admin.packages(run).await.unwrap();
    let stages = |name: &str| -> BTreeSet<i16> {
        let of_name = packages.iter().filter(|package| package.cpv.to_string() == name);
        of_name.map(|package| package.stage).collect()
    };
    assert_eq!(stages("swarm-test/cyc-a-1"), [0, 1, 2].into());
    assert_eq!(stages("swarm-test/cyc-b-1"), [0, 1].into());
    assert_eq!(stages("swarm-test/ring-a-1"), [0, 1, 2].into());
    assert_eq!(stages("swarm-test/ring-c-1"), [0, 1].into());
    published_are_the_last(&swarm, packages.iter().filter(|package| package.stage == 0).count());

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
    let again = swarm.unresolved_run().await;
    let over = wait::until(300, "the second run to be over", async || {
        swarm.admin.run(again).await.ok().filter(|run| run.state.is_over())
    })
    .await;
    assert_eq!((over.state, over.counts.attempted), (RunState::Promoted, 0), "{over:#?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// The index has each package once, of its last build.
fn published_are_the_last(swarm: &Swarm, packages: usize) {
    let index = swarm.binhost_directory().join("targets/box/current/Packages");
    let index = fs::read_to_string(index).unwrap();
    let cpvs: Vec<_> = index.lines().filter(|line| line.starts_with("CPV: ")).collect();
    assert_eq!((cpvs.len(), cpvs.iter().collect::<BTreeSet<_>>().len()), (packages, packages));
    let cyc_a = index.split("\n\n").find(|entry| entry.contains("CPV: swarm-test/cyc-a-1\n")).unwrap();
    assert!(cyc_a.lines().any(|line| line.starts_with("USE: ") && line.contains("cyc")), "{cyc_a}");
}
