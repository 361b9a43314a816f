//! Packages per second: each is claimed, started, uploaded, completed and staged, by drones that build in no time.
//! Beside it pgbench runs the same SQL on the same Postgres, in turns, and takes messages from a queue of pgmq.
//!
//! pgbench's side contains every statement that the orchestrator sends for these three calls: tokens, sessions, the
//! planner's snapshot, fences, locks, states, events, the closure. It lacks what is no SQL: HTTP, JSON, the planner's
//! thinking, Redis, tickets, and the binhost with its upload and its own flushes to the disk. And its client is C,
//! while the drones of the other side take their share of the same cores.

use crate::pgmq::Peer;
use crate::statements::{Log, Statement};
use crate::{pgbench, plans, processes, report};
use futures::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use swarm_protocol::Digest;
use swarm_protocol::drone::Claim;
use swarm_tests::drone::{Heart, ScriptedDrone};
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};

pub(crate) const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
/// Packages of one client in one round.
const EACH: usize = 100;
pub(crate) const TIMES: &str = "heartbeat_seconds = 5\ngrace_seconds = 60\nmaintenance_seconds = 60\n";

/// The drones' chains: as many packages are ready at any time, until the end.
const CHAINS: usize = 64;
const CHAIN_LENGTH: usize = ROUNDS * EACH * CLIENTS / CHAINS + 10;
/// The chain of a client of pgbench; one package stays, so that the run goes on.
const CLIENT_CHAIN_LENGTH: usize = ROUNDS * EACH + 1;

pub(crate) async fn run() {
    let swarm = Swarm::start_with(Settings { times: TIMES, ..Settings::default() }).await;
    processes::memory(&swarm, "after the start");
    pgbench::number(&swarm.database).await;
    let drones = enrol(&swarm).await;
    // What pgbench builds is expected to take no time, so the scheduler gives the drones the other chains.
    let plan = plans::chains(&[(CLIENTS, CLIENT_CHAIN_LENGTH, 0.0), (CHAINS, CHAIN_LENGTH, 1.0)]);
    swarm.run(epoch(), plan).await;
    let script = swarm.path().join("package.sql");
    std::fs::write(&script, log_one(&swarm, &drones[0]).await).unwrap();
    let hearts: Vec<Heart> = drones.iter().map(ScriptedDrone::heart).collect();

    let peer = Peer::filled(ROUNDS * EACH * CLIENTS, swarm.path()).await;
    let (mut http, mut sql, mut pgmq) = (Vec::new(), Vec::new(), Vec::new());
    let mut processor = BTreeMap::new();
    for round in 0..ROUNDS {
        let before = processes::processor_seconds(&swarm);
        http.push(build(&drones, EACH).await);
        for (name, after) in processes::processor_seconds(&swarm) {
            *processor.entry(name).or_insert(0.0) += after - before[name];
        }
        sql.push(pgbench::run(&swarm.database, &script, CLIENTS, EACH, round * EACH));
        pgmq.push(pgbench::run(&peer.database, &peer.script, CLIENTS, EACH, 0));
    }
    drop(hearts);
    all_received(&swarm).await;
    let ratios: Vec<_> = http.iter().zip(&sql).map(|(http, sql)| http / sql).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let per_package = |seconds: f64| report::rounded(seconds * 1000.0 / (ROUNDS * EACH * CLIENTS) as f64);
    report::line(&json!({
        "name": "throughput", "unit": "packages/s", "clients": CLIENTS, "n": ROUNDS,
        "packages_per_round": EACH * CLIENTS, "ready_packages": CHAINS + CLIENTS,
        "http": report::list(&http), "pgbench": report::list(&sql), "ratio": report::spread(&ratios),
        "pgmq": report::list(&pgmq),
    }));
    let processor: BTreeMap<_, _> =
        processor.into_iter().map(|(name, seconds)| (name, per_package(seconds))).collect();
    report::line(
        &json!({ "name": "processor", "unit": "ms per package through HTTP", "processes": processor }),
    );
    processes::memory(&swarm, "after the throughput");
}

/// One after the other: a client of pgbench takes its drone and session by number.
pub(crate) async fn enrol(swarm: &Swarm) -> Vec<Arc<ScriptedDrone>> {
    let mut drones = Vec::new();
    for number in 0..CLIENTS {
        drones.push(Arc::new(ScriptedDrone::join(swarm, &format!("drone-{number}"), &epoch()).await));
    }
    drones
}

/// Builds one package with the log open; returns what the orchestrator's SQL becomes for pgbench.
async fn log_one(swarm: &Swarm, drone: &ScriptedDrone) -> String {
    let mut log = Log::open(&swarm.database).await;
    let mut request = drone.claim_request(0);
    request.request = pgbench::REQUEST;
    let claim = drone.client.claim(&request).await.unwrap().claims.pop().unwrap();
    let claimed = log.since();
    drone.start(&claim).await.unwrap();
    let started = log.since();
    let complete = drone.upload(&claim).await;
    drone.complete(&claim, &complete).await.unwrap();
    let completed = log.since();
    log.close().await;

    let calls = [("claim", claimed), ("start", started), ("complete", completed)];
    let statements =
        |(call, statements): &(&str, Vec<Statement>)| ((*call).to_owned(), statements.len().into());
    report::line(&json!({
        "name": "statements", "unit": "statements per call",
        "calls": calls.iter().map(statements).collect::<serde_json::Map<_, _>>(),
    }));
    let path = staged_path(swarm, &claim, &complete.built).await;
    pgbench::script(&calls, CLIENT_CHAIN_LENGTH, &path)
}

async fn staged_path(swarm: &Swarm, claim: &Claim, built: &Digest) -> String {
    let package = swarm.package(claim.run, &claim.cpv.to_string()).await;
    let artifact = package.artifact.expect("it is received");
    assert_eq!(artifact.built, *built);
    artifact.path
}

/// Each of the drones builds so many packages; returns how many they are per second.
pub(crate) async fn build(drones: &[Arc<ScriptedDrone>], each: usize) -> f64 {
    let packages = drones.len() * each;
    let begun = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let working = drones.iter().cloned().map(|drone| {
        let begun = begun.clone();
        tokio::spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < packages {
                let claim = drone.claim(5).await.expect("more is ready than drones want");
                drone.build(&claim).await;
            }
        })
    });
    for worked in join_all(working).await {
        worked.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let packages = packages as f64;
    packages / start.elapsed().as_secs_f64()
}

/// pgbench does not look at what its statements return: here we see that they did what the calls do.
async fn all_received(swarm: &Swarm) {
    let received: i64 = sqlx::query_scalar("SELECT count(*) FROM packages WHERE state = 'received'")
        .fetch_one(&swarm.database.pool)
        .await
        .unwrap();
    assert_eq!(
        usize::try_from(received),
        Ok(1 + 2 * ROUNDS * EACH * CLIENTS),
        "every package of both sides is received"
    );
}
