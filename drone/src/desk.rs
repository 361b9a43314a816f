//! What lies on the drone's desk: the session, the attempts it holds, the claim requests that are settled.
//!
//! One lock guards the three, since a heartbeat must never say that a request is settled without listing the attempts
//! that its answer brought: the orchestrator would take them for lost (law 6).

use crate::live::{Cancelled, Live};
use std::sync::Arc;
use swarm_protocol::drone::{Claim, HeartbeatAnswer};
use swarm_protocol::id::{AttemptId, SessionId};

/// The drone's desk.
pub struct Desk {
    session: SessionId,
    settled: i64,
    held: Vec<Arc<Live>>,
}

impl Desk {
    /// An empty desk of a session.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self { session, settled: 0, held: Vec::new() }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The number of the last claim request that was answered in this session.
    #[must_use]
    pub fn settled(&self) -> i64 {
        self.settled
    }

    /// The attempts held.
    #[must_use]
    pub fn held(&self) -> &[Arc<Live>] {
        &self.held
    }

    /// Another session takes over. What is held stays: the next heartbeats tell what of it is revoked or regained.
    pub fn reopen(&mut self, session: SessionId) {
        self.session = session;
        self.settled = 0;
    }

    /// Takes the answer to claim request `request` of `session`; nothing when that session is over.
    pub fn settle(&mut self, session: SessionId, request: i64, claims: Vec<Claim>) -> Vec<Arc<Live>> {
        if session != self.session || request <= self.settled {
            return Vec::new();
        }
        self.settled = request;
        let new: Vec<_> = claims.into_iter().map(|claim| Live::new(claim, session)).collect();
        self.held.extend(new.iter().cloned());
        new
    }

    /// Does what a heartbeat's answer, given to `session`, says. What is both revoked and regained goes on.
    pub fn apply(&mut self, session: SessionId, answer: HeartbeatAnswer) {
        for regained in answer.regained {
            if let Some(live) = self.find(regained.former) {
                tracing::info!(attempt = %regained.claim.attempt, former = %regained.former, package.cpv = %regained.claim.cpv,
                    "the package was reclaimed while we were away, and is ours again");
                live.regain(regained.claim, session);
            }
        }
        for attempt in answer.revoked {
            if let Some(live) = self.find(attempt) {
                tracing::warn!(%attempt, package.cpv = %live.identity().claim.cpv, "the attempt was revoked");
                live.cancel(Cancelled::Revoked);
            }
        }
    }

    /// An attempt is over.
    pub fn remove(&mut self, live: &Arc<Live>) {
        self.held.retain(|held| !Arc::ptr_eq(held, live));
    }

    fn find(&self, attempt: AttemptId) -> Option<&Arc<Live>> {
        self.held.iter().find(|live| live.attempt() == attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use swarm_protocol::drone::Regained;

    fn claim(attempt: i64) -> Claim {
        Claim { attempt: AttemptId(attempt), ..testing::claim("a/b-1", &[]) }
    }

    fn desk() -> (Desk, Arc<Live>) {
        let mut desk = Desk::new(SessionId(1));
        let live = desk.settle(SessionId(1), 1, vec![claim(7)]).remove(0);
        (desk, live)
    }

    #[test]
    fn an_answer_counts_once_and_only_in_its_session() {
        let (mut desk, _) = desk();
        assert!(desk.settle(SessionId(1), 1, vec![claim(7)]).is_empty());
        desk.reopen(SessionId(2));
        assert!(desk.settle(SessionId(1), 2, vec![claim(8)]).is_empty());
        assert_eq!((desk.held().len(), desk.settled()), (1, 0));
    }

    #[test]
    fn revoked_is_cancelled() {
        let (mut desk, live) = desk();
        desk.apply(SessionId(1), HeartbeatAnswer { revoked: vec![AttemptId(6)], regained: vec![] });
        assert_eq!(live.cancelled(), None);
        desk.apply(SessionId(1), HeartbeatAnswer { revoked: vec![AttemptId(7)], regained: vec![] });
        assert_eq!(live.cancelled(), Some(Cancelled::Revoked));
    }

    #[test]
    fn regained_goes_on_as_another() {
        let (mut desk, live) = desk();
        desk.reopen(SessionId(2));
        let regained = vec![Regained { former: AttemptId(7), claim: claim(9) }];
        desk.apply(SessionId(2), HeartbeatAnswer { revoked: vec![AttemptId(7)], regained });
        assert_eq!((live.cancelled(), live.attempt()), (None, AttemptId(9)));
        assert_eq!(live.identity().session, SessionId(2));
    }
}
