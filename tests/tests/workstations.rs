//! Workstations that have something else installed than the world resolves to from nothing, on real Portage: what they need
//! is in the first generation, and one that cannot be brought to a generation holds it up by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::admin::Run;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::RunState;
use swarm_tests::definitions::{configuration, push_from, snapshot};
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{cache, checker, wait};

const EITHER: &str = "|| ( swarm-test/left swarm-test/right )";
const OTHER: &str = "|| ( swarm-test/right swarm-test/kept )";

/// Writes `swarm-test/NAME-VERSION`.
fn ebuild(repository: &Path, name: &str, version: &str, rdepend: &str) {
    let dir = repository.join("swarm-test").join(name);
    fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "EAPI=8\nDESCRIPTION=\"test\"\nHOMEPAGE=\"https://example.org\"\nS=\"${{WORKDIR}}\"\n\
         LICENSE=\"public-domain\"\nSLOT=\"0\"\nKEYWORDS=\"amd64\"\nRDEPEND=\"{rdepend}\"\n"
    );
    fs::write(dir.join(format!("{name}-{version}.ebuild")), text).unwrap();
}

/// The database of installed packages of a box's workstation, and these of `swarm-test` beside: PF and RDEPEND.
fn installed(swarm: &Swarm, name: &str, packages: &[(&str, &str)]) -> PathBuf {
    let (own, vdb) = (cache().join("roots/workstation/var/db/pkg"), swarm.path().join(name));
    assert!(Command::new("cp").arg("-r").args([&own, &vdb]).status().unwrap().success());
    for (pf, rdepend) in packages {
        let entry = vdb.join("swarm-test").join(pf);
        fs::create_dir_all(&entry).unwrap();
        for (field, value) in [
            ("CATEGORY", "swarm-test"),
            ("EAPI", "8"),
            ("KEYWORDS", "amd64"),
            ("PF", pf),
            ("RDEPEND", rdepend),
            ("SLOT", "0"),
            ("repository", "swarm-box"),
        ] {
            fs::write(entry.join(field), format!("{value}\n")).unwrap();
        }
    }
    vdb
}

async fn over(swarm: &Swarm) -> Run {
    let run = swarm.unresolved_run().await;
    wait::until(300, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workstations_have_decides_what_is_built_and_what_passes() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = machines::repository(&swarm);
    ebuild(&repository, "either", "1", EITHER);
    ebuild(&repository, "left", "1", "");
    ebuild(&repository, "right", "2", "");
    let files = configuration(swarm.path().join("files"), "");
    let tree = snapshot(&swarm, &repository).await;
    // Its choice was the other side, of which there is a newer version; from nothing, nobody would want that.
    let desk = installed(&swarm, "desk-vdb", &[("either-1", EITHER), ("right-1", "")]);
    push_from(&swarm, &target(), "desk", (&files, &tree), "swarm-test/either\n", Some(&desk)).await;
    let _drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let first = over(&swarm).await;
    assert_eq!((first.id.0, first.state), (1, RunState::Promoted), "{first:#?}");
    let packages = swarm.admin.packages(first.id).await.unwrap();
    let names: Vec<_> = packages.iter().map(|package| package.cpv.to_string()).collect();
    for wanted in ["swarm-test/either-1", "swarm-test/left-1", "swarm-test/right-2"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted}: {names:?}");
    }

    // Another one's choice has left the tree, and holds back an update that the world wants: Portage would be silent.
    ebuild(&repository, "left", "2", "");
    ebuild(&repository, "other", "1", OTHER);
    let tree = snapshot(&swarm, &repository).await;
    let packages = [("other-1", OTHER), ("kept-1", "=swarm-test/left-1"), ("left-1", "")];
    let attic = installed(&swarm, "attic-vdb", &packages);
    push_from(
        &swarm,
        &target(),
        "attic",
        (&files, &tree),
        "swarm-test/other\nswarm-test/left\n",
        Some(&attic),
    )
    .await;
    let second = over(&swarm).await;
    assert_eq!(second.state, RunState::Failed, "{second:#?}");
    let complaining: Vec<_> = second.findings.iter().map(|finding| finding.workstation.as_deref()).collect();
    assert!(complaining.iter().all(|name| *name == Some("attic")), "{second:#?}");
    assert!(
        second
            .findings
            .iter()
            .any(|finding| finding.kind == FindingKind::NotUpdated
                && finding.detail.contains("swarm-test/left-2")),
        "{second:#?}"
    );
    assert!(second.reason.unwrap().contains("attic"));

    // Without it, the same set passes.
    swarm.admin.forget_workstation(&target(), &"attic".parse().unwrap()).await.unwrap();
    let third = over(&swarm).await;
    assert_eq!((third.state, third.generation.unwrap().0 > 1), (RunState::Promoted, true), "{third:#?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
