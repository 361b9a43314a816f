//! `build-drone run`: the daemon. One named task per loop; the first that ends brings the process down in order.
//!
//! ```text
//! heartbeat   every few seconds, never blocked by a build
//! definitions long-poll, bring the drone to what is wanted, repeat
//! claims      long-poll, build, repeat
//! resolutions long-poll, ask Portage, repeat; on trusted drones
//! gates       the same of generations
//! offers      source archives to the binhost, one after the other
//! signals     the first SIGTERM or SIGINT drains, the second stops now
//! ```

use crate::build::Workshop;
use crate::cache::Cache;
use crate::config::{Config, Isolation};
use crate::epoch::{Epochs, follow};
use crate::link::{Link, within};
use crate::live::Cancelled;
use crate::preflight::{self, Verdict};
use crate::resolver::{self, ask};
use crate::root::{Launcher, cgroup, dir};
use crate::{claims, gate, heartbeat, offers, secret, session};
use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use secrecy::ExposeSecret;
use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::CloseSession;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long closing the session may take: the orchestrator learns of our end without it too.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How long a cancelled build has to die and to be handed back.
const END_LIMIT: Duration = Duration::from_mins(1);

/// A second signal came: nothing is handed back, nothing is closed; the builds die with us.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a second signal")]
struct StoppedNow;

/// Runs until a signal or an error ends it.
pub async fn run(config: Config, launcher: Launcher) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let _lock = state_dir(&config)?;
    let token = secret::read(&config.token_file).context("the drone is not enrolled: build-drone enrol")?;
    fit(&config, &launcher).await?;
    let launcher = match cgroup::take() {
        Ok(cgroups) => launcher.in_cgroups(cgroups),
        // Preflight has said it, and that a watchdog does the work.
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "builds get no cgroup");
            launcher
        }
    };
    let client = DroneClient::new(&config.orchestrator_url, Some(token.expose_secret().to_owned()));
    let session = tokio::select! {
        session = session::open(&config, &client) => session?,
        () = signals.next() => return Ok(()),
    };
    let (offers, offered) = offers::channel();
    let shop = Arc::new(Workshop {
        epochs: Epochs::open(config.clone(), launcher.clone())?,
        cache: Cache::open(&config.state_dir.join("cache"))?,
        archives: Cache::open(&config.state_dir.join("distfiles"))?,
        offers,
        slot: Semaphore::new(1),
        link: Link::new(config, client, session),
        launcher,
    });
    let result = supervise(&shop, offered, &mut signals).await;
    if !result.as_ref().is_err_and(anyhow::Error::is::<StoppedNow>) {
        close(&shop.link).await;
    }
    result
}

