//! An attempt that this drone holds: who it is to the orchestrator, how far it is, and what ends it early.
//!
//! An attempt's identity can change in the middle of a compilation: when the drone was cut off for longer than the grace
//! time, its attempt was reclaimed, and on its return it regains the package under a new attempt, token and ticket
//! (law 4). So nothing keeps a copy of the identity; every report asks for it when it is made.

use crate::log::BuildLog;
use crate::phases::Phase;
use crate::root::tree;
use crate::stage::Stage;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use swarm_protocol::drone::{Claim, Fence, Held};
use swarm_protocol::id::{AttemptId, SessionId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who an attempt is to the orchestrator. It holds the ticket, a secret, and so has no `Debug` form.
#[derive(Clone)]
pub struct Identity {
    /// The claim.
    pub claim: Claim,
    /// The session that holds it.
    pub session: SessionId,
}

impl Identity {
    /// What its reports are fenced with.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence { token: self.claim.token, session: self.session }
    }
}

/// Why an attempt ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is no longer this drone's: nothing is to be reported.
    Revoked,
    /// The drone stops: the package is to be handed back.
    Stopping,
}

/// An attempt that this drone holds.
pub struct Live {
    identity: watch::Sender<Arc<Identity>>,
    stage: AtomicU8,
    phase: Mutex<Option<Phase>>,
    process: AtomicU32,
    ticks: AtomicU64,
    log: OnceLock<Arc<BuildLog>>,
    cancel: CancellationToken,
    why: OnceLock<Cancelled>,
}

impl Live {
    /// A new one.
    #[must_use]
    pub fn new(claim: Claim, session: SessionId) -> Arc<Self> {
        Arc::new(Self {
            identity: watch::Sender::new(Arc::new(Identity { claim, session })),
            stage: AtomicU8::new(0),
            phase: Mutex::default(),
            process: AtomicU32::new(0),
            ticks: AtomicU64::new(0),
            log: OnceLock::new(),
            cancel: CancellationToken::new(),
            why: OnceLock::new(),
        })
    }

    /// Who it is now.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.borrow().clone()
    }

    /// Its number now.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.identity.borrow().claim.attempt
    }

    /// Hears when it becomes another.
    #[must_use]
    pub fn identities(&self) -> watch::Receiver<Arc<Identity>> {
        self.identity.subscribe()
    }

    /// Goes on under another identity.
    pub fn regain(&self, claim: Claim, session: SessionId) {
        self.identity.send_replace(Arc::new(Identity { claim, session }));
    }

    /// Ends it early; the first reason counts.
    pub fn cancel(&self, why: Cancelled) {
        // A later reason changes nothing: the build is being killed already.
        let _ = self.why.set(why);
        self.cancel.cancel();
    }

    /// Why it was cancelled, if it was.
    #[must_use]
    pub fn cancelled(&self) -> Option<Cancelled> {
        self.why.get().copied()
    }

    /// What kills its processes.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.enter_phase(None);
        let identity = self.identity();
        tracing::info!(attempt = %identity.claim.attempt, package.cpv = %identity.claim.cpv, %stage, "stage entered");
    }

    /// Enters a phase of the ebuild.
    pub fn enter_phase(&self, phase: Option<Phase>) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Its stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Relaxed))]
    }

    /// Its log, once it has one, counts as progress.
    pub fn attach_log(&self, log: Arc<BuildLog>) {
        let _ = self.log.set(log);
    }

    /// The process whose tree works for it; 0 for none.
    pub fn set_process(&self, id: u32) {
        self.process.store(id, Ordering::Relaxed);
    }

    /// What a heartbeat says of it. Progress is bytes of log and, since a linker may be silent for long, ticks of
    /// processor time.
    #[must_use]
    pub fn held(&self) -> Held {
        let process = self.process.load(Ordering::Relaxed);
        if process != 0 {
            self.ticks.fetch_max(tree::ticks(process), Ordering::Relaxed);
        }
        let log = self.log.get().map_or(0, |log| log.seen());
        Held {
            attempt: self.attempt(),
            progress: log + self.ticks.load(Ordering::Relaxed),
            phase: Some(match *self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(phase) => format!("{}: {}", self.stage(), phase.as_str()),
                None => self.stage().to_string(),
            }),
        }
    }
}
