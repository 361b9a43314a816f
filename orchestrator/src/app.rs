//! What every part of a running orchestrator shares. Nothing in it must outlive the process (DESIGN 3).

use crate::alarms::Alarms;
use crate::claim_lock::ClaimLocks;
use crate::config::{Config, Gate, Limits, Repair, Times};
use crate::dashboard::Feed;
use crate::db;
use crate::db::rules::Rules;
use crate::db::transition::{Applied, ApplyError, Note, Subject};
use crate::definitions::Wanted;
use crate::heartbeat::Heartbeats;
use crate::machine::package::Transition;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::placement::Rule;
use crate::planner::Seats;
use crate::repair::Hands;
use crate::scheduler::Strategy;
use crate::wake::Wake;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm_protocol::Digest;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, GenerationNumber, PackageId, RunId};
use swarm_protocol::ticket::{Scope, SignedTicket, Ticket, TicketSigner};
use tokio_util::sync::CancellationToken;

/// The shared parts.
pub struct App {
    /// The database.
    pub db: PgPool,
    /// Wakes sleepers.
    pub wake: Wake,
    /// Spares Postgres the herd.
    pub locks: ClaimLocks,
    /// Who waits for work.
    pub planner: Seats,
    /// From whom idle drones take what is not started.
    pub strategy: Strategy,
    /// Where packages may be built.
    pub placement: Vec<Rule>,
    /// What drones shall hold.
    pub wanted: Wanted,
    /// How silent drones are repaired; not at all, where absent.
    pub repair: Option<Repair>,
    /// Repairs over SSH, on their way.
    pub hands: Hands,
    /// Writes heartbeats in batches.
    pub heartbeats: Heartbeats,
    /// Signs tickets.
    pub signer: TicketSigner,
    /// The rules of the machines.
    pub rules: Rules,
    /// How long things may take.
    pub times: Times,
    /// How large things may be.
    pub limits: Limits,
    /// What is judged before clients see it, and how.
    pub gate: Gate,
    /// The connections to the binhost; every call shows a ticket of its own.
    binhost: BinhostClient,
    /// Where drones reach it.
    pub drone_binhost_url: String,
    /// What the dashboard's viewers are told.
    pub feed: Feed,
    /// Where the private servers keep what they keep, if there is one of them.
    pub state_dir: Option<PathBuf>,
    /// What works less well.
    pub alarms: Alarms,
    /// What is counted and measured.
    pub metrics: Metrics,
    /// Where people are told what happened.
    pub notify: Notifier,
    /// When the maintenance loop turned last.
    pub turned: Turned,
    /// Whether this process led the maintenance when it turned last.
    leads: AtomicBool,
    /// Ends when the process is told to stop: long-polls answer, loops return.
    pub stop: CancellationToken,
}

/// The last turn of a loop, for those who watch whether it still turns.
pub struct Turned(std::sync::Mutex<Instant>);

impl Default for Turned {
    fn default() -> Self {
        Self(std::sync::Mutex::new(Instant::now()))
    }
}

impl Turned {
    /// The loop turns now.
    pub fn now(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// How long ago it turned.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed()
    }
}

/// How long a control ticket is good: one call.
const CONTROL_SECONDS: i64 = 120;
/// How much longer than the build itself an attempt's ticket is good: for uploads that have to wait.
const UPLOAD_SECONDS: i64 = 7 * 86_400;

