//! Faults, done to a world, and their end.

use super::layout::node;
use super::{DRONES, Shift, World};
use crate::act::Act;
use crate::fault::Who;
use crate::journal::now;
use crate::wire::Node;
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What the filler of a disk is written in.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

impl World {
    /// Does one thing to the swarm.
    pub async fn act(&mut self, act: &Act) {
        match act {
            Act::Kill(who) => self.kill(who).await,
            Act::Start(who) => self.start_all(who).await,
            Act::Stop(who) => self.signal(*who, Signal::STOP),
            Act::Continue(who) => self.signal(*who, Signal::CONT),
            Act::Network(one, Some(other), condition) => self.wire.set(node(*one), node(*other), *condition),
            Act::Network(one, None, condition) => {
                for other in (0..node(Who::Drone(DRONES)).0).map(Node) {
                    self.wire.set(node(*one), other, *condition);
                }
            }
            Act::Flush => self.redis("FLUSHALL", &[]).await,
            Act::SlowRedis(length) => {
                self.redis("CLIENT", &["PAUSE", &length.as_millis().to_string(), "ALL"]).await;
            }
            Act::Hold => self.leave_open("SELECT count(*) FROM packages").await,
            Act::Lock => {
                self.leave_open("SELECT id FROM packages WHERE state = 'needed' ORDER BY id FOR UPDATE")
                    .await;
            }
            Act::LetGo => self.held.clear(),
            Act::Fill(Who::Binhost) => {
                // Until there is no space.
                if let Ok(mut file) = File::create(self.filler()) {
                    while file.write_all(&ZEROS).is_ok() {}
                }
            }
            Act::Free(Who::Binhost) => drop(fs::remove_file(self.filler())),
            Act::Fill(who) => drop(File::create(self.full(*who))),
            Act::Free(who) => drop(fs::remove_file(self.full(*who))),
            Act::Jump(seconds) => self.jump(*seconds).await,
        }
    }

    /// Everything runs again and nothing is in the way.
    pub async fn heal(&mut self) {
        self.held.clear();
        self.wire.mend();
        let servers = [Who::Orchestrator(0), Who::Orchestrator(1), Who::Binhost, Who::Redis, Who::Postgres];
        let all: Vec<_> = servers.into_iter().chain((0..DRONES).map(Who::Drone)).collect();
        for who in &all {
            self.signal(*who, Signal::CONT);
            self.act(&Act::Free(*who)).await;
        }
        self.start_all(&all).await;
        self.redis("CLIENT", &["UNPAUSE"]).await;
        // Pauses that were reckoned by a clock in the future would last for hours.
        let total = self.shifts.last().map_or(0, |shift| shift.total);
        if total < 0 {
            self.jump(1 - total / 1000).await;
        }
    }

    fn filler(&self) -> PathBuf {
        self.path.join("binhost/filler")
    }

    fn full(&self, who: Who) -> PathBuf {
        match who {
            Who::Drone(number) => self.scripts[number].disk_full.clone(),
            _ => self.path.join("nobody.full"),
        }
    }

    /// Tells Redis something; one that is dead need not hear it.
    async fn redis(&self, command: &str, arguments: &[&str]) {
        let url = format!("redis+unix://{}", self.path.join("redis.sock").display());
        let telling = async {
            let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            redis::cmd(command).arg(arguments).exec_async(&mut connection).await
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), telling).await;
    }

    /// Begins a transaction that stays open; with no Postgres there is none.
    async fn leave_open(&mut self, statement: &'static str) {
        let opening = async {
            let mut tx = self.pool.begin().await?;
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *tx).await?;
            sqlx::query(statement).fetch_all(&mut *tx).await?;
            Ok::<_, sqlx::Error>(tx)
        };
        if let Ok(Ok(tx)) = tokio::time::timeout(Duration::from_secs(2), opening).await {
            self.held.push(tx);
        }
    }

    async fn jump(&mut self, seconds: i64) {
        let shifting = sqlx::query("UPDATE clock_shift SET shift = shift + $1 * interval '1 second'")
            .bind(seconds)
            .execute(&self.pool);
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), shifting).await {
            let total = self.shifts.last().map_or(0, |shift| shift.total) + seconds * 1000;
            self.shifts.push(Shift { at: now(), total });
        }
    }
}
