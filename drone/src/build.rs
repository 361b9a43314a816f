//! From a claim to an artifact on this drone's disk, stage by stage (PORTAGE.md 3 and 5).
//!
//! 1. *preparing*: the drone's epoch is still the claim's;
//! 2. *collecting*: the closure's binaries and their index ([`crate::closure`]);
//! 3. *fetching*: source archives ([`crate::sources`]);
//! 4. *waiting*: until no other build is at work; then the report *start* (held → building) must be accepted: from here
//!    on nobody can steal the package;
//! 5. *installing*: the closure. PKGDIR has an index of exactly that, and `--usepkgonly` compiles nothing, so no `--pretend`
//!    goes before (PORTAGE.md 3 wants one where a binhost is asked); what came of it is seen in the next step;
//! 6. *checking*: the root's VDB is the plan, and Portage finds nothing missing;
//! 7. *building*: the package alone, numbered by the claim, without a network unless it says that it needs one; then
//!    exactly one artifact must exist.

use crate::artifact::{self, Artifact, NoArtifact};
use crate::cache::Cache;
use crate::closure;
use crate::declared;
use crate::emerge::{self, Network, Step, Terms};
use crate::epoch::Epochs;
use crate::failure::{Ending, Failure, classify};
use crate::host;
use crate::index;
use crate::link::Link;
use crate::live::Live;
use crate::log::BuildLog;
use crate::offers::Offers;
use crate::phases::Follower;
use crate::pretend;
use crate::reduced;
use crate::report::report;
use crate::root::process::Watch;
use crate::root::{AttemptDir, Command, End, Foundation, Guard, Launcher, Mount};
use crate::sources::{self, Collect};
use crate::stage::Stage;
use crate::stop::Stop;
use crate::vdb;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::distfile::Blake2b;
use swarm_protocol::drone::{Claim, Dependency, Start};
use swarm_protocol::state::FailureClass;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// What all builds of a drone share.
pub struct Workshop {
    /// The link to the orchestrator.
    pub link: Arc<Link>,
    /// Enters roots.
    pub launcher: Launcher,
    /// Knows the drone's epoch.
    pub epochs: Epochs,
    /// Dependency binaries.
    pub cache: Cache<Digest>,
    /// Source archives.
    pub archives: Cache<Blake2b>,
    /// What of these the binhost is given.
    pub offers: Offers,
    /// One build at a time: what is held ahead waits for it.
    pub slot: Semaphore,
}

/// One build.
pub struct Build<'a> {
    /// The workshop.
    pub shop: &'a Workshop,
    /// The attempt.
    pub live: &'a Live,
    /// Its directories.
    pub dir: &'a AttemptDir,
    /// Its log.
    pub log: &'a Arc<BuildLog>,
    /// What it may use, and what it has used.
    pub guard: &'a Guard,
}

/// Output of a `--pretend` that is read; the longest list is far shorter.
const LIST_BYTES: usize = 8 << 20;

impl Build<'_> {
    /// Builds the claim.
    pub async fn run(&self) -> Result<Artifact, Stop> {
        let claim = self.live.identity().claim.clone();
        self.live.enter(Stage::Preparing);
        let foundation = check_epoch(&self.shop.epochs, claim.epoch).await?;
        self.live.enter(Stage::Collecting);
        let (link, cache) = (&self.shop.link, &self.shop.cache);
        closure::collect(link, self.live, cache, &self.dir.closure(), self.log).await?;
        if foundation.is_live() && !claim.reduced.is_empty() {
            let reason = "an early stage changes USE in /etc/portage, which this drone, building on the live system, does not";
            return Err(Failure::new(FailureClass::Epoch, reason).into());
        }
        let package_use = foundation.portage_dir().join("package.use");
        reduced::write(&self.dir.upper(), &package_use, &claim.reduced)?;
        let seconds =
            self.guard.limits().seconds.map_or(claim.limit_seconds, |own| own.min(claim.limit_seconds));
        let mut work =
            Work { build: self, claim: &claim, foundation: &foundation, deadline: deadline(seconds) };
        work.fetch().await?;
        let _slot = self.start().await?;
        work.deadline = deadline(seconds);
        work.install().await?;
        work.check().await?;
        let artifact = work.compile().await?;
        // A repository that was synced while we compiled may have given some of its new files.
        check_epoch(&self.shop.epochs, claim.epoch).await?;
        Ok(artifact)
    }
}

