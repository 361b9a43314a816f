//! The steps inside a root, with Portage itself: needs the Gentoo box's base root (`tests/gentoo-box/setup`) and root.
//! Where there is none, these tests say so and pass: the end-to-end tests make one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper fails as a test does"
)]

use build_drone::artifact::Artifact;
use build_drone::build::{Build, Work, Workshop, distfiles};
use build_drone::cache::Cache;
use build_drone::config::Config;
use build_drone::epoch::Epochs;
use build_drone::link::Link;
use build_drone::live::{Cancelled, Live};
use build_drone::log::BuildLog;
use build_drone::root::{AttemptDir, Foundation, Launcher};
use build_drone::stop::Stop;
use build_drone::{index, vdb};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::{Claim, Dependency, Session};
use swarm_protocol::id::{AttemptId, AttemptToken, BuildId, PackageId, RunId, SessionId};
use swarm_protocol::state::{AttemptPhase, FailureClass};
use tokio::time::Instant;

const BASE: &str = "/var/cache/build-swarm/roots/base";
const MIRROR: &str = "/var/cache/build-swarm/distfiles";
const REPO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/gentoo-box/repo");

/// A workshop whose orchestrator is nowhere: the steps inside the root need none.
struct Bench {
    state: tempfile::TempDir,
    shop: Workshop,
}

impl Bench {
    fn new() -> Option<Self> {
        if !Path::new(BASE).join("etc/portage").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("no base root at {BASE}: nothing is tested");
            return None;
        }
        let state = tempfile::tempdir().unwrap();
        let repo = fs::canonicalize(REPO).unwrap();
        let text = format!(
            "name = 'bench'\norchestrator_url = 'http://127.0.0.1:1'\ntoken_file = '/nowhere'\n\
             base_root = '{BASE}'\nstate_dir = '{}'\n\
             [[bind]]\nsource = '{}'\ntarget = '/var/db/repos/swarm-box'\n\
             [[bind]]\nsource = '{MIRROR}'\ntarget = '/var/cache/swarm-mirror'\n",
            state.path().display(),
            repo.display(),
        );
        let file = state.path().join("drone.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file, |_| None).unwrap();
        fs::create_dir_all(distfiles(&config)).unwrap();
        let launcher = Launcher::of(Path::new(env!("CARGO_BIN_EXE_build-drone")));
        let session = Session {
            session: SessionId(1),
            name: "bench".to_owned(),
            heartbeat_seconds: 5,
            binhost_url: "http://127.0.0.1:1".to_owned(),
        };
        let shop = Workshop {
            epochs: Epochs::open(config.clone(), launcher.clone()).unwrap(),
            cache: Cache::open(&state.path().join("cache")).unwrap(),
            link: Link::new(config, DroneClient::new("http://127.0.0.1:1", None), session),
            launcher,
        };
        Some(Self { state, shop })
    }

    /// Runs all steps of a claim; the closure's files lie in `pool`, a PKGDIR with an index.
    async fn build(&self, claim: Claim, pool: &Path) -> (Result<Artifact, Stop>, String) {
        let live = Live::new(claim, SessionId(1));
        self.run(&live, pool, Duration::from_mins(5)).await
    }

    async fn run(&self, live: &Arc<Live>, pool: &Path, limit: Duration) -> (Result<Artifact, Stop>, String) {
        let identity = live.identity();
        let claim = &identity.claim;
        let attempts = self.state.path().join("attempts");
        let dir = AttemptDir::create(&attempts, &claim.attempt.to_string()).unwrap();
        let log = Arc::new(BuildLog::create(&dir.log(), 1 << 20).unwrap());
        live.attach_log(log.clone());
        provide(claim, pool, &dir);
        let build = Build { shop: &self.shop, live, dir: &dir, log: &log };
        let foundation = Foundation::own(&self.shop.link.config);
        let deadline = Instant::now() + limit;
        let work = Work { build: &build, claim, foundation: &foundation, deadline };
        let result = async {
            work.fetch().await?;
            work.install().await?;
            work.check().await?;
            work.compile().await
        };
        let result = result.await;
        if let Ok(artifact) = &result {
            let name = format!("{}/{}-{}.gpkg.tar", claim.cpv.cp(), claim.cpv.pf(), claim.build_id);
            fs::create_dir_all(pool.join(&name).parent().unwrap()).unwrap();
            fs::copy(&artifact.path, pool.join(&name)).unwrap();
            fs::copy(dir.packages().join("Packages"), pool.join("Packages")).unwrap();
        }
        let text = fs::read_to_string(dir.log()).unwrap();
        (result, text)
    }
}

