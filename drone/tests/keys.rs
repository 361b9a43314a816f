//! Build keys: what Portage does not notice is rebuilt, and nothing else (PORTAGE.md 2). Needs the Gentoo box's base root
//! (`tests/gentoo-box/setup`) and root; where there is none, these tests say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod question;

use question::Bench;
use std::collections::BTreeMap;
use std::path::Path;
use swarm_protocol::id::BuildId;
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::BinaryKey;

const NAMES: [&str; 5] = ["test/lib", "test/user", "test/one", "test/two", "test/three"];

fn a_world(here: &Bench) {
    here.ebuild("lib", "1", "SLOT=0/1");
    here.ebuild("user", "1", "RDEPEND=\"test/lib:=\"\nDEPEND=\"test/lib:=\"");
    here.write("eclass/shared.eclass", "SHARED=1\n");
    here.ebuild("one", "1", "inherit shared");
    here.ebuild("two", "1", "");
    here.ebuild("three", "1", "");
}

/// The binaries of an index with the keys of a plan that was made when they were built.
fn keys(plan: &Plan) -> Vec<BinaryKey> {
    let key = |package: &swarm_protocol::plan::PlannedPackage| BinaryKey {
        cpv: package.cpv.clone(),
        build_id: BuildId(1),
        key: package.key.unwrap(),
    };
    plan.packages.iter().map(key).collect()
}

/// What would be built, of the packages of the test, though the index has all of it.
async fn rebuilt(here: &Bench, index: &Path, keys: &[BinaryKey]) -> Vec<String> {
    let (plan, findings) = here.resolve_keyed(&NAMES, Some(index), keys).await.unwrap();
    let plan = plan.unwrap_or_else(|| panic!("{findings:#?}"));
    plan.packages
        .iter()
        .filter(|package| package.keep.is_none())
        .map(|package| package.cpv.to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_portage_does_not_notice_is_built_again_and_nothing_else() {
    let Some(here) = Bench::new() else { return };
    a_world(&here);
    let plan = here.plan(&NAMES, None).await;
    let keys = keys(&plan);
    let distinct: BTreeMap<_, _> = keys.iter().map(|key| (key.key, &key.cpv)).collect();
    assert_eq!(distinct.len(), keys.len(), "each package has its own key");
    let index = here.build(&NAMES).await;
    let none: [&str; 0] = [];
    assert_eq!(rebuilt(&here, &index, &keys).await, none);
    assert_eq!(
        rebuilt(&here, &index, &[]).await,
        none,
        "a binary of which no key is known is left to Portage"
    );

    // An ebuild's body, without a new revision: Portage sees nothing.
    here.ebuild("two", "1", "src_install() { dodir /opt/swarm/two; }");
    assert_eq!(rebuilt(&here, &index, &[]).await, none);
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/two-1"]);
    // A library's body: its sub-slot is the same, so whoever uses it stays.
    here.ebuild("lib", "1", "SLOT=0/1\nsrc_install() { dodir /opt/swarm/lib; }");
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/lib-1", "test/two-1"]);
    a_world(&here);
    assert_eq!(rebuilt(&here, &index, &keys).await, none, "as it was");

    here.write("eclass/shared.eclass", "SHARED=2\n");
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/one-1"]);
    here.write("eclass/shared.eclass", "SHARED=1\n");
    here.write("test/three/files/fix.patch", "a\n");
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/three-1"]);
    std::fs::remove_dir_all(here.repo().join("test/three/files")).unwrap();
    // Another version in the tree, with archives of its own, is no reason.
    here.write("test/three/Manifest", "DIST three-9.tar.gz 1 BLAKE2B 00\n");
    assert_eq!(rebuilt(&here, &index, &keys).await, none);

    // A nightly sync: three ebuilds changed, one of them a new sub-slot that its consumer must be built for.
    here.ebuild("one", "1", "inherit shared\n# a comment counts: only the shell knows what it is");
    here.ebuild("two", "2", "");
    here.remove("two", "1");
    here.ebuild("lib", "2", "SLOT=0/2");
    here.remove("lib", "1");
    assert_eq!(
        rebuilt(&here, &index, &keys).await,
        ["test/lib-2", "test/one-1", "test/two-2", "test/user-1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_counts_as_each_package_sees_it() {
    let Some(mut here) = Bench::new() else { return };
    a_world(&here);
    let keys = keys(&here.plan(&NAMES, None).await);
    let index = here.build(&NAMES).await;
    let none: [&str; 0] = [];
    here.make_conf("# nothing\nMAKEOPTS=\"-j7\"\nEMERGE_DEFAULT_OPTS=\"--quiet\"\nCFLAGS=\"${CFLAGS}  \"");
    assert_eq!(rebuilt(&here, &index, &keys).await, none, "comments, spaces and speed do not count");

    here.bind("/etc/portage/package.env", "test/two slow\n");
    here.bind_below("/etc/portage/env", "slow", "CFLAGS=\"-O0\"\n");
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/two-1"]);
    here.bind_below("/etc/portage/patches/test/three", "fix.patch", "--- a\n");
    assert_eq!(rebuilt(&here, &index, &keys).await, ["test/three-1", "test/two-1"]);
    here.bind("/etc/portage/bashrc", "post_src_install() { :; }\n");
    assert_eq!(rebuilt(&here, &index, &keys).await.len(), 7, "a bashrc is sourced by every build");
}
