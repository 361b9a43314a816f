//! What the base root's own Portage says of generations, where emerge itself says 0 and nothing works (PORTAGE.md 1). Needs
//! the Gentoo box's base root (`tests/gentoo-box/setup`) and root; where there is none, these tests say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod question;

use build_drone::gate::seat::Answer;
use build_drone::resolver::root::EMPTY_INDEX;
use question::Bench;
use std::fs;
use std::path::{Path, PathBuf};
use swarm_protocol::resolution::FindingKind;

const WORLD: [&str; 2] = ["test/consumer", "test/unrelated"];

/// A library, an ELF file, so that Portage injects the dependency on libc; what is linked with it; and a loner.
fn a_world(here: &Bench) {
    let elf = "src_compile() { echo 'int main(void) { return 0; }' > a.c; ${CC:-cc} a.c -o \"${PN}\" || die; }\n\
               src_install() { exeinto /opt/swarm/bin; doexe \"${PN}\"; }";
    here.ebuild("libfoo", "1", &format!("SLOT=0/1\n{elf}"));
    here.ebuild(
        "consumer",
        "1",
        &format!("IUSE=\"x\"\nRDEPEND=\"test/libfoo:=\"\nDEPEND=\"${{RDEPEND}}\"\n{elf}"),
    );
    here.ebuild("unrelated", "1", "");
}

fn told(answer: &Answer) -> Vec<(FindingKind, &str)> {
    answer.findings.iter().map(|found| (found.kind, found.atom.as_deref().unwrap_or(""))).collect()
}

fn missing(answer: &Answer) -> Vec<String> {
    answer.missing.iter().map(ToString::to_string).collect()
}

/// The index without the entries of a package.
fn without(here: &Bench, index: &Path, cpv: &str) -> PathBuf {
    let text = fs::read_to_string(index).unwrap();
    let kept = text.split("\n\n").filter(|block| !block.lines().any(|line| line == format!("CPV: {cpv}")));
    here.file("Packages-without", &kept.collect::<Vec<_>>().join("\n\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_generation_passes_and_each_lack_is_found() {
    let Some(mut here) = Bench::new() else { return };
    a_world(&here);
    let index = here.build(&WORLD).await;
    let good = here.gate(&WORLD, &index, None).await;
    assert_eq!(told(&good), []);
    let installs: Vec<_> = good.installs.iter().map(|(cpv, _)| cpv.to_string()).collect();
    let all =
        ["sys-libs/glibc-2.36", "test/consumer-1", "test/libfoo-1", "test/unrelated-1", "virtual/libc-1"];
    assert_eq!(installs, all, "of a machine that is set up anew, everything comes from the generation");

    // An empty one: emerge says "nothing to merge".
    let empty = here.gate(&WORLD, &here.file("Packages-empty", EMPTY_INDEX), None).await;
    assert_eq!(missing(&empty), all);
    assert!(empty.findings.iter().any(|found| found.kind == FindingKind::NotInstallable), "{empty:#?}");

    // The C library itself is missing: the base root has it, a workstation may not.
    let no_libc = here.gate(&WORLD, &without(&here, &index, "sys-libs/glibc-2.36"), None).await;
    assert_eq!(missing(&no_libc), ["sys-libs/glibc-2.36"], "{no_libc:#?}");

    // An index that is not the one that was staged: a binhost that is dead, or serves another.
    let stale = here.gate(&WORLD, &index, Some(1)).await;
    assert_eq!(told(&stale), [(FindingKind::StaleIndex, "")]);
    assert!(stale.findings[0].detail.contains("TIMESTAMP"), "{stale:#?}");

    // A world atom that nothing satisfies.
    let unknown = here.gate(&["test/unrelated", "test/absent"], &index, None).await;
    assert_eq!(unknown.findings[0].kind, FindingKind::Unsatisfied, "{unknown:#?}");
    assert_eq!(unknown.findings[0].atom.as_deref(), Some("test/absent"));

    // Another USE: "update has been skipped", and 0.
    here.bind("/etc/portage/package.use", "test/consumer x\n");
    let mismatch = here.gate(&WORLD, &index, None).await;
    assert_eq!(told(&mismatch)[0], (FindingKind::RebuildMissing, "test/consumer-1"), "{mismatch:#?}");
    assert!(mismatch.findings[0].detail.contains("respect_use x"), "{mismatch:#?}");
    assert_eq!(missing(&mismatch), ["test/consumer-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_not_rebuilt_is_found() {
    let Some(here) = Bench::new() else { return };
    a_world(&here);
    let old = here.build(&WORLD).await;
    let consumer = fs::read_to_string(&old).unwrap();
    let consumer =
        consumer.split("\n\n").find(|block| block.contains("CPV: test/consumer-1")).unwrap().to_owned();
    here.ebuild("libfoo", "2", "SLOT=0/2");
    here.remove("libfoo", "1");
    let new = here.build(&WORLD).await;
    let text = fs::read_to_string(&new).unwrap();
    let newest = text
        .split("\n\n")
        .filter(|block| !block.contains("CPV: test/libfoo-1\n") && !block.contains("CPV: test/consumer-1\n"));
    let mut blocks: Vec<_> = newest.filter(|block| !block.trim().is_empty()).collect();
    blocks.push(&consumer);
    let broken = here.file("Packages-broken", &(blocks.join("\n\n") + "\n\n"));
    let answer = here.gate(&WORLD, &broken, None).await;
    assert_eq!(missing(&answer), ["test/consumer-1"], "{answer:#?}");
    assert_eq!(answer.findings[0].kind, FindingKind::RebuildMissing, "{answer:#?}");
}

/// The generation has one side of a `||`; a workstation has the other one, and is the only one to want its update.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_workstation_wants_is_found_in_what_it_has() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("left", "1", "");
    here.ebuild("either", "1", "RDEPEND=\"|| ( test/left test/right )\"");
    let index = here.build(&["test/either"]).await;
    here.ebuild("right", "2", "");
    assert_eq!(told(&here.gate(&["test/either"], &index, None).await), []);
    let installed = [("either-1", "|| ( test/left test/right )"), ("right-1", "")];
    let answer = here.gate_of(&["test/either"], &index, None, &installed).await;
    assert_eq!(told(&answer), [(FindingKind::NotInstallable, "test/right-2")], "{answer:#?}");
    assert_eq!(answer.findings[0].wanted_by, ["test/either-1", "@world"]);
}
