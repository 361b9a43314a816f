//! Waking sleepers: a version that grows whenever the queue may have new work.
//!
//! Within the process it is a `watch` channel; across orchestrators it travels through Redis. A lost message costs
//! time only: whoever waits also looks again every [`NET`] (law 1).

use futures::StreamExt;
use redis::aio::ConnectionManager;
use redis::{AsyncTypedCommands, Client};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

/// How long anyone waits for a wake-up before looking anyway.
pub const NET: Duration = Duration::from_secs(5);

const CHANNEL: &str = "swarm:wake";

/// Wakes whoever waits for work, in this process and in others.
pub struct Wake {
    version: watch::Sender<u64>,
    redis: ConnectionManager,
    /// What this process publishes: its own messages come back to it, and would wake everybody a second time.
    name: String,
}

impl Wake {
    /// A wake-up channel, across processes through this Redis.
    #[must_use]
    pub fn new(redis: ConnectionManager) -> Self {
        Self { version: watch::Sender::new(0), redis, name: Uuid::new_v4().to_string() }
    }

    /// A receiver that sees every later [`Wake::all`].
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Wakes everybody here at once and everybody elsewhere soon.
    pub fn all(&self) {
        self.here();
        let (mut redis, name) = (self.redis.clone(), self.name.clone());
        tokio::spawn(async move {
            // A wake-up that is lost is made good by NET; the health check reports a dead Redis.
            let _ = tokio::time::timeout(Duration::from_millis(500), redis.publish(CHANNEL, name)).await;
        });
    }

    /// Whether Redis answers.
    pub async fn redis_answers(&self) -> bool {
        let mut redis = self.redis.clone();
        let ping = redis::cmd("PING");
        let ping = ping.query_async::<String>(&mut redis);
        matches!(tokio::time::timeout(Duration::from_millis(500), ping).await, Ok(Ok(_)))
    }

    /// Wakes everybody in this process.
    pub fn here(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Passes on what other orchestrators publish, until `stop`. Reconnects for ever.
    pub async fn listen(&self, client: Client, stop: CancellationToken) {
        let mut said = false;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.relay(&client, &mut said) => {
                    if let Err(error) = outcome
                        && !std::mem::replace(&mut said, true)
                    {
                        warn!(%error, "Redis does not deliver wake-ups; looking every few seconds until it does");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// `said`: that it does not work was logged already.
    async fn relay(&self, client: &Client, said: &mut bool) -> redis::RedisResult<()> {
        let mut channel = client.get_async_pubsub().await?;
        channel.subscribe(CHANNEL).await?;
        info!("Redis delivers wake-ups");
        *said = false;
        // What happened while nobody listened is looked at now.
        self.here();
        let mut messages = channel.on_message();
        while let Some(message) = messages.next().await {
            if message.get_payload_bytes() != self.name.as_bytes() {
                self.here();
            }
        }
        Ok(())
    }
}
