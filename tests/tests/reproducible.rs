//! The same package built twice on real Portage, on different machines and at different times, is the same package: its
//! image has the same entries in the same order, and of each the same mode, owners, attributes and contents.
//!
//! What remains is the entries' modification times. Portage packs files with the times that they have on the disk, and what
//! a build makes has the time at which it was made. The container's other member, the metadata, tells the build on purpose:
//! `BUILD_TIME`, `BUILD_ID`, and the environment with its times and its `MAKEOPTS`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use swarm_protocol::admin::{NewRun, NewTarget};
use swarm_protocol::binhost::Provided;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::state::{DroneState, RunState};
use swarm_tests::definitions::{configuration, push, snapshot};
use swarm_tests::gpkg::{self, Entry};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, wait};

/// A library by hand and one by libtool, each with its archive, and one that takes in all that it finds.
const WORLD: &str = "sys-libs/zlib\ndev-libs/popt\nswarm-test/surroundings\n";

/// A drone as another administrator may have set it up.
const ELSEWHERE: [&str; 8] = [
    "env",
    "HOME=/tmp",
    "LC_ALL=C",
    "TZ=Pacific/Chatham",
    "SOURCE_DATE_EPOCH=7",
    "sh",
    "-c",
    "umask 077; exec /opt/build-swarm/build-drone run --config /etc/build-swarm/drone.toml",
];

/// What a target's only drone made of the world, by cpv, and the drones that made it.
async fn built(swarm: &Swarm, name: &str) -> (BTreeMap<String, Vec<Entry>>, BTreeSet<String>) {
    let name: TargetName = name.parse().unwrap();
    let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
    swarm.admin.create_target(&new).await.unwrap();
    let files = swarm.path().join(name.as_str());
    let repository = snapshot(swarm, &Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/repo")).await;
    push(swarm, &name, &configuration(files, "USE=\"static-libs\""), &repository, WORLD).await;
    let run = swarm.admin.start_run(&name, &NewRun { epoch: None, plan: None }).await.unwrap().id;
    swarm.run_reaches(run, RunState::Promoted, 300).await;
    let (mut images, mut drones) = (BTreeMap::new(), BTreeSet::new());
    for package in swarm.admin.packages(run).await.unwrap() {
        let artifact = package.artifact.unwrap();
        let url = format!("{}/binhost/{name}/{}", swarm.binhost_url(), artifact.path);
        let bytes = reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
        images.insert(package.cpv.to_string(), gpkg::image(&bytes));
        drones.insert(artifact.drone);
    }
    (images, drones)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drones_build_the_same_image() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let mut ant = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let (first, by) = built(&swarm, "first").await;
    assert_eq!(by, ["ant".to_owned()].into());

    ant.daemon.take().unwrap().kill();
    let mut bee = DroneMachine::start_at(&swarm, "bee", Place::default()).await;
    bee.daemon.take().unwrap().kill();
    let config = swarm.path().join("bee/drone.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("state_dir = \"/var/lib/build-drone/elsewhere\"\njobs = 1\n{text}")).unwrap();
    bee.daemon = Some(bee.machine.spawn(&ELSEWHERE, &bee.log));
    wait::until(30, "ant to be offline", async || {
        let drones = swarm.admin.drones().await.unwrap();
        drones.iter().any(|drone| drone.name == "ant" && drone.state == DroneState::Offline).then_some(())
    })
    .await;
    let (second, by) = built(&swarm, "second").await;
    assert_eq!(by, ["bee".to_owned()].into());

    assert!(first.keys().eq(second.keys()), "{:?} and {:?}", first.keys(), second.keys());
    for (cpv, one) in &first {
        let what = |entries: &[Entry]| entries.iter().map(|entry| entry.what.clone()).collect::<Vec<_>>();
        assert_eq!(what(one), what(&second[cpv]), "{cpv}");
    }
    let archive = |images: &BTreeMap<String, Vec<Entry>>| {
        let entries = &images["swarm-test/surroundings-1"];
        entries.iter().find(|entry| entry.what.contains("libwhen.a")).unwrap().mtime.clone()
    };
    assert_ne!(archive(&first), archive(&second), "it was built twice, at two times");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
