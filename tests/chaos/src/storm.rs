//! One seed: a world, its storm, its recovery, and the verdict.

use crate::act::acts;
use crate::fault::{Fault, STORM, schedule};
use crate::verdict;
use crate::work::work;
use crate::world::{DRONES, World};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};
use swarm_protocol::admin::{NewRun, Package};
use swarm_protocol::client::AdminClient;
use swarm_protocol::id::RunId;
use swarm_protocol::state::{PackageState, RunState};
use swarm_tests::checker;
use swarm_tests::plans;
use swarm_tests::swarm::target;

/// How long a swarm may take to recover, in seconds. A call that was cut off is given up after 30.
const RECOVERY: u64 = 180;

/// What became of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What went wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// How often each kind of event came.
    pub events: BTreeMap<String, usize>,
    /// From the end of the storm to a promoted run.
    pub recovery: Duration,
    /// What the swarm did that it must never do.
    pub violations: Vec<String>,
}

/// Lives through one seed, in a thread of its own, with all files in a new directory that is removed unless `keep` says
/// otherwise. What contradicts the event log is a panic.
pub fn weather(seed: u64, keep: bool) -> std::thread::Result<Report> {
    let mut directory = tempfile::Builder::new().prefix("swarm-chaos.").tempdir().unwrap();
    directory.disable_cleanup(keep);
    let path = directory.path().to_owned();
    // Postgres has an account of its own.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let world = std::thread::Builder::new().name(format!("seed {seed} in {}", path.display()));
    let thread = world.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(seed, &path))
    });
    thread.expect("a thread").join()
}

async fn live(seed: u64, path: &Path) -> Report {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let faults = schedule(&mut dice, DRONES);
    let work = work(&mut dice);
    let mut world = World::start(path, seed, &mut dice, &work.bad).await;
    File::create(world.spoilt()).unwrap();
    let new = NewRun { epoch: Some(plans::epoch()), plan: Some(work.plan) };
    let run = world.admin.start_run(&target(), &new).await.unwrap().id;
    world.heal().await;
    let begun = Instant::now();
    for (at, act) in acts(&faults) {
        while begun.elapsed() < at {
            world.supervise().await;
            tokio::time::sleep(at.saturating_sub(begun.elapsed()).min(Duration::from_millis(200))).await;
        }
        world.act(&act).await;
    }
    tokio::time::sleep(STORM.saturating_sub(begun.elapsed())).await;
    world.heal().await;
    let healed = Instant::now();
    let explained = world.until(RECOVERY, "every package to be received or explained", async |admin| {
        let packages = admin.packages(run).await.ok()?;
        packages.iter().all(settled).then_some(packages)
    });
    let explained = explained.await;
    // A person reads the reasons, mends what was broken, and says so.
    fs::remove_file(world.spoilt()).unwrap();
    world
        .until(RECOVERY, "the run to be promoted", async |admin| {
            let run = admin.run(run).await.ok()?;
            if run.state == RunState::Promoted {
                return Some(());
            }
            help(admin, run.id).await;
            None
        })
        .await;
    let recovery = healed.elapsed();
    let events = checker::check(&world.admin, &world.pool).await;
    let packages = world.admin.packages(run).await.unwrap();
    let mut violations = verdict::violations(&world, &events, &packages).await;
    violations.extend(
        explained
            .iter()
            .filter(|package| !has_reason(package))
            .map(|package| format!("{} is {} without a reason", package.cpv, package.state)),
    );
    let mut kinds = BTreeMap::new();
    for event in events {
        *kinds.entry(event.kind).or_default() += 1;
    }
    Report { seed, faults, events: kinds, recovery, violations }
}

/// Nothing more will happen to it by itself.
fn settled(package: &Package) -> bool {
    use PackageState::{Blocked, Quarantined, Received};
    matches!(package.state, Received | Quarantined | Blocked)
}

fn has_reason(package: &Package) -> bool {
    package.state == PackageState::Received || package.reason.is_some()
}

/// Lets a frozen run go on, and everything quarantined be tried again.
async fn help(admin: &AdminClient, run: RunId) {
    // Nothing to be thawed is no matter.
    let _ = admin.thaw_run(run).await;
    let Ok(packages) = admin.packages(run).await else { return };
    for package in packages.iter().filter(|package| package.state == PackageState::Quarantined) {
        let _ = admin.release(package.id).await;
    }
}
