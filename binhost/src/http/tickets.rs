//! Who asks: the bearer's ticket, verified offline (law 11).

use super::App;
use super::failure::Failure;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::ticket::{Scope, Ticket};
use swarm_protocol::{Code, Digest};

/// A ticket that is good now. As a handler's first argument, it is judged before anything else.
pub(super) struct Bearer(Ticket);

impl FromRequestParts<App> for Bearer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let refuse = |detail: String| Failure::no_ticket(detail);
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, ticket) = header.and_then(|header| header.split_once(' ')).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refuse("a ticket is needed".to_owned()));
        }
        let ticket = app.tickets.verify(ticket.trim(), app.clock.now());
        ticket.map(Self).map_err(|error| refuse(error.to_string()))
    }
}

impl Bearer {
    /// The orchestrator's own calls.
    pub(super) fn control(&self) -> Result<(), Failure> {
        match self.0.scope {
            Scope::Control => Ok(()),
            _ => Err(forbidden("this ticket is not the orchestrator's")),
        }
    }

    /// The largest upload that the ticket allows.
    pub(super) fn upload(&self) -> Result<u64, Failure> {
        match self.0.scope {
            Scope::Attempt { max_bytes, attempt, .. } => {
                tracing::Span::current().record("attempt", tracing::field::display(attempt));
                Ok(max_bytes)
            }
            _ => Err(forbidden("uploads need the ticket of an attempt")),
        }
    }

    /// The largest size in which this bundle may be sent.
    pub(super) fn send_bundle(&self, digest: Digest) -> Result<u64, Failure> {
        match &self.0.scope {
            Scope::Control => Ok(u64::MAX),
            Scope::Bundles { bundles, max_bytes: Some(max_bytes) } if bundles.contains(&digest) => {
                Ok(*max_bytes)
            }
            Scope::Bundles { max_bytes: None, .. } => Err(forbidden("this ticket is for reading only")),
            _ => Err(forbidden("this ticket is not for this bundle")),
        }
    }

    /// Whether this bundle may be read.
    pub(super) fn read_bundle(&self, digest: Digest) -> Result<(), Failure> {
        match &self.0.scope {
            Scope::Control => Ok(()),
            Scope::Bundles { bundles, .. } if bundles.contains(&digest) => Ok(()),
            _ => Err(forbidden("this ticket is not for this bundle")),
        }
    }

    /// The largest source archive that may be sent.
    pub(super) fn send_distfile(&self) -> Result<u64, Failure> {
        match self.0.scope {
            Scope::Distfiles { max_bytes } => Ok(max_bytes),
            _ => Err(forbidden("this ticket is not for source archives")),
        }
    }

    /// Whether source archives may be read.
    pub(super) fn read_distfiles(&self) -> Result<(), Failure> {
        self.send_distfile().map(drop)
    }

    /// The staging view of a run: for its attempts, and for the orchestrator.
    pub(super) fn staging(&self, of_target: &TargetName, of_run: RunId) -> Result<(), Failure> {
        match &self.0.scope {
            Scope::Control => Ok(()),
            Scope::Attempt { target, run, .. } | Scope::Run { target, run }
                if target == of_target && *run == of_run =>
            {
                Ok(())
            }
            Scope::Attempt { .. } | Scope::Run { .. } => Err(forbidden("this ticket is for another run")),
            Scope::Generation { .. } => Err(forbidden("this ticket is for a generation")),
            Scope::Bundles { .. } => Err(forbidden("this ticket is for bundles only")),
            Scope::Distfiles { .. } => Err(forbidden("this ticket is for source archives only")),
        }
    }

    /// A generation that clients may not see yet: for the drone that judges it, and for the orchestrator.
    pub(super) fn generation(&self, of: &TargetName, is: GenerationNumber) -> Result<(), Failure> {
        match &self.0.scope {
            Scope::Control => Ok(()),
            Scope::Generation { target, number } if target == of && *number == is => Ok(()),
            Scope::Generation { .. } => Err(forbidden("this ticket is for another generation")),
            _ => Err(forbidden("this ticket is not for generations")),
        }
    }
}

fn forbidden(detail: &str) -> Failure {
    Failure::new(Code::Forbidden, detail)
}
