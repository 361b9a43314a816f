//! Packages that wait for each other, on real Portage: which are staged, and with what (PORTAGE.md 4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

mod question;

use question::{Bench, shown};
use swarm_protocol::id::BuildId;
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{BinaryKey, FindingKind};

fn both(dependencies: &str) -> String {
    format!("DEPEND=\"{dependencies}\"\nRDEPEND=\"{dependencies}\"")
}

/// PORTAGE.md 4: components of the waits, which Portage need not report.
#[tokio::test(flavor = "multi_thread")]
async fn packages_that_wait_for_each_other_are_staged() {
    let Some(here) = Bench::new() else { return };
    let flags = "IUSE=\"+harfbuzz +png\"\n";
    here.ebuild(
        "freetype",
        "2",
        &(flags.to_owned() + &both("harfbuzz? ( test/harfbuzz ) png? ( test/png )")),
    );
    // The parent's demand, at which Portage's own solutions end: the last stage has it.
    here.ebuild("program", "1", &both("test/freetype[harfbuzz]"));
    here.ebuild("harfbuzz", "6", &both("test/freetype"));
    here.ebuild("png", "1", "");
    let plan = here.plan(&["test/program"], None).await;
    let staged = |plan: &Plan| {
        let name = |index: u32| plan.packages[index as usize].cpv.to_string();
        let [staging] = &plan.stagings[..] else { panic!("{:#?}", plan.stagings) };
        let members: Vec<_> = staging.members.iter().map(|&member| name(member)).collect();
        let reduced: Vec<_> = staging
            .reduced
            .iter()
            .map(|reduced| {
                let off: Vec<_> = reduced.disabled.iter().map(ToString::to_string).collect();
                let ends: Vec<_> = reduced.edges.iter().map(|(end, _)| name(*end)).collect();
                format!("{} -{}: {}", name(reduced.package), off.join(" -"), ends.join(" "))
            })
            .collect();
        (members.join(" "), reduced.join("; "))
    };
    let expected = ("test/freetype-2 test/harfbuzz-6", "test/freetype-2 -harfbuzz: test/png-1");
    assert_eq!(staged(&plan), (expected.0.to_owned(), expected.1.to_owned()));

    // Through what a tool needs at run time, where Portage sees no cycle; and a flag that brings another dependency.
    here.ebuild("tool", "1", "IUSE=\"+doc\"\nRDEPEND=\"doc? ( test/book ) !doc? ( test/png )\"");
    here.ebuild("book", "1", "IUSE=\"+tool\"\nREQUIRED_USE=\"tool\"\nBDEPEND=\"tool? ( test/press )\"");
    here.ebuild("press", "1", "BDEPEND=\"test/tool\"");
    let plan = here.plan(&["test/book", "test/png"], None).await;
    let expected = ("test/book-1 test/press-1", "test/tool-1 -doc: test/png-1");
    assert_eq!(staged(&plan), (expected.0.to_owned(), expected.1.to_owned()));

    // harfbuzz of stage 1 would not be built with a freetype without harfbuzz: nothing breaks it.
    here.ebuild("harfbuzz", "6", &both("test/freetype[harfbuzz]"));
    let cycle = here.finding(&["test/program"], FindingKind::Cycle).await;
    assert_eq!(cycle.atom.as_deref(), Some("test/freetype-2"));
    assert_eq!(cycle.wanted_by, ["test/harfbuzz-6"]);
    let edge = "test/freetype-2 needs test/harfbuzz-6 (buildtime, runtime; USE: harfbuzz)";
    assert!(cycle.detail.contains(edge), "{}", cycle.detail);
}

/// The members of the one staging, and what stands for them, as in `test/egg-1 1 for test/egg-2: test/nest-1`.
fn substitutes(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let name = |index: u32| plan.packages[index as usize].cpv.to_string();
    let [staging] = &plan.stagings[..] else { panic!("{:#?}", plan.stagings) };
    let substitutes = staging.substitutes.iter().map(|one| {
        let build = one.build_id.map_or("installed".to_owned(), |id| id.to_string());
        let ends: Vec<_> = one.edges.iter().map(|(end, _)| name(*end)).collect();
        format!("{} {build} for {}: {}", one.cpv, name(one.package), ends.join(" "))
            .trim_end_matches([':', ' '])
            .to_owned()
    });
    (staging.members.iter().map(|&member| name(member)).collect(), substitutes.collect())
}

