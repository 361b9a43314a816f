//! A toolchain that moves (PORTAGE.md 7): with real Portage from the push to the workstation, step by step with scripted
//! drones, and with packages that cannot be had.
//!
//! The boxes' compiler and C library are Debian's, and nothing here replaces them. What moves are packages that stand for
//! them: `sys-libs/glibc`, by whose installed version Portage really binds every binary, and a `sys-devel/gcc` with slots,
//! whose selected version a `gcc-config` of a few lines tells, and a program asks when it is built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_protocol::Digest;
use swarm_protocol::admin::{NewBundle, NewRun, NewTarget, Republish, Run};
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::definition::{Definition, RepositorySource, Source};
use swarm_protocol::drone::{DefinitionsRequest, Dependency, Fence};
use swarm_protocol::epoch::{Compat, Epoch};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{BuildId, GenerationNumber, RunId};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{Finding, FindingKind, Unresolved};
use swarm_protocol::state::{FailureClass, RunState};
use swarm_tests::definitions::{configuration, push, repository, snapshot};
use swarm_tests::drone::{Heart, ScriptedDrone};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, gpkg, plans, wait};

const HEADER: &str = r#"# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Stands for a part of a toolchain"
HOMEPAGE="https://wiki.gentoo.org/wiki/Toolchain"
S="${WORKDIR}"

LICENSE="public-domain"
KEYWORDS="amd64"
"#;

/// As Gentoo's: beside other slots, and selected by itself only where none is.
const GCC: &str = r#"SLOT="${PV}"
PDEPEND="sys-devel/gcc-config"

src_install() {
	insinto /etc/env.d/gcc
	newins - "${CHOST}-${PV}" <<< "CTARGET=${CHOST}"
}

pkg_postinst() {
	[[ -e ${EROOT}/etc/env.d/gcc/config-${CHOST} ]] || gcc-config "${CHOST}-${PV}" || die
}
"#;

/// As much of Gentoo's as is used.
const GCC_CONFIG: &str = r#"SLOT="0"

src_install() {
	newbin - gcc-config <<-'END'
		#!/bin/sh -e
		entries=/etc/env.d/gcc
		if test "$1" = -c; then
			sed -n 's/^CURRENT=//p' "$entries"/config-*
		else
			test -e "$entries/$1"
			echo "CURRENT=$1" >"$entries/config-${1%-*}"
		fi
	END
}
"#;

/// A program that is linked with the C library, and says which compiler was selected.
const CONSUMER: &str = r#"SLOT="0"

src_compile() {
	echo 'int main(void) { return 0; }' > consumer.c || die
	${CC:-cc} ${CFLAGS} -o consumer consumer.c || die
}

src_install() {
	exeinto /opt/consumer
	doexe consumer
	insinto /opt/consumer
	newins - built-with <<< "$(gcc-config -c)"
}
"#;

const WORLD: &str = "sys-devel/gcc swarm-test/consumer";

const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

fn ebuild(repository: &Path, cpv: &str, text: &str) {
    let (cp, version) = cpv.rsplit_once('-').unwrap();
    let dir = repository.join(cp);
    fs::create_dir_all(&dir).unwrap();
    let name = cp.rsplit_once('/').unwrap().1;
    fs::write(dir.join(format!("{name}-{version}.ebuild")), format!("{HEADER}{text}")).unwrap();
}

/// The boxes' repository with the older toolchain.
fn older(swarm: &Swarm) -> PathBuf {
    let repository = machines::repository(swarm);
    let categories = repository.join("profiles/categories");
    let listed = fs::read_to_string(&categories).unwrap();
    fs::write(&categories, format!("{listed}sys-devel\n")).unwrap();
    ebuild(&repository, "sys-devel/gcc-14", GCC);
    ebuild(&repository, "sys-devel/gcc-config-1", GCC_CONFIG);
    ebuild(&repository, "swarm-test/consumer-1", CONSUMER);
    repository
}

/// The newer one comes: a compiler that needs another package at run time, and a C library.
fn move_on(repository: &Path) {
    ebuild(repository, "sys-devel/gcc-15", &format!("{GCC}RDEPEND=\"swarm-test/libsub\"\n"));
    let glibc = repository.join("sys-libs/glibc");
    fs::copy(glibc.join("glibc-2.36.ebuild"), glibc.join("glibc-2.37.ebuild")).unwrap();
}

async fn start(swarm: &Swarm) -> RunId {
    swarm.admin.start_run(&target(), &NewRun { epoch: None, plan: None }).await.unwrap().id
}

