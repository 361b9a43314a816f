//! A workshop whose orchestrator is nowhere: the steps inside the root need none. It needs the Gentoo box's base root
//! (`tests/gentoo-box/setup`) and root; where there is none, it says so.
#![allow(dead_code, reason = "no test crate needs all of it")]

use build_drone::artifact::Artifact;
use build_drone::build::{Build, Work, Workshop};
use build_drone::cache::Cache;
use build_drone::config::Config;
use build_drone::epoch::Epochs;
use build_drone::link::Link;
use build_drone::live::Live;
use build_drone::log::BuildLog;
use build_drone::root::{AttemptDir, Foundation, Guard, Launcher};
use build_drone::stop::Stop;
use build_drone::{index, vdb};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::{Claim, Dependency, Session, Usage};
use swarm_protocol::id::{AttemptId, AttemptToken, BuildId, PackageId, RunId, SessionId};
use swarm_protocol::state::AttemptPhase;
use tokio::time::Instant;

/// The base root.
pub(crate) const BASE: &str = "/var/cache/build-swarm/roots/base";
const MIRROR: &str = "/var/cache/build-swarm/distfiles";
/// The ebuild repository.
pub(crate) const REPO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/gentoo-box/repo");

/// The workshop.
pub(crate) struct Bench {
    pub(crate) state: tempfile::TempDir,
    shop: Workshop,
    usage: std::sync::Mutex<Option<Usage>>,
}

impl Bench {
    pub(crate) fn new() -> Option<Self> {
        Self::with("")
    }

    /// One whose configuration says `more`.
    pub(crate) fn with(more: &str) -> Option<Self> {
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
             [[bind]]\nsource = '{MIRROR}'\ntarget = '/var/cache/swarm-mirror'\n{more}",
            state.path().display(),
            repo.display(),
        );
        let file = state.path().join("drone.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file, |_| None).unwrap();
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
            archives: Cache::open(&state.path().join("distfiles")).unwrap(),
            offers: build_drone::offers::channel().0,
            slot: tokio::sync::Semaphore::new(1),
            link: Link::new(config, DroneClient::new("http://127.0.0.1:1", None), session),
            launcher,
        };
        Some(Self { state, shop, usage: std::sync::Mutex::default() })
    }

    /// Runs all steps of a claim; the closure's files lie in `pool`, a PKGDIR with an index.
    pub(crate) async fn build(&self, claim: Claim, pool: &Path) -> (Result<Artifact, Stop>, String) {
        let live = Live::new(claim, SessionId(1));
        self.run(&live, pool, Duration::from_mins(5)).await
    }

    pub(crate) async fn run(
        &self,
        live: &Arc<Live>,
        pool: &Path,
        limit: Duration,
    ) -> (Result<Artifact, Stop>, String) {
        let identity = live.identity();
        let claim = &identity.claim;
        let attempts = self.state.path().join("attempts");
        let dir = AttemptDir::create(&attempts, &claim.attempt.to_string()).unwrap();
        let log = Arc::new(BuildLog::create(&dir.log(), 1 << 20).unwrap());
        live.attach_log(log.clone());
        provide(claim, pool, &dir);
        let guard = Guard::new(self.shop.link.config.limits(&claim.target, &claim.cpv));
        let build = Build { shop: &self.shop, live, dir: &dir, log: &log, guard: &guard };
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
        *self.usage.lock().unwrap() = guard.usage();
        if let Ok(artifact) = &result {
            let name = format!("{}/{}-{}.gpkg.tar", claim.cpv.cp(), claim.cpv.pf(), claim.build_id);
            fs::create_dir_all(pool.join(&name).parent().unwrap()).unwrap();
            fs::copy(&artifact.path, pool.join(&name)).unwrap();
            fs::copy(dir.packages().join("Packages"), pool.join("Packages")).unwrap();
        }
        let text = fs::read_to_string(dir.log()).unwrap();
        (result, text)
    }

    /// What the last build used.
    pub(crate) fn usage(&self) -> Usage {
        self.usage.lock().unwrap().unwrap()
    }

    /// No process, no mount, no file of any attempt is there.
    pub(crate) fn nothing_is_left(&self) {
        let state = self.state.path().to_str().unwrap();
        assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(state));
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            assert!(!line.contains(state), "{line}");
        }
        assert!(vdb::installed(&self.state.path().join("attempts"), Path::new(BASE)).unwrap().is_empty());
        assert_eq!(fs::read_dir(self.state.path().join("attempts")).unwrap().count(), 0);
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

/// A claim for a package of the box.
pub(crate) fn claim(cpv: &str, build_id: i32, closure: Vec<Dependency>) -> Claim {
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
        stage: 0,
        reduced: vec![],
        halvings: 0,
        ticket: swarm_protocol::ticket::SignedTicket(String::new()),
        distfiles: swarm_protocol::ticket::SignedTicket(String::new()),
        max_artifact_bytes: 1 << 30,
        limit_seconds: 300,
    }
}

/// The failure that was expected.
pub(crate) fn failure(result: Result<Artifact, Stop>, log: &str) -> build_drone::failure::Failure {
    match result {
        Err(Stop::Failed(failure)) => *failure,
        other => panic!("{other:?}\n{log}"),
    }
}
