//! The Redis claim lock: spares Postgres the herd, decides nothing (law 1).
//!
//! `SET key token NX PX ttl`, released by a script that checks the token. Every error and every delay beyond
//! [`PATIENCE`] counts as "locked by us": a dead Redis, or one that forgot everything, costs only contention.

use redis::aio::ConnectionManager;
use redis::{ExistenceCheck, Script, SetExpiry, SetOptions};
use std::time::Duration;
use swarm_protocol::id::PackageId;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_millis(50);
/// How long a lock lives whose release was lost; longer than a claim takes, shorter than anybody notices.
pub const TTL: Duration = Duration::from_millis(50);

/// Takes and releases claim locks.
#[derive(Clone)]
pub struct ClaimLocks {
    redis: ConnectionManager,
    release: Script,
}

/// The locks of one claim.
pub struct Held {
    token: String,
    packages: Vec<PackageId>,
}

impl ClaimLocks {
    /// Locks in this Redis.
    #[must_use]
    pub fn new(redis: ConnectionManager) -> Self {
        let release = Script::new(
            "for _, key in ipairs(KEYS) do if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end end",
        );
        Self { redis, release }
    }

    /// Those of `packages` that nobody else is claiming just now.
    pub async fn take(&self, packages: &[PackageId]) -> Held {
        let token = Uuid::new_v4().to_string();
        let mut pipe = redis::pipe();
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX)));
        for package in packages {
            pipe.set_options(key(*package), &token, options.clone());
        }
        let mut connection = self.redis.clone();
        let query = pipe.query_async::<Vec<Option<String>>>(&mut connection);
        let packages = match tokio::time::timeout(PATIENCE, query).await {
            Ok(Ok(answers)) => {
                packages.iter().zip(answers).filter_map(|(package, set)| set.map(|_| *package)).collect()
            }
            _ => packages.to_vec(),
        };
        Held { token, packages }
    }

    /// Gives the locks back, in the background.
    pub fn release(&self, held: Held) {
        if held.packages.is_empty() {
            return;
        }
        let (mut redis, script) = (self.redis.clone(), self.release.clone());
        tokio::spawn(async move {
            let mut call = script.prepare_invoke();
            for package in &held.packages {
                call.key(key(*package));
            }
            call.arg(&held.token);
            // An expired or lost lock is no loss.
            let _ = tokio::time::timeout(PATIENCE, call.invoke_async::<()>(&mut redis)).await;
        });
    }
}

impl Held {
    /// The packages that may be claimed.
    #[must_use]
    pub fn packages(&self) -> &[PackageId] {
        &self.packages
    }
}

fn key(package: PackageId) -> String {
    format!("swarm:claim:{package}")
}
