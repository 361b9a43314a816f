//! Calls of commands that run for hours: a restart of the orchestrator must not end them.

use crate::connection::Context;
use crate::failure::Failure;
use crate::output;
use std::time::Duration;
use swarm_protocol::client::ClientError;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// After how much waiting it gives up.
const ENOUGH: Duration = Duration::from_mins(10);

/// Pauses that grow, until they are enough together.
pub(crate) struct Pauses {
    next: Duration,
    waited: Duration,
    enough: Duration,
}

impl Pauses {
    /// None yet, and no longer than `enough` in all.
    pub(crate) const fn new(first: Duration, enough: Duration) -> Self {
        Self { next: first, waited: Duration::ZERO, enough }
    }

    /// Whether there has been one.
    pub(crate) const fn have_begun(&self) -> bool {
        !self.waited.is_zero()
    }

    /// Whether there may be no more.
    pub(crate) fn are_over(&self) -> bool {
        self.waited >= self.enough
    }

    /// Makes the next one.
    pub(crate) async fn pause(&mut self) {
        let pause = self.next.min(self.enough.saturating_sub(self.waited));
        tokio::time::sleep(pause).await;
        self.waited += pause;
        self.next = (pause * 2).min(LONGEST);
    }
}

/// Asks until there is an answer, with growing pauses, and says that it waits.
pub(crate) async fn ask<T>(
    context: &Context,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let mut pauses = Pauses::new(FIRST, ENOUGH);
    loop {
        let failure = match context.ask(call()).await {
            Ok(answer) => {
                if pauses.have_begun() {
                    output::say("the orchestrator answers again");
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        if !failure.is_transient() || pauses.are_over() {
            return Err(failure);
        }
        if !pauses.have_begun() {
            output::say("the orchestrator does not answer; trying on");
        }
        pauses.pause().await;
    }
}
