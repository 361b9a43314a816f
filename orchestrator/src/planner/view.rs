//! What was read of the queue, and how it becomes the scheduler's snapshot.

use super::seats::Seats;
use crate::app::App;
use crate::db::{self, snapshot};
use crate::placement::{Placement, Rule};
use crate::scheduler::{Drone, Job, Needs, Ready, Shares, Snapshot, Strategy, Work};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_protocol::id::DroneId;
use tokio::time::Instant;

/// How long a drone is waited for that has finished something and has not asked for more.
const RETURN: TimeDelta = TimeDelta::seconds(2);

/// The queue at one moment, and what is remembered from earlier ones. That is lost with the process, and only times
/// choices.
#[derive(Default)]
pub(super) struct View {
    read: Option<(DateTime<Utc>, Instant)>,
    snapshot: Snapshot,
    /// As if nobody waited.
    drones: Vec<Drone>,
    /// Those that get one package at a time.
    on_probation: BTreeSet<DroneId>,
    shares: Shares,
    /// Drones that had work at the last reading and have none now, and until when they are expected.
    returning: BTreeMap<DroneId, DateTime<Utc>>,
}

impl View {
    /// Reads the queue.
    pub(super) async fn read(&mut self, app: &App) -> sqlx::Result<()> {
        let ready = snapshot::ready(&app.db).await?;
        let live = snapshot::live(&app.db).await?;
        let online = snapshot::online(&app.db).await?;
        let now = db::now(&app.db).await?;
        self.read = Some((now, Instant::now()));
        let speeds: BTreeMap<_, _> = online.iter().map(|drone| (drone.drone, drone.speed)).collect();
        let working = live.iter().filter(|live| live.started_at.is_some());
        self.shares
            .advance(now, working.filter_map(|live| Some((live.job.target, *speeds.get(&live.drone)?))));
        let mut work = BTreeMap::<_, (Vec<Work>, BTreeSet<_>)>::new();
        let names = online.iter().map(|drone| (drone.name.as_str(), drone.drone)).collect();
        let job = |row| job(row, &app.placement, &names);
        for live in live {
            let (works, epochs) = work.entry(live.drone).or_default();
            epochs.insert(live.job.epoch);
            let snapshot::Live { attempt, claimed_at, started_at, .. } = live;
            works.push(Work { attempt, job: job(live.job), claimed_at, started_at });
        }
        let had_work: Vec<_> =
            self.drones.iter().filter(|drone| !drone.work.is_empty()).map(|drone| drone.drone).collect();
        self.returning.retain(|_, until| *until > now);
        self.returning.extend(had_work.into_iter().map(|drone| (drone, now + RETURN)));
        self.returning.retain(|drone, _| !work.contains_key(drone));
        let ready = ready.into_iter().map(|ready| Ready {
            priority: ready.priority,
            rank: ready.rank,
            ready_since: ready.ready_since,
            not_before: ready.not_before,
            job: job(ready.job),
        });
        self.snapshot.ready = ready.collect();
        let on_probation = online.iter().filter(|drone| drone.on_probation);
        self.on_probation = on_probation.map(|drone| drone.drone).collect();
        self.drones = online
            .into_iter()
            .map(|online| {
                let (work, epochs) = work.remove(&online.drone).unwrap_or_default();
                let has = Needs {
                    memory_bytes: online.memory_bytes.unsigned_abs(),
                    disk_bytes: online.disk_bytes.unsigned_abs(),
                };
                let (drone, speed) = (online.drone, online.speed);
                Drone { drone, speed, has, epochs, wants: 0, ahead: 0, returns_until: None, work }
            })
            .collect();
        self.snapshot.used = self.shares.used().clone();
        Ok(())
    }

    /// Whether it was not read for so long, or never.
    pub(super) fn is_older_than(&self, time: Duration) -> bool {
        self.read.is_none_or(|(_, read)| read.elapsed() > time)
    }

    /// The time on Postgres's clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.read.map_or(DateTime::UNIX_EPOCH, |(at, read)| at + read.elapsed())
    }

    /// When it is `at` on Postgres's clock.
    pub(super) fn instant(&self, at: DateTime<Utc>) -> Instant {
        Instant::now() + (at - self.now()).to_std().unwrap_or_default()
    }

    /// With those who wait now; nothing before the first reading.
    pub(super) fn snapshot(&mut self, seats: &Seats, strategy: Strategy) -> Option<&Snapshot> {
        self.read?;
        let now = self.now();
        let drones = self.drones.iter().map(|drone| {
            let returns_until = self.returning.get(&drone.drone).copied().filter(|until| *until > now);
            let mut drone = seated(drone.clone(), seats, returns_until);
            if self.on_probation.contains(&drone.drone) {
                drone.wants = drone.wants.min(1_usize.saturating_sub(drone.work.len()));
                drone.ahead = 0;
            }
            drone
        });
        self.snapshot.drones = drones.collect();
        self.snapshot.stealing = seats.stealing(strategy, now.timestamp_micros().unsigned_abs());
        Some(&self.snapshot)
    }
}

fn seated(mut drone: Drone, seats: &Seats, returns_until: Option<DateTime<Utc>>) -> Drone {
    let Some(asks) = seats.asks(drone.drone) else {
        drone.epochs.extend(seats.epochs(drone.drone));
        return Drone { returns_until, ..drone };
    };
    (drone.wants, drone.ahead) = (asks.wants, asks.ahead);
    drone.epochs.extend(asks.epochs);
    // While it builds, less is free than the next build will have.
    if drone.work.is_empty() {
        let memory_bytes = asks.memory_free_bytes.min(drone.has.memory_bytes);
        drone.has = Needs { memory_bytes, disk_bytes: asks.disk_free_bytes };
    }
    drone
}

fn job(row: snapshot::Job, rules: &[Rule], names: &BTreeMap<&str, DroneId>) -> Job {
    let placement = Placement::of(rules, &row.target_name, &row.cpv);
    let only_on = |drones: &BTreeSet<String>| {
        drones.iter().filter_map(|name| names.get(name.as_str()).copied()).collect()
    };
    Job {
        package: row.package,
        target: row.target,
        epoch: row.epoch,
        estimate_seconds: row.estimate_seconds,
        needs: placement.needs.most(row.needs),
        only_on: placement.drones.map(only_on),
        exclusive: placement.exclusive.map(str::to_owned),
        failed_on: row.failed_on,
    }
}