impl<'a> Build<'a> {
    /// Waits until no other build is at work, and reports the start. The slot is this build's until it is dropped.
    async fn start(&self) -> Result<SemaphorePermit<'a>, Stop> {
        self.live.enter(Stage::Waiting);
        let slot = if let Ok(slot) = self.shop.slot.try_acquire() {
            slot
        } else {
            let slot = tokio::select! {
                () = self.live.token().cancelled() => return Err(Stop::Cancelled),
                slot = self.shop.slot.acquire() => slot.map_err(|_| Stop::Cancelled)?,
            };
            // Hours may have passed.
            check_epoch(&self.shop.epochs, self.live.identity().claim.epoch).await?;
            slot
        };
        let started = report(&self.shop.link, self.live, |client, identity| async move {
            client.start(identity.claim.attempt, &Start { fence: identity.fence() }).await
        });
        started.await?;
        Ok(slot)
    }
}

/// What the roots of an epoch stand on. Fails when the drone does not, or no longer, hold it.
pub async fn check_epoch(epochs: &Epochs, asked: Digest) -> Result<Foundation, Stop> {
    epochs.foundation(asked).await?.ok_or_else(|| {
        Failure::new(FailureClass::Epoch, format!("the drone does not hold the epoch {asked}")).into()
    })
}

/// When work that may take `limit_seconds` is killed.
#[must_use]
pub fn deadline(limit_seconds: u64) -> Instant {
    // A limit beyond a century is none.
    Instant::now() + Duration::from_secs(limit_seconds.min(100 * 365 * 86400))
}

/// The steps inside the root.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The build.
    pub build: &'a Build<'a>,
    /// Its claim as it was at the beginning: a regained one builds the same.
    pub claim: &'a Claim,
    /// What its root stands on.
    pub foundation: &'a Foundation,
    /// When it is killed.
    pub deadline: Instant,
}

