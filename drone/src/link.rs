//! The drone's link to its orchestrator: the client, the session, the desk, and the waits that every call shares.

use crate::config::Config;
use crate::desk::Desk;
use crate::live::Live;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::client::{ClientError, DroneClient};
use swarm_protocol::drone::Session;
use swarm_protocol::id::SessionId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How long an ordinary call may take. The client itself has no limit, and a cut cable says nothing.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// How long the orchestrator shall hold a request that it has no answer to.
pub const HOLD: Duration = Duration::from_secs(30);
/// How long the answer to a request that is held may take: the wait and the way.
pub const HELD_LIMIT: Duration = Duration::from_secs(45);

/// The link to the orchestrator.
pub struct Link {
    /// The client.
    pub client: DroneClient,
    /// The configuration.
    pub config: Config,
    /// No new work.
    pub draining: CancellationToken,
    desk: Mutex<Desk>,
    session: watch::Sender<Session>,
    beat_now: Notify,
    beats_begun: AtomicU64,
    beats_done: watch::Sender<u64>,
}

impl Link {
    /// A link with an open session.
    #[must_use]
    pub fn new(config: Config, client: DroneClient, session: Session) -> Arc<Self> {
        Arc::new(Self {
            client,
            config,
            draining: CancellationToken::new(),
            desk: Mutex::new(Desk::new(session.session)),
            session: watch::Sender::new(session),
            beat_now: Notify::new(),
            beats_begun: AtomicU64::new(0),
            beats_done: watch::Sender::new(0),
        })
    }

    /// The desk, locked. Never held across an await.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session as it was opened last.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    /// Hears of new sessions.
    #[must_use]
    pub fn sessions(&self) -> watch::Receiver<Session> {
        self.session.subscribe()
    }

    /// Another session takes over.
    pub fn reopened(&self, session: Session) {
        self.desk().reopen(session.session);
        self.session.send_replace(session);
    }

    /// Waits until another session than `former` is open; the heartbeat opens it.
    async fn another_session(&self, former: SessionId) {
        let mut sessions = self.sessions();
        self.beat();
        // The sender lives as long as `self`.
        let _ = sessions.wait_for(|now| now.session != former).await;
    }

    /// The answer to a request of `session` that is held; nothing when that session was over, and another is open now.
    pub async fn long_poll<T>(
        &self,
        session: SessionId,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Option<T>, CallError> {
        match within(HELD_LIMIT, call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code() == Some(Code::StaleSession) => {
                self.another_session(session).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Wants a heartbeat at once.
    pub fn beat(&self) {
        self.beat_now.notify_one();
    }

    /// Somebody wants a heartbeat at once.
    pub async fn beat_wanted(&self) {
        self.beat_now.notified().await;
    }

    /// A heartbeat is about to be written.
    pub fn beat_begins(&self) -> u64 {
        self.beats_begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The heartbeat of that number was answered, and the answer applied.
    pub fn beat_ends(&self, number: u64) {
        self.beats_done.send_replace(number);
    }

    /// Waits until a heartbeat that begins after now was answered.
    pub async fn fresh_beat(&self) {
        let now = self.beats_begun.load(Ordering::SeqCst);
        let mut done = self.beats_done.subscribe();
        self.beat();
        // The sender lives as long as `self`.
        let _ = done.wait_for(|number| *number > now).await;
    }

    /// An attempt is over.
    pub fn forget(&self, live: &Arc<Live>) {
        self.desk().remove(live);
    }
}

/// [`HOLD`] as requests say it.
#[must_use]
pub fn hold_seconds() -> u16 {
    u16::try_from(HOLD.as_secs()).unwrap_or(u16::MAX)
}

/// Growing waits with jitter, from a quarter of a second to half a minute, without end.
#[must_use]
pub fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
        .build()
}

/// An answer to a call, or why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The client's error.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    Silence(Duration),
}

impl CallError {
    /// True when the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Client(error) => error.is_transient(),
            Self::Silence(_) => true,
        }
    }

    /// The problem's code, where the server sent one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Client(error) => error.code(),
            Self::Silence(_) => None,
        }
    }
}

/// A call that gives up after `limit`.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CallError::Silence(limit)),
    }
}
