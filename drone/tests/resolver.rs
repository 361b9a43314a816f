//! What the base root's own Portage plans and refuses. Needs the Gentoo box's base root (`tests/gentoo-box/setup`) and
//! root; where there is none, these tests say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

mod question;

use build_drone::resolver::ask::{Portage, Question, directories};
use build_drone::resolver::root;
use build_drone::root::{AttemptDir, Foundation};
use build_drone::stop::Stop;
use question::{Bench, atoms, edges, launcher, shown};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use swarm_protocol::plan::About;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::FailureClass;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A library, what is built on it, and a package that has nothing to do with it but a tool. The library and the program
/// are ELF files, so that Portage injects the dependency on libc.
fn a_world(here: &Bench) {
    let elf = "src_compile() { echo 'int main(void) { return 0; }' > a.c; ${CC:-cc} a.c -o \"${PN}\" || die; }\n\
               src_install() { exeinto /opt/swarm/bin; doexe \"${PN}\"; }";
    here.ebuild("libfoo", "1", &format!("SLOT=0/1\n{elf}"));
    here.ebuild(
        "consumer",
        "1",
        &format!("IUSE=\"+x y\"\nRDEPEND=\"test/libfoo:=\"\nDEPEND=\"${{RDEPEND}}\"\n{elf}"),
    );
    here.ebuild("tool", "1", "");
    here.ebuild("unrelated", "1", "BDEPEND=\"test/tool\"");
}

const WORLD: [&str; 2] = ["test/consumer", "test/unrelated"];

#[tokio::test(flavor = "multi_thread")]
async fn the_existing_ebuilds_from_nothing() {
    let Some(here) = Bench::new() else { return };
    let plan = here.plan(&["app-arch/pigz", "app-arch/xz-utils", "app-misc/jq"], None).await;
    // glibc and libc are installed in the base root, and planned all the same.
    assert_eq!(
        shown(&plan),
        [
            "app-arch/pigz-2.8 build",
            "app-arch/xz-utils-5.4.1 build",
            "app-misc/jq-1.6 build",
            "dev-libs/oniguruma-6.9.8 build",
            "sys-libs/glibc-2.36 build",
            "sys-libs/zlib-1.2.13 build",
            "virtual/libc-1 build",
        ]
    );
    assert_eq!(
        edges(&plan),
        [
            "app-arch/pigz-2.8 buildtime+runtime sys-libs/zlib-1.2.13",
            "app-misc/jq-1.6 buildtime+runtime dev-libs/oniguruma-6.9.8",
            "virtual/libc-1 runtime sys-libs/glibc-2.36",
        ]
    );
    assert_eq!(plan.system, ["virtual/libc".parse().unwrap()]);
    let jq = &plan.packages[2];
    assert_eq!((jq.slot.as_str(), jq.repository.as_str()), ("0/1", "swarm-box"));
    assert_eq!(jq.use_flags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["oniguruma"]);
    let oniguruma = plan.packages[3].about.clone().unwrap();
    let sources = "/var/cache/build-swarm/distfiles/libonig_6.9.8.orig.tar.gz";
    let expected = About {
        keywords: vec!["amd64".to_owned()],
        license: "BSD-2".to_owned(),
        wanted_by: vec!["app-misc/jq-1.6".to_owned(), "@world".to_owned()],
        fetch_bytes: Some(fs::metadata(sources).unwrap().len()),
        built_because: Some("there is no binary of it".to_owned()),
    };
    assert_eq!(oniguruma, expected);
}