/// Puts the closure and its index where the drone would have put them.
fn provide(claim: &Claim, pool: &Path, dir: &AttemptDir) {
    if claim.closure.is_empty() {
        return;
    }
    for dependency in &claim.closure {
        let target = dir.closure().join(&dependency.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(pool.join(&dependency.path), target).unwrap();
    }
    let staging = fs::read_to_string(pool.join("Packages")).unwrap();
    fs::write(dir.closure().join("Packages"), index::closure(&staging, &claim.closure).unwrap()).unwrap();
}

fn claim(cpv: &str, build_id: i32, closure: Vec<Dependency>) -> Claim {
    Claim {
        attempt: AttemptId(i64::from(build_id)),
        number: 1,
        token: AttemptToken::random(),
        phase: AttemptPhase::Held,
        run: RunId(1),
        package: PackageId(1),
        target: "box".parse().unwrap(),
        epoch: Digest::of(b""),
        cpv: cpv.parse().unwrap(),
        slot: "0".parse().unwrap(),
        repository: "swarm-box".parse().unwrap(),
        use_flags: Vec::new(),
        build_id: BuildId(build_id),
        closure,
        ticket: swarm_protocol::ticket::SignedTicket(String::new()),
        max_artifact_bytes: 1 << 30,
        limit_seconds: 300,
    }
}

fn dependency(cpv: &str, build_id: i32, artifact: &Artifact) -> Dependency {
    let cpv: swarm_protocol::gentoo::Cpv = cpv.parse().unwrap();
    Dependency {
        path: format!("{}/{}-{build_id}.gpkg.tar", cpv.cp(), cpv.pf()),
        build_id: BuildId(build_id),
        published: artifact.digest,
        size: artifact.size,
        cpv,
    }
}

fn failure(result: Result<Artifact, Stop>, log: &str) -> build_drone::failure::Failure {
    match result {
        Err(Stop::Failed(failure)) => *failure,
        other => panic!("{other:?}\n{log}"),
    }
}

/// zlib with a seeded BUILD_ID, then pigz that needs exactly that zlib.
#[tokio::test(flavor = "multi_thread")]
async fn a_library_and_a_program_on_it() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (zlib, log) = bench.build(claim("sys-libs/zlib-1.2.13", 42, vec![]), pool.path()).await;
    let zlib = zlib.unwrap_or_else(|error| panic!("{error:?}\n{log}"));
    let closure = vec![dependency("sys-libs/zlib-1.2.13", 42, &zlib)];
    let (pigz, log) = bench.build(claim("app-arch/pigz-2.8", 1, closure), pool.path()).await;
    let pigz = pigz.unwrap_or_else(|error| panic!("{error:?}\n{log}"));
    assert!(pigz.path.ends_with("app-arch/pigz/pigz-2.8-1.gpkg.tar"));
    if std::env::var_os("SHOW_LOG").is_some() {
        println!("{log}");
    }
    let index = fs::read_to_string(pool.path().join("Packages")).unwrap();
    assert!(index.contains("REQUIRES: "), "scanelf did its work:\n{index}");
}

/// Without its dependency in the closure, a package is not built: the drone and the plan are out of step.
#[tokio::test(flavor = "multi_thread")]
async fn a_closure_that_lacks_something_is_an_epoch_failure() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("app-arch/pigz-2.8", 1, vec![]), pool.path()).await;
    let failure = failure(result, &log);
    assert_eq!(failure.class, FailureClass::Epoch, "{log}");
    assert!(failure.reason.contains("zlib"), "{}", failure.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let (result, log) = bench.build(claim("swarm-test/fails-1", 1, vec![]), pool.path()).await;
    let fails = failure(result, &log);
    assert_eq!(fails.class, FailureClass::Package, "{log}");
    assert!(fails.excerpt.contains("fails on purpose"), "{}", fails.excerpt);
    let (result, log) = bench.build(claim("swarm-test/absent-1", 2, vec![]), pool.path()).await;
    assert_eq!(failure(result, &log).class, FailureClass::Epoch, "{log}");
}

/// A build that is killed, by its limit or by a revocation, leaves no process and no mount.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let pool = tempfile::tempdir().unwrap();
    let slow = Live::new(claim("swarm-test/slow-1", 3, vec![]), SessionId(1));
    let cancel = async {
        // The log says when it compiles; nothing else is known to change then.
        while slow.held().phase.is_none_or(|phase| phase != "building") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = slow.held().progress;
        while slow.held().progress <= before + 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slow.cancel(Cancelled::Revoked);
    };
    let ((result, log), ()) = tokio::join!(bench.run(&slow, pool.path(), Duration::from_mins(5)), cancel);
    assert!(matches!(result, Err(Stop::Cancelled)), "{result:?}\n{log}");
    let limited = Live::new(claim("swarm-test/slow-1", 4, vec![]), SessionId(1));
    let (result, log) = bench.run(&limited, pool.path(), Duration::from_secs(8)).await;
    assert_eq!(failure(result, &log).class, FailureClass::Resources, "{log}");
    let state = bench.state.path().to_str().unwrap();
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(state));
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!line.contains(state), "{line}");
    }
    assert!(vdb::installed(&bench.state.path().join("attempts"), Path::new(BASE)).unwrap().is_empty());
}