/// How long a ticket for bundles is good: until the last transfer begins. Whoever is later asks again.
const BUNDLES_SECONDS: i64 = 3600;

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        config: &Config,
        db: PgPool,
        redis: redis::aio::ConnectionManager,
        signer: TicketSigner,
        notify: Notifier,
        state_dir: Option<PathBuf>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let times = config.times;
        Arc::new(Self {
            planner: Seats::default(),
            strategy: config.scheduler.steal,
            placement: config.rules.clone(),
            wanted: Wanted::default(),
            repair: config.repair.clone(),
            hands: Hands::default(),
            heartbeats: Heartbeats::default(),
            wake: Wake::new(redis.clone()),
            locks: ClaimLocks::new(redis),
            rules: Rules {
                policy: config.retries.policy(),
                drone_failures: config.retries.drone_failures,
                grounded_seconds: times.grounded_seconds,
                grace_seconds: times.grace_seconds,
                stall_seconds: times.stall_seconds,
            },
            binhost: BinhostClient::new(&config.binhost.url, String::new()),
            drone_binhost_url: config.binhost.drone_url.clone().unwrap_or_else(|| config.binhost.url.clone()),
            limits: config.limits,
            gate: config.gate,
            feed: Feed::default(),
            state_dir,
            alarms: Alarms::default(),
            metrics: Metrics::default(),
            notify,
            turned: Turned::default(),
            leads: AtomicBool::new(false),
            db,
            signer,
            times,
            stop,
        })
    }

    /// Whether this process leads the maintenance, as far as it knows: what it does as the leader has to be harmless if
    /// another one has taken over meanwhile.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    /// The maintenance loop turned, as the leader or not.
    pub fn turned(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
        self.turned.now();
    }

    /// Applies a transition in a transaction of its own, then wakes whom it concerns.
    pub async fn apply(
        &self,
        subject: Subject,
        transition: &Transition,
        note: Note<'_>,
    ) -> Result<Applied, ApplyError> {
        let applied = db::retrying(async || {
            let mut tx = self.db.begin().await?;
            let applied = db::transition::apply(&mut tx, &self.rules, subject, transition, note).await?;
            tx.commit().await?;
            Ok::<_, ApplyError>(applied)
        })
        .await?;
        if applied.wakes() {
            self.wake.all();
        }
        Ok(applied)
    }

    /// A client of the binhost with a ticket for one call.
    pub async fn binhost(&self) -> sqlx::Result<BinhostClient> {
        let expires = db::now(&self.db).await?.timestamp() + CONTROL_SECONDS;
        let ticket = self.signer.sign(&Ticket { scope: Scope::Control, expires });
        Ok(self.binhost.with_ticket(ticket))
    }

    /// A ticket for an attempt: its upload, and its run's staging view.
    #[must_use]
    pub fn attempt_ticket(
        &self,
        now: DateTime<Utc>,
        target: &TargetName,
        run: RunId,
        package: PackageId,
        attempt: AttemptId,
    ) -> SignedTicket {
        let expires = now.timestamp() + i64::from(self.times.build_limit_seconds) + UPLOAD_SECONDS;
        let max_bytes = self.limits.artifact_bytes;
        let scope = Scope::Attempt { target: target.clone(), run, package, attempt, max_bytes };
        SignedTicket(self.signer.sign(&Ticket { scope, expires }))
    }

    /// A ticket for the source archives that drones share, for as long as an attempt's own.
    #[must_use]
    pub fn distfiles_ticket(&self, now: DateTime<Utc>) -> SignedTicket {
        let expires = now.timestamp() + i64::from(self.times.build_limit_seconds) + UPLOAD_SECONDS;
        let scope = Scope::Distfiles { max_bytes: self.limits.distfile_bytes };
        SignedTicket(self.signer.sign(&Ticket { scope, expires }))
    }

    /// A ticket for reading a run's staging view, for as long as resolving it may take.
    #[must_use]
    pub fn run_ticket(&self, now: DateTime<Utc>, target: &TargetName, run: RunId) -> SignedTicket {
        let expires = now.timestamp() + i64::from(self.times.resolve_seconds);
        let scope = Scope::Run { target: target.clone(), run };
        SignedTicket(self.signer.sign(&Ticket { scope, expires }))
    }

    /// A ticket for reading bundles, and for sending such of at most `max_bytes`.
    #[must_use]
    pub fn bundles_ticket(
        &self,
        now: DateTime<Utc>,
        bundles: Vec<Digest>,
        max_bytes: Option<u64>,
    ) -> SignedTicket {
        let scope = Scope::Bundles { bundles, max_bytes };
        SignedTicket(self.signer.sign(&Ticket { scope, expires: now.timestamp() + BUNDLES_SECONDS }))
    }

    /// A ticket for reading a generation, for as long as judging it may take.
    #[must_use]
    pub fn generation_ticket(
        &self,
        now: DateTime<Utc>,
        target: &TargetName,
        number: GenerationNumber,
    ) -> SignedTicket {
        let expires = now.timestamp() + i64::from(self.gate.limit_seconds);
        let scope = Scope::Generation { target: target.clone(), number };
        SignedTicket(self.signer.sign(&Ticket { scope, expires }))
    }

    /// Waits, but not beyond the stop signal. `false`: stop.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