/// Locks the state directory and clears what a former process left in it.
fn state_dir(config: &Config) -> anyhow::Result<File> {
    let path = &config.state_dir;
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    let lock = File::create(path.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another build-drone runs in {}", path.display()))?;
    for dir in [path.join("attempts"), ask::directories(config), gate::directories(config)] {
        dir::clear(&dir).context("cannot clear what a former process left")?;
    }
    Ok(lock)
}

/// Refuses to claim what this machine cannot build.
async fn fit(config: &Config, launcher: &Launcher) -> anyhow::Result<()> {
    let checks = preflight::checks(config, launcher).await;
    for check in &checks {
        match check.verdict {
            Verdict::Good => tracing::debug!(check.what, says = check.says, "preflight"),
            Verdict::Weak => tracing::warn!(check.what, says = check.says, "preflight"),
            Verdict::Missing => tracing::error!(check.what, says = check.says, "preflight"),
        }
    }
    if checks.iter().any(|check| check.verdict == Verdict::Missing) {
        bail!("this machine cannot build; see above, or run build-drone preflight");
    }
    Ok(())
}

/// The loops that hold work. A stop waits for them; the heartbeat goes on meanwhile.
const WORKING: [&str; 3] = [CLAIMS, "resolutions", "gates"];
/// The one that a drone on the live system has, too.
const CLAIMS: &str = "claims";

type Ended = Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>;

/// The loops, by name.
struct Loops {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    working: Vec<&'static str>,
}

impl Loops {
    fn spawn(shop: &Arc<Workshop>, offered: offers::Waiting) -> Self {
        let mut tasks = JoinSet::new();
        let here = shop.clone();
        tasks.spawn(async move { ("heartbeat", heartbeat::run(&here.link).await) });
        let here = shop.clone();
        tasks.spawn(async move { match offers::run(&here, offered).await {} });
        let here = shop.clone();
        tasks.spawn(async move { (CLAIMS, claims::run(&here).await) });
        if shop.link.config.isolation == Isolation::Host {
            return Self { tasks, working: vec![CLAIMS] };
        }
        // What follows needs roots of its own.
        let here = shop.clone();
        tasks.spawn(async move { match follow::run(&here).await {} });
        let here = shop.clone();
        tasks.spawn(async move {
            resolver::run(&here).await;
            ("resolutions", Ok(()))
        });
        let here = shop.clone();
        tasks.spawn(async move {
            gate::run(&here).await;
            ("gates", Ok(()))
        });
        Self { tasks, working: WORKING.into() }
    }

    /// Waits for the next loop to end.
    async fn next(&mut self) -> Option<Ended> {
        let ended = self.tasks.join_next().await;
        if let Some(Ok((name, _))) = &ended {
            self.working.retain(|working| working != name);
        }
        ended
    }

    /// Waits for the loops that hold work.
    async fn work_ends(&mut self) -> anyhow::Result<()> {
        while !self.working.is_empty() {
            match self.next().await {
                Some(Ok((name, Ok(())))) if WORKING.contains(&name) => {}
                Some(Ok((name, Err(error)))) if WORKING.contains(&name) => {
                    return named(Some(Ok((name, Err(error)))));
                }
                None => break,
                ended => tracing::error!(error = ?named(ended).err(), "a loop ended early"),
            }
        }
        Ok(())
    }
}

async fn supervise(
    shop: &Arc<Workshop>,
    offered: offers::Waiting,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut loops = Loops::spawn(shop, offered);
    let first = tokio::select! {
        ended = loops.next() => Some(ended),
        () = signals.next() => None,
    };
    shop.link.draining.cancel();
    shop.link.beat();
    match first {
        Some(ended) => {
            cancel_all(&shop.link);
            // Whatever is left of the builds hands its packages back.
            let _ = tokio::time::timeout(END_LIMIT, loops.work_ends()).await;
            named(ended)
        }
        None => drain(&shop.link, &mut loops, signals).await,
    }
}

/// Lets the current build finish, within the configured patience.
async fn drain(link: &Link, loops: &mut Loops, signals: &mut Signals) -> anyhow::Result<()> {
    let patience = Duration::from_secs(link.config.shutdown_patience_seconds);
    tracing::info!(patience.seconds = patience.as_secs(), builds = link.desk().held().len(), "draining");
    tokio::select! {
        result = loops.work_ends() => return result,
        () = signals.next() => bail!(StoppedNow),
        () = tokio::time::sleep(patience) => {}
    }
    tracing::warn!("patience is over; the current build is handed back");
    cancel_all(link);
    tokio::select! {
        result = loops.work_ends() => result,
        () = signals.next() => bail!(StoppedNow),
        () = tokio::time::sleep(END_LIMIT) => bail!("the build did not end in time"),
    }
}

fn cancel_all(link: &Link) {
    for live in link.desk().held() {
        live.cancel(Cancelled::Stopping);
    }
}

fn named(ended: Option<Ended>) -> anyhow::Result<()> {
    match ended {
        None => Ok(()),
        Some(Ok((name, result))) => result.with_context(|| format!("the {name} loop ended")),
        Some(Err(error)) => Err(anyhow::Error::new(error).context("a loop panicked")),
    }
}

async fn close(link: &Link) {
    let close = CloseSession { session: link.desk().session() };
    match within(CLOSE_LIMIT, link.client.close_session(&close)).await {
        Ok(()) => tracing::info!("session closed"),
        Err(error) => tracing::warn!(%error, "the session could not be closed; the orchestrator will notice"),
    }
}

/// The signals that end a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
