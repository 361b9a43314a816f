//! Sets of really built packages that do not fit together: each package was fine on the machine that built it. They are
//! refused before they become a generation, and no workstation sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::json;
use std::fs;
use swarm_protocol::id::RunId;
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::{GenerationState, RunState};
use swarm_tests::cli::ok;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::machines::{self, Machine};
use swarm_tests::plans;
use swarm_tests::swarm::{Settings, Swarm, target};

const LIBC: (&str, &str) = ("sys-libs/glibc-2.36", "2.2");

/// A machine that builds, and stages what it built, package by package.
struct Builder {
    machine: Machine,
    swarm: Swarm,
    drone: ScriptedDrone,
}

impl Builder {
    async fn start() -> Self {
        let swarm = machines::reachable_swarm(Settings::default()).await;
        let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
        let machine = Machine::up("builder", "base", &[]);
        let this = Self { machine, swarm, drone };
        this.emerge(&["--buildpkgonly", "=sys-libs/glibc-2.36"]);
        this
    }

    fn emerge(&self, arguments: &[&str]) {
        let emerge = ["env", "FEATURES=-preserve-libs", "emerge", "--oneshot", "--quiet"];
        let _ = self.machine.ok(&[&emerge[..], arguments].concat());
    }

    /// Builds a package and installs it, so that the next ones are linked with it.
    fn build(&self, cpv: &str) {
        self.emerge(&["--buildpkg", "--usepkg=n", &format!("={cpv}")]);
    }

    /// A run of these packages, which are built already or kept from the run before.
    async fn run(&self, packages: &[(&str, &str)], edges: &[(u32, u32)]) -> RunId {
        let run = self.swarm.run(plans::epoch(), plan(packages, edges)).await;
        while self.swarm.admin.run(run).await.unwrap().state == RunState::Building {
            self.drone.beat(&[]).await.unwrap();
            let Some(claim) = self.drone.claim(1).await else { continue };
            let path = format!("{}/{}-{}.gpkg.tar", claim.cpv.cp(), claim.cpv.pf(), claim.build_id);
            let bytes = fs::read(self.machine.root().join("var/cache/binpkgs").join(path)).unwrap();
            self.drone.start(&claim).await.unwrap();
            let complete = self.drone.upload_bytes(&claim, bytes).await;
            let completed = self.drone.complete(&claim, &complete).await.unwrap();
            assert_eq!(completed.reason, None, "{}", claim.cpv);
            self.drone.forget(&claim);
        }
        run
    }

    async fn promoted(&self, packages: &[(&str, &str)], edges: &[(u32, u32)]) {
        let run = self.run(packages, edges).await;
        self.swarm.run_reaches(run, RunState::Promoted, 30).await;
    }

    /// A run that is refused for these reasons; what `swarm run show` says of it.
    async fn refused(&self, packages: &[(&str, &str)], kinds: &[FindingKind]) -> String {
        let before = self.index().await;
        let id = self.run(packages, &[]).await;
        let run = self.swarm.run_reaches(id, RunState::Failed, 30).await;
        assert_eq!(run.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), kinds, "{run:#?}");
        let generations = self.swarm.admin.generations(&target()).await.unwrap();
        let refused = generations.iter().find(|generation| generation.run == Some(id)).unwrap();
        assert_eq!(refused.state, GenerationState::Refused);
        assert_eq!(self.index().await, before, "clients see what they saw");
        ok(&self.swarm, &format!("run show {id}")).await
    }

    /// What workstations see.
    async fn index(&self) -> String {
        let url = format!("{}/binhost/{}/Packages", self.swarm.binhost_url(), target());
        reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }
}

fn plan(packages: &[(&str, &str)], edges: &[(u32, u32)]) -> Plan {
    let packages: Vec<_> = packages
        .iter()
        .map(|(cpv, slot)| json!({"cpv": cpv, "slot": slot, "repository": "swarm-box"}))
        .collect();
    let edges: Vec<_> = edges.iter().map(|(from, to)| json!([from, to, ["buildtime", "runtime"]])).collect();
    serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_bound_to_two_versions_of_one_library() {
    const READER: (&str, &str) = ("swarm-test/icu-reader-1", "0");
    const WRITER: (&str, &str) = ("swarm-test/icu-writer-1", "0");
    const ICU_74: (&str, &str) = ("swarm-test/libicu-74", "0/74");
    const ICU_75: (&str, &str) = ("swarm-test/libicu-75", "0/75");
    let builder = Builder::start().await;
    builder.build(ICU_74.0);
    builder.build(READER.0);
    builder.promoted(&[LIBC, ICU_74, READER], &[]).await;

    // The reader is kept although the library moved on.
    builder.build(ICU_75.0);
    builder.build(WRITER.0);
    let said =
        builder.refused(&[LIBC, READER, ICU_75, WRITER], &[FindingKind::SubSlot, FindingKind::Soname]).await;
    assert!(said.contains("built against another sub-slot: swarm-test/libicu:0/74="), "{said}");
    assert!(said.contains("wanted by swarm-test/icu-reader-1"), "{said}");
    assert!(said.contains("the set has swarm-test/libicu-75:0/75"), "{said}");
    // Nor may both libraries be there, each for its consumer.
    let said = builder.refused(&[LIBC, READER, ICU_75, WRITER, ICU_74], &[FindingKind::SlotConflict]).await;
    assert!(said.contains("libicu-74:0/74, on which insists swarm-test/icu-reader-1"), "{said}");
    assert!(said.contains("libicu-75:0/75, on which insists swarm-test/icu-writer-1"), "{said}");

    builder.build(READER.0);
    builder.promoted(&[LIBC, READER, ICU_75, WRITER], &[(1, 2)]).await;
    assert!(builder.index().await.contains("CPV: swarm-test/libicu-75"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_changed_its_soname_and_not_its_sub_slot() {
    const USER: (&str, &str) = ("swarm-test/uses-libabi-1", "0");
    const OLD: (&str, &str) = ("swarm-test/libabi-1", "0");
    const NEW: (&str, &str) = ("swarm-test/libabi-2", "0");
    let builder = Builder::start().await;
    builder.build(OLD.0);
    builder.build(USER.0);
    let works = || builder.machine.run(&["/opt/swarm/bin/uses-libabi"]);
    assert!(works().status.success(), "it works where it was built");
    builder.promoted(&[LIBC, OLD, USER], &[]).await;

    builder.build(NEW.0);
    let crash = String::from_utf8(works().stderr).unwrap();
    assert!(
        crash.contains("libabi.so.1: cannot open shared object file"),
        "so would a workstation's: {crash}"
    );
    let said = builder.refused(&[LIBC, USER, NEW], &[FindingKind::Soname]).await;
    assert!(said.contains("shared library missing: x86_64: libabi.so.1"), "{said}");
    assert!(said.contains("wanted by swarm-test/uses-libabi-1"), "{said}");
    assert!(said.contains("swarm-test/libabi-2 provides libabi.so.2"), "{said}");

    let workstation = machines::workstation(&builder.swarm, "swarm-test/uses-libabi\n", None);
    let update =
        ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];
    let merged = workstation.ok(&update);
    assert!(merged.contains("swarm-test/libabi-1"), "{merged}");
    assert!(workstation.run(&["/opt/swarm/bin/uses-libabi"]).status.success());

    builder.build(USER.0);
    builder.promoted(&[LIBC, USER, NEW], &[(1, 2)]).await;
    let merged = workstation.ok(&update);
    assert!(merged.contains("swarm-test/libabi-2"), "{merged}");
    assert!(workstation.run(&["/opt/swarm/bin/uses-libabi"]).status.success());
}
