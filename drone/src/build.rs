//! From a claim to an artifact on this drone's disk, stage by stage (PORTAGE.md 3 and 5).
//!
//! 1. *preparing*: the drone's epoch is still the claim's;
//! 2. *collecting*: the closure's binaries and their index ([`crate::closure`]);
//! 3. the report *start* (held → building) must be accepted: from here on nobody can steal the package;
//! 4. *fetching*: source archives, with a network;
//! 5. *installing*: the closure, after a preview that lists exactly it;
//! 6. *checking*: the root's VDB is the plan, and Portage finds nothing missing;
//! 7. *building*: the package alone, numbered by the claim, without a network unless it says that it needs one; then
//!    exactly one artifact must exist.

use crate::artifact::{self, Artifact, NoArtifact};
use crate::cache::Cache;
use crate::closure;
use crate::declared;
use crate::emerge::{self, Network, Step};
use crate::epoch::Epochs;
use crate::failure::{Ending, Failure, classify};
use crate::index;
use crate::link::Link;
use crate::live::Live;
use crate::log::BuildLog;
use crate::pretend;
use crate::reduced;
use crate::report::report;
use crate::root::process::Watch;
use crate::root::{AttemptDir, Command, End, Foundation, Guard, Launcher, Mount};
use crate::stage::Stage;
use crate::stop::Stop;
use crate::vdb;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::drone::{Claim, Start};
use swarm_protocol::state::FailureClass;
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
    pub cache: Cache,
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
        let started = report(link, self.live, |client, identity| async move {
            client.start(identity.claim.attempt, &Start { fence: identity.fence() }).await
        });
        started.await?;
        let package_use = foundation.portage_dir().join("package.use");
        reduced::write(&self.dir.upper(), &package_use, &claim.reduced)?;
        let seconds =
            self.guard.limits().seconds.map_or(claim.limit_seconds, |own| own.min(claim.limit_seconds));
        let work = Work { build: self, claim: &claim, foundation: &foundation, deadline: deadline(seconds) };
        work.fetch().await?;
        work.install().await?;
        work.check().await?;
        let artifact = work.compile().await?;
        // A repository that was synced while we compiled may have given some of its new files.
        check_epoch(&self.shop.epochs, claim.epoch).await?;
        Ok(artifact)
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
    /// Brings the source archives.
    pub async fn fetch(&self) -> Result<(), Stop> {
        self.emerge(Stage::Fetching, Step::Fetch).await.map(drop)
    }

    /// Installs the closure, if there is one.
    pub async fn install(&self) -> Result<(), Stop> {
        if self.claim.closure.is_empty() {
            return Ok(());
        }
        let list = self.emerge(Stage::Installing, Step::Preview).await?;
        let differences = pretend::not_the_closure(&pretend::entries(&list), &self.claim.closure);
        self.agree("emerge would not install exactly the closure", &differences)?;
        self.emerge(Stage::Installing, Step::Install).await.map(drop)
    }

    /// Compares the root with the plan, and asks Portage.
    pub async fn check(&self) -> Result<(), Stop> {
        let upper = self.build.dir.upper();
        let installed = vdb::installed(&upper, self.foundation.base_root())?;
        self.agree("the root is not as planned", &vdb::differences(&self.claim.closure, &installed))?;
        let list = self.emerge(Stage::Checking, Step::Check).await?;
        let post = vdb::post_dependencies(&upper)?;
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
        let network = self.network(step);
        let jobs = (config.jobs(guard.limits().cores) >> self.claim.halvings.min(15)).max(1);
        let call = emerge::invocation(step, self.claim, jobs, network);
        log.note(&call.argv.join(" "));
        let mark = log.seen();
        let mut text = Vec::new();
        let mut output = |bytes: &[u8]| {
            log.write(bytes);
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
        let end = shop.launcher.run(self.foundation, dir, &name, self.mounts(step), &command, watch).await;
        guard.took(step, begun.elapsed());
        live.set_process(0);
        let ending = match end? {
            End::Exit(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            End::Cancelled => return Err(Stop::Cancelled),
            End::Exit(status) => Ending::Exit(status),
            End::Signal(signal) => Ending::Signal(signal),
            End::Timeout => Ending::Timeout,
            End::Exceeded(excess) => Ending::Exceeded(excess),
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
    /// into PKGDIR.
    fn mounts(&self, step: Step) -> Vec<Mount> {
        let config = &self.build.shop.link.config;
        let mount =
            |source: PathBuf, target: &str, read_only| Mount { source, target: target.into(), read_only };
        let mut mounts = self.foundation.mounts().to_vec();
        mounts.push(mount(distfiles(config), emerge::DIST_DIR, step != Step::Fetch));
        mounts.push(mount(self.build.dir.closure(), emerge::CLOSURE_DIR, true));
        mounts.push(mount(self.build.dir.packages(), emerge::PACKAGE_DIR, step != Step::Build));
        mounts
    }
}

/// Where source archives are kept between builds.
#[must_use]
pub fn distfiles(config: &crate::config::Config) -> PathBuf {
    config.state_dir.join("distfiles")
}
