//! A whole swarm at the nodes of a [`Wire`]: two orchestrators behind a load balancer, a binhost on a small disk of its
//! own, a Postgres, a Redis, scripted drones. Every process is real and may be killed.

mod cast;
mod inflict;
mod layout;

use crate::balance::balance;
use crate::fault::Who;
use crate::journal::{self, Entry, Millis};
use crate::postgres::Postgres;
use crate::script::Script;
use crate::wire::{Node, Wire};
use layout::{config_of, configure, listens, log_of, node};
use rand::Rng;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::Signal;
use sqlx::{PgPool, Postgres as Sql, Transaction};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use swarm_protocol::admin::NewTarget;
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::AdminClient;
use swarm_protocol::gentoo::Cpv;
use swarm_tests::process::{Process, binary};
use swarm_tests::swarm::{answers, target};
use swarm_tests::wait;

/// The harness, the load balancer.
const HERE: Node = Node(0);
const PORT: u16 = 8400;
/// What the binhost's disk has.
const DISK: &std::ffi::CStr = c"size=48m";
/// Drones in a world.
pub const DRONES: usize = 5;
/// How long a drone may be silent in a world, in seconds.
pub const GRACE: u32 = 4;

/// Between two looks at what the swarm says: each costs it a call, and the processes here are looked after meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A jump of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// When, by the host's clock.
    pub at: Millis,
    /// All jumps until then, this one included.
    pub total: Millis,
}

/// A swarm.
pub struct World {
    /// The network.
    pub wire: Wire,
    /// An admin, through the load balancer.
    pub admin: AdminClient,
    /// The database.
    pub pool: PgPool,
    /// How the clock was shifted.
    pub shifts: Vec<Shift>,
    /// The drones' scripts.
    pub scripts: Vec<Script>,
    postgres: Postgres,
    redis: Option<Process>,
    orchestrators: [Option<Process>; 2],
    binhost: Option<Process>,
    fleet: Vec<Option<Process>>,
    /// Transactions that somebody has left open.
    held: Vec<Transaction<'static, Sql>>,
    path: PathBuf,
}

