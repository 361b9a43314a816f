//! With real Portage, from the push to the workstation.
//!
//! The boxes' compiler and C library are Debian's, and nothing here replaces them. What moves are packages that stand for
//! them: `sys-libs/glibc`, by whose installed version Portage really binds every binary, and a `sys-devel/gcc` with slots,
//! whose selected version a `gcc-config` of a few lines tells, and a program asks when it is built.

use crate::{newest, newest_run, promoted, start};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use swarm_protocol::admin::Run;
use swarm_protocol::id::RunId;
use swarm_protocol::resolution::FindingKind;
use swarm_tests::definitions::{configuration, push, snapshot};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, gpkg};

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
