//! Long-polls of drones: a request is held until there is an answer to it, or its time is over.

use crate::api::error::ApiError;
use crate::app::App;
use crate::db;
use crate::wake;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::id::{DroneId, SessionId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The longest time that a request is held, in seconds.
pub const LONGEST_WAIT_SECONDS: u16 = 60;

/// A request that is held. Whoever holds it looks for an answer, and again after each [`Poll::again`].
pub struct Poll<'a> {
    app: &'a App,
    wakes: watch::Receiver<u64>,
    deadline: Instant,
}

impl<'a> Poll<'a> {
    /// Begins to hold a request of the drone's current session.
    pub async fn begin(
        app: &'a App,
        drone: DroneId,
        session: SessionId,
        wait_seconds: u16,
    ) -> Result<Self, ApiError> {
        if !db::sessions::is_open(&app.db, drone, session).await? {
            return Err(ApiError::new(Code::StaleSession, "this session is not the drone's current one"));
        }
        let wait = Duration::from_secs(wait_seconds.min(LONGEST_WAIT_SECONDS).into());
        // What happens from here on, before the first look as well, wakes.
        Ok(Self { app, wakes: app.wake.subscribe(), deadline: Instant::now() + wait })
    }

    /// Up to which wake-up a look sees that begins now.
    pub fn version(&mut self) -> u64 {
        *self.wakes.borrow_and_update()
    }

    /// What `work` comes to; nothing if the request's time is over before, or the process stops.
    pub async fn until_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.app.stop.cancelled() => None,
            done = work => Some(done),
            () = tokio::time::sleep_until(self.deadline) => None,
        }
    }

    /// Waits until something may have changed. `false`: the request's time is over, or the process stops.
    pub async fn again(&mut self) -> bool {
        let next = self.deadline.min(Instant::now() + wake::NET);
        tokio::select! {
            () = self.app.stop.cancelled() => return false,
            // The version that is seen here was there before the next look.
            _ = timeout_at(next, self.wakes.changed()) => {}
        }
        Instant::now() < self.deadline
    }
}