/// Where no flag breaks a cycle, what was built before it was one stands for its members.
#[tokio::test(flavor = "multi_thread")]
async fn earlier_binaries_stand_for_what_no_flag_breaks() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("nest", "1", "");
    here.ebuild("egg", "1", "");
    here.ebuild("hen", "1", &both("test/egg || ( test/absent test/nest )"));
    let index = here.build(&["test/hen"]).await;
    here.ebuild("egg", "2", "DEPEND=\"test/hen\"");
    here.ebuild("hen", "2", &both(">=test/egg-1"));
    let world = ["test/hen", "test/nest"];
    let plan = here.plan(&world, Some(&index)).await;
    let members = ["test/egg-2", "test/hen-2"].map(str::to_owned).to_vec();
    let hen = "test/hen-1 1 for test/hen-2: test/egg-2 test/nest-1";
    let expected = ["test/egg-1 1 for test/egg-2", hen].map(str::to_owned).to_vec();
    assert_eq!(substitutes(&plan), (members, expected));

    // What an earlier build needs besides may not wait for a member in turn.
    here.remove("nest", "1");
    here.ebuild("nest", "1.1", "DEPEND=\"test/hen\"");
    let said = refused(&here, &world, Some(&index)).await;
    assert!(
        said.ends_with("test/egg-1 could, but that is not enough\ntest/hen-1 could, but that is not enough")
    );
    // Everybody must accept it. egg-2 would be in its own root then, without which hen-1 is nothing.
    here.remove("nest", "1.1");
    here.ebuild("nest", "1", "");
    here.ebuild("hen", "2", &both(">=test/egg-2"));
    let said = refused(&here, &world, Some(&index)).await;
    let egg = "test/egg-1 cannot stand for test/egg-2: test/hen-2 needs >=test/egg-2";
    assert!(said.contains(&format!("{egg}\ntest/hen-1 could, but that is not enough")), "{said}");
    // What is built with it must fit to what will be there.
    here.ebuild("hen", "2", &both("test/egg:="));
    here.ebuild("egg", "2", "SLOT=0/2\nDEPEND=\"test/hen\"");
    let said = refused(&here, &world, Some(&index)).await;
    assert!(said.contains("test/egg-1 cannot stand for test/egg-2: its sub-slot is 0, and not 2"), "{said}");
    let said = refused(&here, &["test/hen"], None).await;
    assert!(said.contains("test/egg-2 needs test/hen-2 (buildtime)\ntest/hen-2 needs test/egg-2"), "{said}");
    assert!(said.ends_with("Nor does an earlier build of theirs:\nthere is none"), "{said}");
}

/// What the cycle's finding says.
async fn refused(here: &Bench, world: &[&str], index: Option<&std::path::Path>) -> String {
    let (plan, findings) = here.resolve(world, index).await.unwrap();
    assert!(plan.is_none(), "{plan:#?}");
    let [finding] = &findings[..] else { panic!("{findings:#?}") };
    assert_eq!(finding.kind, FindingKind::Cycle);
    finding.detail.clone()
}

/// Also where it is of the same version: an ebuild's body was edited, and Portage shall not take the binary any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_binary_that_is_out_of_date_stands_for_its_own_version() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("egg", "1", "");
    here.ebuild("hen", "1", &both("test/egg"));
    let index = here.build(&["test/hen"]).await;
    here.ebuild("egg", "1", "DEPEND=\"test/hen\"");
    let outdated = ["test/egg-1", "test/hen-1"].map(|cpv| BinaryKey {
        cpv: cpv.parse().unwrap(),
        build_id: BuildId(1),
        key: swarm_protocol::Digest::of(b"something else"),
    });
    let (plan, findings) = here.resolve_keyed(&["test/hen"], Some(&index), &outdated).await.unwrap();
    let plan = plan.unwrap_or_else(|| panic!("{findings:#?}"));
    assert_eq!(shown(&plan)[1..3], ["test/egg-1 build", "test/hen-1 build"]);
    let expected = ["test/egg-1 1 for test/egg-1", "test/hen-1 1 for test/hen-1: test/egg-1"];
    assert_eq!(substitutes(&plan).1, expected);
}

/// What the base root has is in every root: it needs no binary.
#[tokio::test(flavor = "multi_thread")]
async fn the_base_root_stands_for_what_it_has() {
    let Some(mut here) = Bench::new() else { return };
    here.installed("egg-1", "0", "");
    here.ebuild("egg", "2", "DEPEND=\"test/hen\"");
    here.ebuild("hen", "2", &both("test/egg"));
    let plan = here.plan(&["test/hen"], None).await;
    assert_eq!(substitutes(&plan).1, ["test/egg-1 installed for test/egg-2"]);
}

/// freetype alone is new; harfbuzz, with which it is built, stays, and needs a freetype to work.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_own_tools_need_is_staged_alone() {
    let Some(mut here) = Bench::new() else { return };
    here.ebuild("book", "1", "");
    here.ebuild("press", "1", "RDEPEND=\"test/book\"");
    let index = here.build(&["test/press"]).await;
    here.ebuild("book", "2", "BDEPEND=\"test/press\"");
    let plan = here.plan(&["test/book"], Some(&index)).await;
    assert_eq!(shown(&plan)[1..3], ["test/book-2 build", "test/press-1 keep 1"]);
    assert_eq!(substitutes(&plan).1, ["test/book-1 1 for test/book-2"]);
    // The base root's is in every root anyway.
    here.installed("book-1", "0", "");
    assert!(here.plan(&["test/book"], Some(&index)).await.stagings.is_empty());
}
