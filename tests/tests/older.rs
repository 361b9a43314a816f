//! Everything with an older Portage, as machines have it that are not updated every week: 3.0.66 resolves, builds, judges
//! and installs. What it lacks (`observability`, the report on cycles as JSON, much of the metadata) nothing depends on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use swarm_protocol::admin::{Run, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

const WORLD: &str = "app-arch/pigz\nswarm-test/cyc-b\nswarm-test/uses-libsub\n";
const UPDATE: [&str; 8] =
    ["emerge", "--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];

/// What becomes of a run with this world.
async fn run(swarm: &Swarm, world: &str) -> Run {
    let world = world.split_whitespace().map(|atom| atom.parse().unwrap()).collect();
    swarm.admin.set_world(&target(), &World { world, provided: Provided::default() }).await.unwrap();
    let run = swarm.unresolved_run().await;
    wait::until(900, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await
}

fn version(machine: &Machine, root: &str) -> String {
    let modules = format!("PYTHONPATH={root}/usr/lib/python3/dist-packages");
    machine.ok(&[&modules, "python3", "-c", "import portage; print(portage.VERSION)"]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_portage_resolves_builds_judges_and_installs() {
    let swarm = machines::reachable_swarm(Settings { gate: "smoke = true\n", ..Settings::default() }).await;
    let drone = DroneMachine::start_at(&swarm, "ant", Place { older: true, ..Place::default() }).await;
    let workstation = Machine::older("workstation", "workstation", &[]);
    for (machine, root) in [(&drone.machine, ""), (&drone.machine, "/var/lib/swarm-base"), (&workstation, "")]
    {
        assert_eq!(version(machine, root), "3.0.66", "in {root}/");
    }
    let first = run(&swarm, WORLD).await;
    assert_eq!(first.state, RunState::Promoted, "{first:#?}");
    let stages =
        swarm.admin.packages(first.id).await.unwrap().into_iter().filter(|package| package.stage > 0);
    assert!(stages.count() > 0, "the cycle was built in stages");

    workstation.trust(&swarm.binhost_url(), &target());
    fs::write(workstation.root().join("var/lib/portage/world"), WORLD).unwrap();
    let merged = workstation.ok(&UPDATE);
    assert!(merged.contains("app-arch/pigz-2.8") && !merged.contains("[ebuild"), "{merged}");
    let round_trip = "echo hello | /opt/swarm/bin/pigz | /opt/swarm/bin/pigz -d";
    assert_eq!(workstation.ok(&["sh", "-c", round_trip]), "hello\n");
    assert!(!workstation.ok(&UPDATE).contains("[binary"), "what is installed is what the generation has");

    // What is unchanged is kept: Portage accepts the binaries, and the build keys are the same.
    let second = run(&swarm, &format!("{WORLD}swarm-test/trivial\n")).await;
    assert_eq!(
        (second.state, second.counts.kept + 1),
        (RunState::Promoted, second.counts.total),
        "{second:#?}"
    );

    // A refusal is understood: which atom, and who wants it.
    let refused = run(&swarm, "swarm-test/unsatisfied\n").await;
    assert_eq!(refused.state, RunState::Failed, "{refused:#?}");
    assert_eq!(refused.findings[0].kind, FindingKind::Unsatisfied, "{refused:#?}");
    assert_eq!(refused.findings[0].wanted_by, ["swarm-test/unsatisfied-1", "@world"]);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