impl Work<'_> {
    /// Brings the source archives: from the swarm what it has, the others from upstream.
    pub async fn fetch(&self) -> Result<(), Stop> {
        let Build { shop, live, dir, log, .. } = self.build;
        let sources = match self.emerge(Stage::Fetching, Step::Sources).await {
            Ok(said) => sources::read(&said),
            Err(Stop::Failed(failure)) => Err(failure.reason),
            Err(stop) => return Err(stop),
        };
        let sources = match sources {
            Ok(sources) => sources,
            Err(reason) => {
                // emerge may know better, and says it better if it does not.
                log.note(&format!("which source archives there are is not known: {reason}"));
                return self.emerge(Stage::Fetching, Step::Fetch).await.map(drop);
            }
        };
        let collect = Collect { shop, live, distdir: &dir.distfiles(), log };
        let missing = collect.known(&sources).await?;
        if !missing.is_empty() || sources.live {
            self.emerge(Stage::Fetching, Step::Fetch).await?;
        }
        collect.offer(&missing).await
    }

    /// Installs the closure, if there is one.
    pub async fn install(&self) -> Result<(), Stop> {
        let closure = if self.foundation.is_live() { self.absent()? } else { self.claim.closure.clone() };
        if closure.is_empty() {
            return Ok(());
        }
        let claim = Claim { closure, ..self.claim.clone() };
        Work { claim: &claim, ..*self }.emerge(Stage::Installing, Step::Install).await.map(drop)
    }

    /// What the live system lacks of the closure.
    fn absent(&self) -> Result<Vec<Dependency>, Stop> {
        if self.claim.closure.is_empty() {
            return Ok(Vec::new());
        }
        let packages = std::fs::read_to_string(self.build.dir.closure().join("Packages"))?;
        Ok(host::absent(&self.claim.closure, &packages, self.foundation.base_root()))
    }

    /// Compares the root with the plan, and asks Portage.
    pub async fn check(&self) -> Result<(), Stop> {
        let (upper, base) = (self.build.dir.upper(), self.foundation.installed());
        let (differences, filled) = if self.foundation.is_live() {
            let absent = self.absent()?;
            (absent.iter().map(|one| format!("{} is not installed as planned", one.cpv)).collect(), base)
        } else {
            (vdb::differences(&self.claim.closure, &vdb::installed(&upper, base)?), upper.as_path())
        };
        self.agree("the root is not as planned", &differences)?;
        let list = self.emerge(Stage::Checking, Step::Check).await?;
        let post = vdb::post_dependencies(filled)?;
        let missing = pretend::missing(&pretend::entries(&list), self.claim, &post);
        self.agree("Portage would install more than was planned", &missing)
    }

    /// Compiles and packs.
    pub async fn compile(&self) -> Result<Artifact, Stop> {
        let pkgdir = self.build.dir.packages();
        if let Some(stub) = index::stub(&self.claim.cpv, self.claim.build_id) {
            tokio::fs::write(pkgdir.join("Packages"), stub).await?;
        }
        let mark = self.build.log.seen();
        self.emerge(Stage::Building, Step::Build).await?;
        let claim = self.claim.clone();
        let found = tokio::task::spawn_blocking(move || artifact::find(&pkgdir, &claim)).await?;
        found.map_err(|error| match error {
            NoArtifact::Other { .. } => {
                let mut failure =
                    classify(Stage::Building, Ending::Exit(0), &self.build.log.tail_since(mark), true);
                failure.reason = format!("{}: {error}", failure.reason);
                failure.into()
            }
            NoArtifact::TooLarge { .. } => Failure::new(FailureClass::Package, error.to_string()).into(),
            NoArtifact::Unreadable(_) => Failure::new(FailureClass::Infrastructure, error.to_string()).into(),
        })
    }

    fn agree(&self, what: &str, differences: &[String]) -> Result<(), Stop> {
        if differences.is_empty() {
            return Ok(());
        }
        self.build.log.note(&format!("{what}:\n{}", differences.join("\n")));
        let reason = format!("{what}: {}", differences.join("; "));
        Err(Failure { excerpt: differences.join("\n"), ..Failure::new(FailureClass::Epoch, reason) }.into())
    }

    /// Runs emerge and returns its output; anything but exit status 0 is a failure.
    async fn emerge(&self, stage: Stage, step: Step) -> Result<String, Stop> {
        let Build { shop, live, dir, log, guard } = self.build;
        if live.stage() != stage {
            live.enter(stage);
        }
        let config = &shop.link.config;
        let terms = Terms {
            jobs: (guard.limits().jobs(config.jobs(guard.limits().cores)) >> self.claim.halvings.min(15))
                .max(1),
            network: self.network(step),
            ccache_bytes: config.ccache.map(|ccache| ccache.max_bytes),
        };
        let mounts = self.mounts(step)?;
        let mut call = emerge::invocation(step, self.claim, terms);
        if self.foundation.is_live() {
            call = host::on_live_system(call, &mounts, &dir.upper());
        }
        log.note(&emerge::shown(&call));
        let mark = log.seen();
        let mut text = Vec::new();
        let mut follower = Follower::default();
        let mut output = |bytes: &[u8]| {
            log.write(bytes);
            if step == Step::Build
                && let Some(phase) = follower.see(bytes, Instant::now())
            {
                live.enter_phase(Some(phase));
            }
            let room = LIST_BYTES.saturating_sub(text.len());
            text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        let watch = Watch {
            output: &mut output,
            started: &mut |id| live.set_process(id),
            guard: Some(guard),
            deadline: self.deadline,
            cancel: live.token(),
        };
        let command = Command { argv: call.argv, environment: call.environment, network: call.network };
        let name = format!("{step:?}").to_lowercase();
        let begun = Instant::now();
        let end = shop.launcher.run(self.foundation, dir, &name, mounts, &command, watch).await;
        guard.took(step, begun.elapsed());
        if step == Step::Build {
            guard.phases_took(follower.end(Instant::now()));
        }
        live.set_process(0);
        let ending = match end? {
            End::Exit(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            end => Ending::of(end).ok_or(Stop::Cancelled)?,
        };
        Err(classify(stage, ending, &log.tail_since(mark), call.network).into())
    }

    fn network(&self, step: Step) -> Network {
        let Build { dir, guard, .. } = self.build;
        match step {
            Step::Build if guard.limits().network => Network::All,
            Step::Build if declared::wants_network(self.foundation, &dir.upper(), self.claim) => {
                Network::Declared
            }
            _ => Network::None,
        }
    }

    /// The host's directories in the root. Each step may write where it must: the fetch into the source archives, the build
    /// into PKGDIR and the target's ccache.
    fn mounts(&self, step: Step) -> std::io::Result<Vec<Mount>> {
        let dir = self.build.dir;
        let mount =
            |source: PathBuf, target: &str, read_only| Mount { source, target: target.into(), read_only };
        let mut mounts = self.foundation.mounts().to_vec();
        mounts.push(mount(dir.distfiles(), emerge::DIST_DIR, step != Step::Fetch));
        mounts.push(mount(dir.closure(), emerge::CLOSURE_DIR, true));
        mounts.push(mount(dir.packages(), emerge::PACKAGE_DIR, step != Step::Build));
        let config = &self.build.shop.link.config;
        if config.ccache.is_some() && step == Step::Build {
            let ccache = config.ccache_dir(&self.claim.target);
            std::fs::create_dir_all(&ccache)?;
            mounts.push(mount(ccache, emerge::CCACHE_DIR, false));
        }
        Ok(mounts)
    }
}
