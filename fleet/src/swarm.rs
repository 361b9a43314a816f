//! The orchestrator's side of a deploy: it says who builds what, gets drones out of the way, and has the last word on whether
//! one has come back.

use crate::trouble::Trouble;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use swarm_protocol::admin::{Deployed, Drone, DroneOrder, NewJoinToken};
use swarm_protocol::client::{AdminClient, ClientError};
use swarm_protocol::state::DroneState;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// A join token is used within seconds.
const JOIN_SECONDS: u32 = 600;

/// The orchestrator.
pub struct Swarm {
    client: AdminClient,
}

/// The swarm's clock, as it was read once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    read: DateTime<Utc>,
    at: Instant,
}

impl Clock {
    /// Seconds since 1970 at `instant`.
    #[must_use]
    pub fn seconds(&self, instant: Instant) -> i64 {
        let passed = TimeDelta::from_std(instant.saturating_duration_since(self.at)).unwrap_or_default();
        (self.read + passed).timestamp()
    }

    /// How far a clock is ahead that showed `seconds` at some moment between the two.
    #[must_use]
    pub fn skew(&self, seconds: i64, between: (Instant, Instant)) -> i64 {
        let (from, to) = (self.seconds(between.0), self.seconds(between.1));
        // Either clock shows whole seconds.
        match seconds {
            early if early < from - 1 => early - from,
            late if late > to + 1 => late - to,
            _ => 0,
        }
    }
}

impl Swarm {
    /// By an admin's client.
    #[must_use]
    pub const fn new(client: AdminClient) -> Self {
        Self { client }
    }

    async fn ask<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Result<T, Trouble> {
        match timeout(ANSWER, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Trouble::new("swarm", "the orchestrator does not answer")),
        }
    }

    /// Its clock, and its drones.
    pub async fn look(&self) -> Result<(Clock, Vec<Drone>), Trouble> {
        let status = self.ask(self.client.status(None)).await?;
        Ok((Clock { read: status.now, at: Instant::now() }, status.drones))
    }

    /// The time by its clock.
    pub async fn now(&self) -> Result<DateTime<Utc>, Trouble> {
        Ok(self.ask(self.client.status(None)).await?.now)
    }

    /// A drone, if it has ever been enrolled.
    pub async fn drone(&self, name: &str) -> Result<Option<Drone>, Trouble> {
        let drones = self.ask(self.client.drones()).await?;
        Ok(drones.into_iter().find(|drone| drone.name == name))
    }

    /// A token by which one drone joins.
    pub async fn join_token(&self, trusted: bool) -> Result<String, Trouble> {
        let new = NewJoinToken { trusted, ttl_seconds: JOIN_SECONDS, ..NewJoinToken::default() };
        Ok(self.ask(self.client.create_join_token(&new)).await?.token)
    }

    /// Says what shall run on a drone's machine: as long as another one does, the swarm shows it.
    pub async fn expect(&self, name: &str, expected: &Deployed) -> Result<(), Trouble> {
        self.ask(self.client.expect_of_drone(name, expected)).await.map(drop)
    }

    /// Gives a drone nothing new.
    pub async fn drain(&self, name: &str) -> Result<(), Trouble> {
        self.ask(self.client.order_drone(name, DroneOrder::Drain)).await.map(drop)
    }

    /// Gives it work again.
    pub async fn resume(&self, name: &str) -> Result<(), Trouble> {
        self.ask(self.client.order_drone(name, DroneOrder::Resume)).await.map(drop)
    }

    /// Waits until it holds nothing; what it still builds, where `limit` is over.
    pub async fn idle(&self, name: &str, limit: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + limit;
        let mut builds = String::new();
        let looks = async {
            // A restart of the orchestrator does not end the waiting.
            loop {
                match self.drone(name).await {
                    Ok(Some(drone)) if !drone.work.is_empty() => {
                        let cpvs = drone.work.iter().map(|work| work.cpv.to_string());
                        builds = cpvs.collect::<Vec<_>>().join(", ");
                    }
                    Ok(_) => return,
                    Err(_) => {}
                }
                sleep(LOOK).await;
            }
        };
        if timeout_at(end, looks).await.is_ok() {
            return Ok(());
        }
        let says = format!("after {} s it still builds {builds}; nothing was changed", limit.as_secs());
        Err(Trouble::new("busy", says))
    }

    /// Waits until it has opened a session after `since` and has been heard in it.
    pub async fn joined(&self, name: &str, since: DateTime<Utc>, limit: Duration) -> bool {
        let looks = async {
            loop {
                if let Ok(Some(drone)) = self.drone(name).await
                    && is_back(&drone, since)
                {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        timeout(limit, looks).await.is_ok()
    }
}

fn is_back(drone: &Drone, since: DateTime<Utc>) -> bool {
    let after = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at > since);
    after(drone.session_since)
        && after(drone.seen_at)
        && !drone.stopping
        && drone.state != DroneState::Offline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_between_two_moments_is_right() {
        let at = Instant::now();
        let clock = Clock { read: DateTime::from_timestamp(1000, 0).unwrap(), at };
        let after = |seconds| at + Duration::from_secs(seconds);
        assert_eq!(clock.skew(1007, (after(5), after(8))), 0);
        assert_eq!(clock.skew(1009, (after(5), after(8))), 0, "the rounding of two clocks");
        assert_eq!(clock.skew(4605, (after(5), after(5))), 3600);
        assert_eq!(clock.skew(905, (after(5), after(8))), -100);
    }
}