impl World {
    /// A running swarm in `path`. The calling thread is taken out of the host's network and mounts.
    pub async fn start(path: &Path, seed: u64, dice: &mut impl Rng, bad: &[Cpv]) -> Self {
        let wire = Wire::new(node(Who::Drone(DRONES)).0, seed).unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let disk = path.join("binhost");
        fs::create_dir(&disk).unwrap();
        mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), Some(DISK)).unwrap();
        let postgres = Postgres::start(path).await;
        let pool = postgres.pool().await;
        build_orchestrator::db::MIGRATIONS.run(&pool).await.unwrap();
        let token = configure(path, &postgres.url());
        let admin = AdminClient::new(&format!("http://{}", SocketAddr::from((HERE.address(), PORT))), token);
        let mut world = Self {
            wire,
            admin,
            pool,
            shifts: vec![Shift { at: 0, total: 0 }],
            scripts: Vec::new(),
            postgres,
            redis: None,
            orchestrators: [None, None],
            binhost: None,
            fleet: (0..DRONES).map(|_| None).collect(),
            held: Vec::new(),
            path: path.to_owned(),
        };
        let servers = [Who::Orchestrator(0), Who::Orchestrator(1)];
        let listener = tokio::net::TcpListener::bind((HERE.address(), PORT)).await.unwrap();
        tokio::spawn(balance(listener, servers.map(listens).into()));
        world.start_all(&[Who::Redis, Who::Binhost, servers[0], servers[1]]).await;
        for who in [Who::Binhost, servers[0], servers[1]] {
            answers(&format!("http://{}/readyz", listens(who)), 60).await;
        }
        let target = NewTarget { name: target(), world: vec![], provided: Provided::default() };
        world.admin.create_target(&target).await.unwrap();
        for number in 0..DRONES {
            world.enrol(number, seed, dice, bad).await;
        }
        world
    }

    /// While this file exists, drones keep to their temper.
    #[must_use]
    pub fn spoilt(&self) -> PathBuf {
        self.path.join("spoilt")
    }

    /// Starts again what ended by itself, as a service manager does.
    pub async fn supervise(&mut self) {
        let mut ended = Vec::new();
        for who in [Who::Orchestrator(0), Who::Orchestrator(1), Who::Binhost]
            .into_iter()
            .chain((0..DRONES).map(Who::Drone))
        {
            let process = self.slot(who);
            if process.as_mut().is_some_and(Process::has_ended) {
                *process = None;
                ended.push(who);
            }
        }
        self.start_all(&ended).await;
    }

    /// Where a process is kept while it runs.
    fn slot(&mut self, who: Who) -> &mut Option<Process> {
        match who {
            Who::Orchestrator(number) => &mut self.orchestrators[number],
            Who::Binhost => &mut self.binhost,
            Who::Drone(number) => &mut self.fleet[number],
            Who::Redis | Who::Postgres => &mut self.redis,
        }
    }

    fn signal(&mut self, who: Who, signal: Signal) {
        let process = match who {
            Who::Postgres => self.postgres.process(),
            who => self.slot(who).as_ref(),
        };
        if let Some(process) = process {
            process.signal(signal);
        }
    }

    async fn kill(&mut self, who: &[Who]) {
        // First all signals: they lose power in the same instant.
        for who in who.iter().filter(|who| **who != Who::Postgres) {
            self.signal(*who, Signal::KILL);
        }
        for who in who {
            match who {
                Who::Postgres => {
                    self.signal(Who::Postgres, Signal::CONT);
                    self.postgres.kill().await;
                }
                who => drop(self.slot(*who).take()),
            }
        }
    }

    async fn start_all(&mut self, all: &[Who]) {
        for who in all {
            if *who == Who::Postgres {
                self.postgres.resume().await;
            } else if self.slot(*who).is_none() {
                let mut command = self.command(*who);
                let process = Process::start(&mut command, &self.path.join(log_of(*who)));
                *self.slot(*who) = Some(process);
            }
        }
    }

    fn command(&self, who: Who) -> Command {
        let program = |name| self.wire.command(node(who), &binary(name));
        match who {
            Who::Orchestrator(number) => {
                let mut command = program("build-orchestrator");
                command.arg("--config").arg(self.path.join(config_of(number)));
                command
            }
            Who::Binhost => {
                let mut command = program("build-binhost");
                command.arg("serve").arg("--config").arg(self.path.join("binhost.toml"));
                command
            }
            Who::Drone(number) => {
                let mut command = program("chaos-drone");
                let file = |kind| self.path.join(format!("drone-{number}.{kind}"));
                command.arg(file("toml")).arg(file("script"));
                command
            }
            Who::Redis | Who::Postgres => {
                let mut command = self.wire.command(HERE, Path::new("redis-server"));
                command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
                command.arg(self.path.join("redis.sock"));
                command
            }
        }
    }

    /// All that the daemons have printed, by file.
    #[must_use]
    pub fn logs(&self) -> Vec<(String, String)> {
        let all = [Who::Orchestrator(0), Who::Orchestrator(1), Who::Binhost]
            .into_iter()
            .chain((0..DRONES).map(Who::Drone));
        all.map(|who| (log_of(who), fs::read_to_string(self.path.join(log_of(who))).unwrap_or_default()))
            .collect()
    }

    /// A published file.
    pub async fn published(&self, path: &str) -> Option<Vec<u8>> {
        let url = format!("http://{}/binhost/{}/{path}", listens(Who::Binhost), target());
        let answer = reqwest::get(url).await.ok()?.error_for_status().ok()?;
        Some(answer.bytes().await.ok()?.to_vec())
    }

    /// Waits for a condition, and keeps the processes running meanwhile.
    pub async fn until<T>(
        &mut self,
        seconds: u64,
        what: &str,
        mut condition: impl AsyncFnMut(&AdminClient) -> Option<T>,
    ) -> T {
        let admin = self.admin.clone();
        let looks = wait::within(seconds, async || {
            self.supervise().await;
            tokio::time::sleep(BETWEEN_LOOKS).await;
            tokio::time::timeout(Duration::from_secs(5), condition(&admin)).await.ok().flatten()
        });
        let value = looks.await;
        let unfinished = if value.is_some() { String::new() } else { self.unfinished().await };
        assert!(value.is_some(), "after {seconds} s still waiting: {what}\n{unfinished}");
        value.unwrap()
    }

    /// What last happened to the packages that are not received, and how the drones say that their last attempts ended.
    async fn unfinished(&self) -> String {
        let events: Result<Vec<String>, _> = sqlx::query_scalar(
            "SELECT format('%s %s attempt %s drone %s %s', to_char(at, 'HH24:MI:SS.MS'), kind, attempt_id, drone_id, data)
             FROM (SELECT e.* FROM events e JOIN packages p ON p.id = e.package_id
                   WHERE p.state <> 'received' ORDER BY e.id DESC LIMIT 60) last ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await;
        let mut lines = events.unwrap_or_else(|error| vec![error.to_string()]);
        for (number, script) in self.scripts.iter().enumerate() {
            let mut ended = journal::read(&script.journal);
            ended.retain(|entry| matches!(entry, Entry::Ended { .. }));
            lines.extend(ended.iter().rev().take(5).map(|entry| format!("drone-{number}: {entry:?}")));
        }
        lines.join("\n")
    }
}
