//! From the start of a run to its plan in the queue, beside plain `emerge --pretend` of the same world in the same box, in
//! turns.
//!
//! | side | what it does | what is measured |
//! |---|---|---|
//! | swarm | clean root, Portage's depgraph with the waits, edges and findings, the plan to the orchestrator, ranks, the rows | *started* to *planned*, by Postgres's clock |
//! | pretend | `emerge --pretend --emptytree --with-bdeps=y` | emerge, by our clock |
//!
//! The repository has its metadata cache (`metadata/md5-cache`), as Gentoo's own has. Without one, Portage makes it: the
//! swarm anew in each clean root.

use crate::report;
use serde_json::json;
use std::time::Instant;
use swarm_protocol::admin::{NewRun, World};
use swarm_protocol::id::RunId;
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::wait;

const PAIRS: usize = 7;
const PRETEND: [&str; 6] =
    ["emerge", "--ignore-default-opts", "--color=n", "--pretend", "--emptytree", "--with-bdeps=y"];

pub(crate) async fn run() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let atoms: Vec<_> = machines::WORLD.split_whitespace().collect();
    let world = atoms.iter().map(|atom| atom.parse().unwrap()).collect();
    swarm.admin.set_world(&target(), &World { world, provided: machines::libc() }).await.unwrap();
    let repository = machines::repository(&swarm);
    let maker = Machine::up("maker", "base", &[format!("{}:/var/db/repos/swarm-box", repository.display())]);
    let _ = maker.ok(&["egencache", "--update", "--repo=swarm-box"]);
    let place = Place { repository: Some(&repository), ..Place::default() };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let (mut resolved, mut pretended) = (Vec::new(), Vec::new());
    let mut packages = 0;
    for pair in 0..=PAIRS {
        let (seconds, planned) = resolve(&swarm, &drone).await;
        let begun = Instant::now();
        let _ = drone.machine.ok(&[&PRETEND[..], &atoms].concat());
        // The first fills caches.
        if pair > 0 {
            resolved.push(seconds);
            pretended.push(begun.elapsed().as_secs_f64());
        }
        packages = planned;
    }
    let ratios: Vec<_> = resolved.iter().zip(&pretended).map(|(swarm, pretend)| swarm / pretend).collect();
    report::line(&json!({
        "name": "resolve", "packages": packages, "unit": "s", "n": PAIRS, "swarm": report::list(&resolved),
        "pretend": report::list(&pretended), "ratio": report::spread(&ratios),
    }));
}

/// Seconds from *started* to *planned*, and how many packages that gave; nothing is built.
async fn resolve(swarm: &Swarm, drone: &DroneMachine) -> (f64, i64) {
    let run = swarm.admin.start_run(&target(), &NewRun { epoch: None, plan: None }).await.unwrap().id;
    let seconds = wait::until(120, "the plan", async || planned_after(swarm, run).await).await;
    let planned = swarm.admin.cancel_run(run).await.unwrap().counts.total;
    // What it had begun to build is killed when it hears of that.
    let idle = async || (!drone.machine.run(&["pgrep", "-x", "emerge"]).status.success()).then_some(());
    wait::until(60, "the drone to stop building", idle).await;
    (seconds, planned)
}

async fn planned_after(swarm: &Swarm, run: RunId) -> Option<f64> {
    sqlx::query_scalar(
        "SELECT EXTRACT(EPOCH FROM planned.at - started.at)::float8 FROM events started JOIN events planned USING (run_id)
         WHERE run_id = $1 AND started.kind = 'run.started' AND planned.kind = 'run.planned'",
    )
    .bind(run.0)
    .fetch_optional(&swarm.database.pool)
    .await
    .unwrap()
}