async fn promoted(swarm: &Swarm, run: RunId) -> Run {
    let over = wait::until(300, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    over
}

/// What a run built itself.
async fn built(swarm: &Swarm, run: RunId) -> Vec<String> {
    let packages = swarm.admin.packages(run).await.unwrap();
    let built = packages.into_iter().filter(|package| package.attempts > 0);
    built.map(|package| package.cpv.to_string()).collect()
}

/// What the published consumer of a run says in its metadata.
async fn consumer(swarm: &Swarm, run: RunId) -> BTreeMap<String, String> {
    let packages = swarm.admin.packages(run).await.unwrap();
    let consumer = packages.into_iter().find(|package| package.cpv.cp() == "swarm-test/consumer").unwrap();
    let url = format!("{}/binhost/{}/{}", swarm.binhost_url(), target(), consumer.artifact.unwrap().path);
    gpkg::metadata(&reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap())
}

fn behind(run: &Run) -> Vec<&str> {
    let behind = run.findings.iter().filter(|finding| finding.kind == FindingKind::BaseBehind);
    behind.map(|finding| finding.atom.as_deref().unwrap()).collect()
}

/// The newest definition's number, and its toolchain.
async fn newest(swarm: &Swarm) -> (i32, Vec<String>) {
    let newest = swarm.admin.definitions(&target()).await.unwrap().remove(0).definition;
    (newest.number, newest.toolchain.iter().map(|package| package.cpv.to_string()).collect())
}

async fn newest_run(swarm: &Swarm) -> Run {
    swarm.admin.runs(Some(&target()), false).await.unwrap().remove(0)
}

/// The installed packages of the drone's one layer, by name and version.
fn layer(drone: &DroneMachine) -> Vec<String> {
    let layers = drone.machine.root().join("var/lib/build-drone/epochs/toolchains");
    let layers: Vec<_> = fs::read_dir(layers).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(layers.len(), 1, "{layers:?}");
    let mut packages = Vec::new();
    for category in fs::read_dir(layers[0].join("layer/var/db/pkg")).unwrap() {
        let names = fs::read_dir(category.unwrap().path()).unwrap();
        packages.extend(names.map(|name| name.unwrap().file_name().into_string().unwrap()));
    }
    packages.sort();
    packages
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_toolchain_makes_is_built_in_a_base_root_that_has_it() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = older(&swarm);
    let configuration = configuration(swarm.path().join("configuration"), "");
    push(&swarm, &target(), &configuration, &snapshot(&swarm, &repository).await, WORLD).await;
    let base = machines::base_with("sys-devel/gcc-config =sys-devel/gcc-14");
    let place = Place {
        repository: Some(&repository),
        prepare: Some(&base),
        base_root: Some(machines::OTHER_BASE),
        ..Place::default()
    };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let first = promoted(&swarm, start(&swarm).await).await;
    assert_eq!(behind(&first), [""; 0]);
    assert!(consumer(&swarm, first.id).await["RDEPEND"].contains(">=sys-libs/glibc-2.36"));
    assert_eq!(newest(&swarm).await, (1, vec![]));

    // The tree moves on. In the same night, clients get the newer toolchain, and what was built with the older one.
    move_on(&repository);
    push(&swarm, &target(), &configuration, &snapshot(&swarm, &repository).await, WORLD).await;
    let second = promoted(&swarm, start(&swarm).await).await;
    assert_eq!(behind(&second), ["sys-libs/glibc-2.37", "sys-devel/gcc-15"]);
    let moved = ["sys-libs/glibc-2.37", "swarm-test/libsub-1", "sys-devel/gcc-15"].map(str::to_owned);
    assert_eq!(BTreeSet::from_iter(built(&swarm, second.id).await), moved.clone().into());

    // Another run begins by itself, and builds everything in a base root that has it.
    assert_eq!(newest(&swarm).await, (3, moved.into()));
    let third = newest_run(&swarm).await.id;
    assert!(third > second.id);
    let third = promoted(&swarm, third).await;
    assert_eq!((behind(&third), third.definition), (vec![], Some(3)));
    assert_ne!(third.epoch, second.epoch);
    assert!(built(&swarm, third.id).await.contains(&"swarm-test/consumer-1".to_owned()));
    assert!(consumer(&swarm, third.id).await["RDEPEND"].contains(">=sys-libs/glibc-2.37"));
    let installed = layer(&drone);
    for (name, is_there) in
        [("gcc-14", true), ("gcc-15", true), ("libsub-1", true), ("glibc-2.37", true), ("glibc-2.36", false)]
    {
        assert_eq!(installed.iter().any(|package| package == name), is_there, "{name}: {installed:?}");
    }
    let workstation = machines::workstation(&swarm, &WORLD.replace(' ', "\n"), Some(&repository));
    let _ = workstation.ok(&UPDATE);
    assert_eq!(workstation.ok(&["cat", "/opt/consumer/built-with"]), "x86_64-pc-linux-gnu-15\n");

    // The next night changes nothing, and makes no third base root.
    let generation = third.generation;
    promoted(&swarm, start(&swarm).await).await;
    assert_eq!(newest(&swarm).await.0, 3);
    assert_eq!(newest_run(&swarm).await.id.0, third.id.0 + 1, "no run begins by itself");
    let generations = swarm.admin.generations(&target()).await.unwrap();
    assert_eq!(Some(generations[0].number), generation, "nothing is published");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// A repository that no scripted drone looks at.
fn git() -> RepositorySource {
    repository(Source::Git { uri: "https://example.org/box".to_owned(), commit: "1".repeat(40) })
}

async fn defined(swarm: &Swarm, name: &str) -> Definition {
    let configuration = configuration(swarm.path().join(name), &format!("# {name}"));
    push(swarm, &target(), &configuration, &git(), "test/world").await
}

/// A drone that holds the newest definition, in a base root with its toolchain.
async fn drone(swarm: &Swarm, name: &str) -> (Arc<ScriptedDrone>, Heart) {
    let definition = swarm.admin.definitions(&target()).await.unwrap().remove(0).definition;
    let abi = definition.toolchain.iter().map(|package| package.cpv.to_string()).collect();
    let epoch = Epoch {
        configuration: definition.configuration.content,
        repositories: definition.revisions(),
        compat: Compat { abi, ..plans::epoch().compat },
        ..plans::epoch()
    };
    let drone = ScriptedDrone::join(swarm, name, &plans::epoch()).await.under(definition.id, &epoch);
    let drone = Arc::new(drone);
    let heart = drone.heart();
    (drone, heart)
}

/// A plan of these packages that moves the toolchain to some of them.
fn moving(packages: &[&str], toolchain: &[&str]) -> Plan {
    let toolchain = toolchain.iter().map(|cpv| cpv.parse().unwrap()).collect();
    Plan { toolchain, ..plans::plan(packages, &[]) }
}

/// The drone brings the run that waits through the gate.
async fn publish(swarm: &Swarm, drone: &ScriptedDrone, plan: Plan) -> RunId {
    let resolution = drone.resolve(20).await.unwrap();
    drone.resolved(&resolution, plan).await.unwrap();
    while let Some(claim) = drone.claim(1).await {
        drone.build(&claim).await;
    }
    drone.judged(&drone.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(resolution.run, RunState::Promoted, 20).await;
    resolution.run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_has_the_toolchain_of_the_current_generation() {
    let swarm = Swarm::start().await;
    defined(&swarm, "first").await;
    let (ant, _heart) = drone(&swarm, "ant").await;
    start(&swarm).await;
    let run = publish(&swarm, &ant, plans::plan(&["test/world-1", "test/cc-1"], &[])).await;
    assert_eq!((newest(&swarm).await, newest_run(&swarm).await.id), ((1, vec![]), run), "it has not moved");

    // A run that somebody began meanwhile would be of the older definition: it gives way.
    let moves = start(&swarm).await;
    let resolution = ant.resolve(20).await.unwrap();
    let plan = moving(&["test/world-2", "test/lib-2", "test/cc-2"], &["test/lib-2", "test/cc-2"]);
    ant.resolved(&resolution, plan).await.unwrap();
    let meanwhile = start(&swarm).await;
    while let Some(claim) = ant.claim(1).await {
        ant.build(&claim).await;
    }
    ant.judged(&ant.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(moves, RunState::Promoted, 20).await;
    swarm.run_reaches(meanwhile, RunState::Superseded, 20).await;
    assert_eq!(newest(&swarm).await, (2, vec!["test/lib-2".to_owned(), "test/cc-2".to_owned()]));
    let successor = newest_run(&swarm).await;
    assert_eq!((successor.state, successor.definition), (RunState::Resolving, Some(2)));

    // Drones may read the packages with the ticket of the definition.
    let known =
        DefinitionsRequest { session: ant.session, known: vec![], unbrought: vec![], wait_seconds: 0 };
    let wanted = ant.client.definitions(&known).await.unwrap().definitions.remove(0);
    let binhost = BinhostClient::new(&swarm.binhost_url(), wanted.ticket.0);
    for Dependency { published, size, .. } in &wanted.definition.toolchain {
        let bytes = binhost.bundle(*published).await.unwrap().bytes().await.unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (*published, *size));
    }

    // The successor has it: nothing follows. What is pushed goes on with it.
    assert!(ant.resolve(0).await.is_none(), "it holds the former definition");
    let (bee, _heart) = drone(&swarm, "bee").await;
    let run = publish(&swarm, &bee, plans::plan(&["test/world-2", "test/lib-2", "test/cc-2"], &[])).await;
    assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (2, run));
    defined(&swarm, "second").await;
    assert_eq!(newest(&swarm).await, (3, vec!["test/lib-2".to_owned(), "test/cc-2".to_owned()]));

    // Generation 2 has it, built with the older one; generation 1 is older; each rollback takes the definition along.
    for (of, number, toolchain) in [(2, 3, 2), (1, 4, 0), (3, 5, 2)] {
        let order = Republish { of: Some(GenerationNumber(of)), force: false };
        let promised = swarm.admin.republish(&target(), &order).await.unwrap();
        wait::until(20, "the rollback", async || {
            let generations = swarm.admin.generations(&target()).await.ok()?;
            let state = generations.iter().find(|one| one.number == promised.number)?.state;
            (state == swarm_protocol::state::GenerationState::Current).then_some(())
        })
        .await;
        let (newest, cpvs) = newest(&swarm).await;
        assert_eq!((newest, cpvs.len()), (number, toolchain), "generation {of}");
    }
    assert_eq!(newest_run(&swarm).await.id, run, "a rollback begins no run");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Refuses the run that waits, since the base root is ahead of this version in the plan.
async fn ahead(drone: &ScriptedDrone, planned: &str) -> RunId {
    let resolution = drone.resolve(20).await.unwrap();
    let finding = Finding {
        kind: FindingKind::BaseAhead,
        atom: Some(planned.to_owned()),
        wanted_by: vec![],
        workstation: None,
        detail: "the base root has a newer one".to_owned(),
    };
    let unresolved = Unresolved {
        fence: Fence { token: resolution.token, session: drone.session },
        class: FailureClass::Package,
        reason: "the base root is ahead".to_owned(),
        findings: vec![finding],
    };
    drone.client.unresolved(resolution.resolution, &unresolved).await.unwrap();
    resolution.run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toolchain_that_is_newer_than_the_plan_is_dropped_once() {
    let swarm = Swarm::start().await;
    defined(&swarm, "first").await;
    let (ant, _heart) = drone(&swarm, "ant").await;
    start(&swarm).await;
    publish(&swarm, &ant, moving(&["test/world-1", "test/cc-2"], &["test/cc-2"])).await;
    let (bee, _heart) = drone(&swarm, "bee").await;
    // What was given is as new as the plan; one of the drones has something newer by itself.
    for planned in ["test/cc-2", "test/libc-1"] {
        let refused = ahead(&bee, planned).await;
        assert_eq!(swarm.admin.run(refused).await.unwrap().state, RunState::Failed);
        assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (2, refused));
        start(&swarm).await;
    }
    ahead(&bee, "test/cc-1").await;
    assert_eq!(newest(&swarm).await, (3, vec![]));
    let without = newest_run(&swarm).await;
    assert_eq!((without.state, without.definition), (RunState::Resolving, Some(3)));

    // The drones' own is ahead, too: that is for a person.
    let (cat, _heart) = drone(&swarm, "cat").await;
    assert_eq!(ahead(&cat, "test/cc-1").await, without.id);
    assert_eq!((newest(&swarm).await.0, newest_run(&swarm).await.id), (3, without.id));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_has_nothing_to_build_moves_the_toolchain_too() {
    let swarm = Swarm::start().await;
    defined(&swarm, "first").await;
    let (ant, _heart) = drone(&swarm, "ant").await;
    start(&swarm).await;
    publish(&swarm, &ant, plans::plan(&["test/world-1", "test/cc-2"], &[])).await;
    assert_eq!(newest(&swarm).await, (1, vec![]));

    // The base root is older than the one before: what is published is kept, and cc-2 is ahead of it.
    let run = start(&swarm).await;
    let resolution = ant.resolve(20).await.unwrap();
    ant.resolved(&resolution, moving(&["test/world-1", "test/cc-2"], &["test/cc-2"])).await.unwrap();
    let unchanged = swarm.run_reaches(run, RunState::Promoted, 20).await;
    assert_eq!(unchanged.reason.as_deref(), Some("nothing changed since generation 1"));
    assert_eq!(newest(&swarm).await, (2, vec!["test/cc-2".to_owned()]));
    assert_eq!(newest_run(&swarm).await.definition, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_distrusted_drone_made_is_in_no_base_root() {
    let swarm = Swarm::start().await;
    defined(&swarm, "first").await;
    let (evil, _heart) = drone(&swarm, "evil").await;
    start(&swarm).await;
    let plan = moving(&["test/world-1", "test/cc-2"], &["test/cc-2"]);
    publish(&swarm, &evil, plan).await;
    let (good, _heart) = drone(&swarm, "good").await;
    publish(&swarm, &good, plans::plan(&["test/world-1", "test/cc-2"], &[])).await;
    assert_eq!(newest(&swarm).await, (2, vec!["test/cc-2".to_owned()]));

    let next = start(&swarm).await;
    let distrusted = swarm.admin.distrust("evil").await.unwrap();
    let published: Vec<_> = distrusted.published.iter().map(|one| one.cpv.to_string()).collect();
    assert_eq!(published, ["test/cc-2", "test/world-1"], "built with its compiler, by whomever");
    assert_eq!(distrusted.cancelled, [next], "it would build with that, too");
    assert_eq!(newest(&swarm).await, (3, vec![]));
}

/// Sends bytes that stand for a package of a toolchain.
async fn sent(swarm: &Swarm, bytes: &[u8]) -> Dependency {
    let (published, size) = (Digest::of(bytes), bytes.len() as u64);
    let upload = swarm.admin.offer_bundles(vec![NewBundle { digest: published, bytes: size }]).await.unwrap();
    let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
    binhost.upload_bundle(published, size, bytes.to_vec()).await.unwrap();
    let path = "sys-devel/cc/cc-2-1.gpkg.tar".to_owned();
    Dependency { cpv: "sys-devel/cc-2".parse().unwrap(), build_id: BuildId(1), path, published, size }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toolchain_that_cannot_be_installed_is_told_and_holds_up_nobody() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = snapshot(&swarm, &machines::repository(&swarm)).await;
    let configuration = configuration(swarm.path().join("configuration"), "");
    let blob = |package: &Dependency| {
        let digest = package.published.to_string();
        swarm.binhost_directory().join("blobs").join(&digest[..2]).join(&digest)
    };
    let no_package = sent(&swarm, b"no package").await;
    let outside = Dependency { path: "../cc-2-1.gpkg.tar".to_owned(), ..no_package.clone() };
    let damaged = sent(&swarm, b"good bytes").await;
    fs::remove_file(blob(&damaged)).unwrap();
    fs::write(blob(&damaged), "evil bytes").unwrap();
    let absent = Dependency { published: Digest::of(b"never sent"), ..no_package.clone() };
    let cases = [
        ("absent", absent, "cannot be brought: there is no bundle"),
        ("damaged", damaged, "other bytes than were asked for"),
        ("outside", outside, "leads out of PKGDIR"),
        ("unfit", no_package, "while installing"),
    ];
    for (name, package, _) in &cases {
        let name: TargetName = name.parse().unwrap();
        let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
        swarm.admin.create_target(&new).await.unwrap();
        push(&swarm, &name, &configuration, &repository, "swarm-test/trivial").await;
        let toolchain = serde_json::to_value([package]).unwrap();
        let give = "UPDATE definitions SET toolchain = $1 WHERE target_id = (SELECT id FROM targets WHERE name = $2)";
        sqlx::query(give).bind(toolchain).bind(name.as_str()).execute(&swarm.database.pool).await.unwrap();
    }
    push(&swarm, &target(), &configuration, &repository, "swarm-test/trivial").await;
    let _drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    promoted(&swarm, start(&swarm).await).await;
    for (name, _, says) in &cases {
        let reason = wait::until(60, &format!("{name} to be told"), async || {
            let targets = swarm.admin.targets().await.ok()?;
            let target = targets.into_iter().find(|target| target.name.as_str() == *name)?;
            Some(target.unbrought.first()?.reason.clone())
        })
        .await;
        assert!(reason.starts_with("its toolchain: ") && reason.contains(says), "{name}: {reason}");
    }
}