/// The whole life of an index: everything is kept, a new sub-slot rebuilds the library and its consumer, a USE change and a
/// changed dependency what they concern, and nothing in make.conf that is meant for workstations changes a plan.
#[tokio::test(flavor = "multi_thread")]
async fn what_portage_accepts_is_kept() {
    let Some(mut here) = Bench::new() else { return };
    a_world(&here);
    let index = here.build(&WORLD).await;
    let text = fs::read_to_string(&index).unwrap();
    assert!(text.contains("RDEPEND: >=sys-libs/glibc-2.36"), "a dependency on libc was injected:\n{text}");
    let kept = here.plan(&WORLD, Some(&index)).await;
    // The tool was needed to build only.
    let all =
        ["sys-libs/glibc-2.36", "test/consumer-1", "test/libfoo-1", "test/unrelated-1", "virtual/libc-1"];
    assert_eq!(shown(&kept), all.map(|cpv| format!("{cpv} keep 1")));
    assert!(edges(&kept).contains(&"test/consumer-1 runtime test/libfoo-1".to_owned()));
    assert_eq!(here.plan(&WORLD, Some(&index)).await, kept, "the same question, the same plan");
    let seventh = here.file("Packages", &text.replace("BUILD_ID: 1\n", "BUILD_ID: 7\n"));
    assert_eq!(shown(&here.plan(&WORLD, Some(&seventh)).await), all.map(|cpv| format!("{cpv} keep 7")));

    here.make_conf(
        "EMERGE_DEFAULT_OPTS=\"--usepkgonly --exclude test/unrelated --with-bdeps=y\"\n\
         FEATURES=\"${FEATURES} getbinpkg buildpkg\"\nPORTAGE_BINHOST=\"http://127.0.0.1:1/elsewhere\"",
    );
    assert_eq!(here.plan(&WORLD, Some(&index)).await, kept);

    here.ebuild("libfoo", "2", "SLOT=0/2");
    let bumped = here.plan(&WORLD, Some(&index)).await;
    assert_eq!(
        shown(&bumped)[1..4],
        ["test/consumer-1 build", "test/libfoo-2 build", "test/unrelated-1 keep 1"]
    );
    assert!(edges(&bumped).contains(&"test/consumer-1 buildtime+runtime test/libfoo-2".to_owned()));
    assert_eq!(bumped.packages[2].slot.as_str(), "0/2");
    here.remove("libfoo", "2");

    // A version that the tree has dropped is not of this epoch, however new it is.
    here.ebuild("tool", "0", "");
    here.remove("tool", "1");
    let dropped = here.plan(&["test/tool"], Some(&index)).await;
    assert!(shown(&dropped).contains(&"test/tool-0 build".to_owned()), "{:?}", shown(&dropped));
    here.remove("tool", "0");
    here.ebuild("tool", "1", "");

    here.ebuild("unrelated", "1", "BDEPEND=\"test/tool\"\nRDEPEND=\"test/libfoo\"");
    here.bind("/etc/portage/package.use", "test/consumer y\n");
    let changed = here.plan(&WORLD, Some(&index)).await;
    // What is built again needs its tool again, and that can be kept.
    let expected =
        ["test/consumer-1 build", "test/libfoo-1 keep 1", "test/tool-1 keep 1", "test/unrelated-1 build"];
    assert_eq!(shown(&changed)[1..5], expected);
    let flags: Vec<_> = changed.packages[1].use_flags.iter().map(ToString::to_string).collect();
    assert_eq!(flags, ["x", "y"]);
    let because = |place: usize| changed.packages[place].about.clone().unwrap().built_because;
    assert_eq!(because(1).as_deref(), Some("test/consumer-1-1 is not taken: respect_use y"));
    assert_eq!(because(4).as_deref(), Some("test/unrelated-1-1 is not taken: changed_deps"));
    assert_eq!(because(2), None, "what is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_have_their_kinds() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("server", "1", "PDEPEND=\"test/driver\"\nIDEPEND=\"test/installer\"");
    here.ebuild("driver", "1", "DEPEND=\"test/server:=\"");
    here.ebuild("installer", "1", "");
    let plan = here.plan(&["test/server"], None).await;
    let found = edges(&plan);
    for expected in [
        "test/driver-1 buildtime test/server-1",
        "test/server-1 runtime_post test/driver-1",
        "test/server-1 runtime test/installer-1",
    ] {
        assert!(found.contains(&expected.to_owned()), "{found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_the_target_and_what_it_provides_itself() {
    let Some(mut here) = Bench::new() else { return };
    here.ebuild("here", "1", "RDEPEND=\"test/provided\"");
    here.bind_below("/etc/portage/sets", "tools", "test/here\n");
    here.bind_below("/etc/portage/profile", "package.provided", "test/provided-1\n");
    let plan = here.plan(&["@tools"], None).await;
    assert_eq!(shown(&plan), ["sys-libs/glibc-2.36 build", "test/here-1 build", "virtual/libc-1 build"]);
    assert_eq!(edges(&plan), ["virtual/libc-1 runtime sys-libs/glibc-2.36"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_ebuild_satisfies() {
    let Some(here) = Bench::new() else { return };
    let missing = here.finding(&["test/absent"], FindingKind::Unsatisfied).await;
    assert_eq!(
        (missing.atom.as_deref(), &missing.wanted_by[..]),
        (Some("test/absent"), &["@world".to_owned()][..])
    );
    here.ebuild("wants", "1", "RDEPEND=\"test/middle\"");
    here.ebuild("middle", "1", "DEPEND=\">=test/flagged-1[nothing]\"");
    here.ebuild("flagged", "1", "IUSE=x");
    let flag = here.finding(&["test/wants"], FindingKind::Unsatisfied).await;
    assert_eq!(flag.atom.as_deref(), Some(">=test/flagged-1[nothing]"));
    assert_eq!(flag.wanted_by, ["test/middle-1", "test/wants-1", "@world"]);
    assert!(flag.detail.contains("Missing IUSE: nothing"), "{}", flag.detail);
    // Portage itself ignores a set that is not defined.
    let set = here.finding(&["@nowhere"], FindingKind::Unsatisfied).await;
    assert_eq!(set.atom.as_deref(), Some("@nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_forbids() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("masked", "1", "");
    here.write("profiles/package.mask", "# broken\ntest/masked\n");
    here.ebuild("unstable", "1", "KEYWORDS=\"~amd64\"\nRDEPEND=\"test/flagged\"");
    here.ebuild("flagged", "1", "IUSE=x");
    here.ebuild("choosy", "1", "IUSE=\"x y\"\nREQUIRED_USE=\"|| ( x y )\"");
    for name in ["masked", "unstable", "choosy"] {
        here.ebuild(&format!("wants-{name}"), "1", &format!("RDEPEND=\"test/{name}\""));
    }
    here.ebuild("wants-flag", "1", "DEPEND=\"test/flagged[x]\"");
    for name in ["masked", "unstable"] {
        let (direct, needed) = (format!("test/{name}"), format!("test/wants-{name}"));
        let finding = here.finding(&[&direct], FindingKind::Masked).await;
        assert_eq!(finding.atom.as_deref(), Some(&*direct), "{finding:#?}");
        let finding = here.finding(&[&needed], FindingKind::Masked).await;
        assert_eq!(finding.wanted_by, [format!("test/wants-{name}-1"), "@world".to_owned()]);
        assert!(finding.detail.contains("masked by"), "{}", finding.detail);
    }
    let required = here.finding(&["test/wants-choosy"], FindingKind::RequiredUse).await;
    assert_eq!(required.atom.as_deref(), Some("test/choosy"));
    assert!(required.detail.contains("any-of ( x y )"), "{}", required.detail);
    let change = here.finding(&["test/wants-flag"], FindingKind::ConfigurationChange).await;
    assert_eq!(change.atom.as_deref(), Some("test/flagged[x]"));
    assert!(change.detail.contains("Change USE: +x"), "{}", change.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself() {
    let Some(here) = Bench::new() else { return };
    here.ebuild("lib", "1", "");
    here.ebuild("lib", "2", "");
    here.ebuild("old", "1", "RDEPEND=\"=test/lib-1\"");
    here.ebuild("new", "1", "RDEPEND=\"=test/lib-2\"");
    let conflict = here.finding(&["test/old", "test/new"], FindingKind::SlotConflict).await;
    assert_eq!(conflict.atom.as_deref(), Some("test/lib:0"));
    assert_eq!(conflict.wanted_by, ["test/new-1", "test/old-1"]);
    // The older version will do; a person is told.
    let (plan, remarks) = here.resolve(&["test/old", "test/lib"], None).await.unwrap();
    assert!(shown(&plan.unwrap()).contains(&"test/lib-1 build".to_owned()));
    let [skipped] = &remarks[..] else { panic!("{remarks:#?}") };
    assert_eq!(skipped.kind, FindingKind::SlotConflict);
    assert!(skipped.detail.starts_with("the update to test/lib-2 is skipped"), "{}", skipped.detail);
    here.ebuild("left", "1", "RDEPEND=\"!!test/right\"");
    here.ebuild("right", "1", "");
    let blocker = here.finding(&["test/left", "test/right"], FindingKind::Blocker).await;
    assert_eq!(
        (blocker.atom.as_deref(), &blocker.wanted_by[..]),
        (Some("!!test/right"), &["test/left-1".to_owned()][..])
    );
    here.ebuild("hen", "1", "DEPEND=\"test/egg\"");
    here.ebuild("egg", "1", "DEPEND=\"test/nest\"");
    here.ebuild("nest", "1", "DEPEND=\"test/hen\"");
    let cycle = here.finding(&["test/nest"], FindingKind::Cycle).await;
    assert_eq!(cycle.atom.as_deref(), Some("test/egg-1"));
    assert_eq!(cycle.wanted_by, ["test/hen-1", "test/nest-1"]);
}

/// PORTAGE.md 8: what is known before a build fails.
#[tokio::test(flavor = "multi_thread")]
async fn what_ebuilds_say_about_their_builds_is_passed_on() {
    let Some(here) = Bench::new() else { return };
    here.write("profiles/license_groups", "BINARY-REDISTRIBUTABLE public-domain MIT\n");
    here.ebuild("fine", "1", "RDEPEND=\"test/fetched test/asks test/live test/kept test/secret\"");
    here.ebuild("fetched", "1", "IUSE=\"+x\"\nRESTRICT=\"x? ( fetch ) test\"");
    here.ebuild("asks", "1", "PROPERTIES=\"interactive\"");
    here.ebuild("live", "9999", "PROPERTIES=\"live\"");
    here.ebuild("kept", "1", "RESTRICT=\"bindist\"");
    here.ebuild("secret", "1", "LICENSE=\"|| ( MIT EULA ) EULA\"");
    here.ebuild("choice", "1", "LICENSE=\"|| ( MIT EULA )\"");
    let (plan, mut findings) = here.resolve(&["test/fine", "test/choice"], None).await.unwrap();
    assert!(plan.is_some(), "it is known, and no reason to refuse: {findings:#?}");
    // The other repository's have licences of their own.
    findings.retain(|one| one.atom.as_deref().unwrap().starts_with("test/"));
    let said: Vec<_> = findings.iter().map(|one| (one.kind, one.atom.as_deref().unwrap())).collect();
    let expected = [
        (FindingKind::Interactive, "test/asks-1"),
        (FindingKind::FetchRestricted, "test/fetched-1"),
        (FindingKind::Unredistributable, "test/kept-1"),
        (FindingKind::Live, "test/live-9999"),
        (FindingKind::Unredistributable, "test/secret-1"),
    ];
    assert_eq!(said, expected);
    assert!(findings[4].detail.contains("@BINARY-REDISTRIBUTABLE: EULA:"), "{}", findings[4].detail);
    assert_eq!(findings[0].wanted_by, ["test/fine-1", "@world"]);
}

/// What the base root alone has: no client could install it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_installed_is_no_answer() {
    let Some(mut here) = Bench::new() else { return };
    here.installed("ghost-1", "0", "");
    here.ebuild("haunted", "1", "RDEPEND=\"test/ghost\"");
    for world in ["test/haunted", "test/ghost"] {
        let finding = here.finding(&[world], FindingKind::Unsatisfied).await;
        assert_eq!(finding.atom.as_deref(), Some("test/ghost"), "{finding:#?}");
    }
}

/// PORTAGE.md 7: Portage binds binaries to the libc that they are built with.
#[tokio::test(flavor = "multi_thread")]
async fn the_base_roots_toolchain_may_lag_behind_but_not_run_ahead() {
    let Some(mut here) = Bench::new() else { return };
    here.write("profiles/categories", "sys-devel\ntest\n");
    here.ebuild("program", "1", "");
    for (category, name, version) in
        [("sys-devel", "gcc", "13"), ("sys-devel", "gcc", "14"), ("sys-devel", "binutils", "2.43")]
    {
        let slot = if name == "gcc" { version } else { "0" };
        let text = format!("EAPI=8\nS=${{WORKDIR}}\nSLOT={slot}\nKEYWORDS=\"amd64\"\n");
        here.write(&format!("{category}/{name}/{name}-{version}.ebuild"), &text);
        let entry = format!("/var/db/pkg/{category}/{name}-{version}");
        for (field, value) in [("EAPI", "8"), ("KEYWORDS", "amd64"), ("SLOT", slot), ("repository", "test")] {
            here.bind_below(&entry, field, &format!("{value}\n"));
        }
    }
    let equal = ["test/program", "sys-devel/gcc", "sys-devel/binutils"];
    let (plan, remarks) = here.resolve(&equal, None).await.unwrap();
    assert!(plan.unwrap().toolchain.is_empty() && remarks.is_empty(), "{remarks:#?}");
    // Whose world has the older compiler alone, has older runtime libraries than what the newer one makes.
    let ahead = here.finding(&["test/program", "sys-devel/gcc:13"], FindingKind::BaseAhead).await;
    assert_eq!(ahead.atom.as_deref(), Some("sys-devel/gcc-13"));
    assert!(ahead.detail.starts_with("the base root has sys-devel/gcc-14, the plan sys-devel/gcc-13: "));

    here.ebuild("maths", "1", "BDEPEND=\"test/tool\"");
    here.ebuild("tool", "1", "");
    for (name, version) in [("gcc", "15"), ("binutils", "2.44")] {
        let text = "EAPI=8\nS=${WORKDIR}\nSLOT=0\nKEYWORDS=\"amd64\"\nRDEPEND=test/maths\n";
        here.write(&format!("sys-devel/{name}/{name}-{version}.ebuild"), text);
    }
    let (plan, remarks) = here.resolve(&equal, None).await.unwrap();
    assert!(plan.is_some(), "{remarks:#?}");
    let behind: Vec<_> = remarks.iter().map(|one| (one.kind, one.atom.as_deref().unwrap())).collect();
    let kind = FindingKind::BaseBehind;
    assert_eq!(behind, [(kind, "sys-devel/gcc-15"), (kind, "sys-devel/binutils-2.44")]);
    let moved: Vec<_> = plan.unwrap().toolchain.iter().map(ToString::to_string).collect();
    let whole = ["sys-libs/glibc-2.36", "test/maths-1", "sys-devel/gcc-15", "sys-devel/binutils-2.44"];
    assert_eq!(moved, whole, "what has not moved, too, and what is needed at run time");
}

/// An old consumer in the base root neither holds the library back nor comes into the plan.
#[tokio::test(flavor = "multi_thread")]
async fn the_base_root_may_lag_behind() {
    let Some(mut here) = Bench::new() else { return };
    here.installed("libfoo-1", "0/1", "");
    here.installed("leftover-1", "0", "test/libfoo:0/1=");
    here.ebuild("libfoo", "1", "SLOT=0/1");
    here.ebuild("libfoo", "2", "SLOT=0/2");
    here.ebuild("leftover", "1", "RDEPEND=\"test/libfoo:=\"");
    here.ebuild("consumer", "1", "RDEPEND=\"test/libfoo:=\"");
    let plan = here.plan(&["test/consumer"], None).await;
    assert_eq!(shown(&plan)[1..3], ["test/consumer-1 build", "test/libfoo-2 build"]);
    assert_eq!(plan.packages.len(), 4);
}

fn index_of_one(here: &Bench, header: &str) -> PathBuf {
    let entry = "BUILD_ID: 1\nCPV: a/b-1\nPATH: a/b/b-1-1.gpkg.tar\nSIZE: 1\n\n";
    here.file("Packages", &format!("PACKAGES: 1\n{header}VERSION: 0\n\n{entry}"))
}

/// Whatever Portage stumbles over is no plan, and says where.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_asked() {
    let Some(mut here) = Bench::new() else { return };
    let index = index_of_one(&here, "");
    let error = here.resolve(&[], Some(&index)).await.unwrap_err().to_string();
    assert!(
        error.contains("does not see") && error.contains("a/b-1"),
        "an index without a TIMESTAMP: {error}"
    );
    let index = index_of_one(&here, "TIMESTAMP: 1\n");
    here.bind_below("/var/db/pkg", ".keep", "");
    let error = here.resolve(&[], Some(&index)).await.unwrap_err().to_string();
    assert!(error.contains("no virtual/libc installed"), "{error}");
    here.bind("/etc/portage/make.conf", "USE=\"never closed\n");
    let error = here.resolve(&[], None).await.unwrap_err().to_string();
    assert!(error.contains("No closing quotation") && error.contains("infrastructure"), "{error}");
}

/// A question ends when its time is up or when it is cancelled, and leaves no process.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_when_it_must() {
    let Some(here) = Bench::new() else { return };
    // Metadata is got by sourcing the ebuild, where only bash itself works.
    here.ebuild("hangs", "1", "while :; do :; done");
    let config = here.config();
    let cancel = CancellationToken::new();
    for (limit, stop) in [(Duration::from_secs(3), false), (Duration::from_mins(5), true)] {
        let dir = AttemptDir::create(&directories(&config), "1").unwrap();
        fs::write(root::index_file(&dir).unwrap(), root::EMPTY_INDEX).unwrap();
        let (launcher, world) = (launcher(), atoms(&["test/hangs"]));
        let foundation = Foundation::own(&config);
        let portage = Portage {
            foundation: &foundation,
            launcher: &launcher,
            dir: &dir,
            mounts: Vec::new(),
            deadline: Instant::now() + limit,
            cancel: &cancel,
        };
        let question = Question { world: &world, ..Question::default() };
        let stopper = async {
            while stop && !busy(config.state_dir.to_str().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if stop {
                cancel.cancel();
            }
        };
        let (answer, ()) = tokio::join!(portage.plan(question), stopper);
        match answer {
            Err(Stop::Cancelled) if stop => {}
            Err(Stop::Failed(failure)) if !stop => {
                assert_eq!(failure.class, FailureClass::Resources, "{failure:?}");
            }
            other => panic!("{other:?}"),
        }
        // They are killed by then; the kernel may still be taking them down.
        let gone = async {
            while busy(config.state_dir.to_str().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("no process is left");
    }
}

fn busy(words: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .any(|line| line.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand() {
    let Some(here) = Bench::new() else { return };
    let resolve = async |world: &str, json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_build-drone"));
        command
            .arg("resolve")
            .arg("--config")
            .arg(here.config_file())
            .arg("--world")
            .arg(here.file("world", world));
        let output = command.args(json.then_some("--json")).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, out, err) = resolve("app-misc/jq\n", false).await;
    assert_eq!((status, &*err), (Some(0), ""));
    assert!(out.ends_with("4 packages: 4 to build, 0 to keep\n"), "{out}");
    let (status, out, _) = resolve("app-misc/jq # json\n", true).await;
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, value["plan"]["packages"].as_array().unwrap().len()), (Some(0), 4));
    let (status, _, err) = resolve("test/absent\n", false).await;
    assert_eq!(status, Some(1));
    assert!(err.starts_with("unsatisfied: test/absent (wanted by @world)\n"), "{err}");
    let (status, _, err) = resolve("app-misc/jq\njq\n", false).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("world:2"), "{err}");
}
