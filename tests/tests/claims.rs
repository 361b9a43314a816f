//! Claims: many drones at once, never one package twice; repeated requests; hand-off by wake-up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use swarm_protocol::drone::ClaimRequest;
use swarm_protocol::state::{PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, plans};

#[tokio::test(flavor = "multi_thread")]
async fn drones_that_claim_at_once_never_get_the_same_package() {
    const PACKAGES: usize = 1200;
    const DRONES: usize = 8;
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(PACKAGES)).await;
    let mut tasks = Vec::new();
    let total = Arc::new(AtomicUsize::new(0));
    for number in 0..DRONES {
        let drone = Arc::new(ScriptedDrone::join(&swarm, &format!("drone-{number}"), &plans::epoch()).await);
        let total = total.clone();
        tasks.push(tokio::spawn(async move {
            let heart = drone.heart();
            let mut claimed = Vec::new();
            while total.load(Ordering::Relaxed) < PACKAGES {
                let Some(claim) = drone.claim(1).await else { continue };
                // Handing back makes the package claimable again at once: the race goes on.
                if claimed.len() % 7 == 3 {
                    let hand_back =
                        swarm_protocol::drone::HandBack { fence: drone.fence(&claim), reason: "test".into() };
                    drone.client.hand_back(claim.attempt, &hand_back).await.unwrap();
                    drone.forget(&claim);
                    claimed.push(None);
                } else {
                    drone.start(&claim).await.unwrap();
                    total.fetch_add(1, Ordering::Relaxed);
                    claimed.push(Some(claim.package));
                }
            }
            (heart, claimed.into_iter().flatten().collect::<Vec<_>>())
        }));
    }
    let (mut all, mut hearts) = (Vec::new(), Vec::new());
    for task in tasks {
        let (heart, claimed) = task.await.unwrap();
        hearts.push(heart);
        all.extend(claimed);
    }
    assert_eq!(all.len(), PACKAGES, "every package was claimed");
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), PACKAGES, "none was claimed twice");
    assert_eq!(swarm.admin.run(run).await.unwrap().counts.delegated, i64::try_from(PACKAGES).unwrap());
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_claim_request_gets_the_same_claim() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(3)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let request = drone.claim_request(0);
    let first = drone.client.claim(&request).await.unwrap().claims;
    let again = drone.client.claim(&request).await.unwrap().claims;
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].attempt, first[0].token), (again[0].attempt, again[0].token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_request_that_is_repeated_while_it_waits_is_answered_alike() {
    let swarm = Swarm::start_with(Settings { times: "", ..Settings::default() }).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    // Whichever of them has the place at last: the first to end must not say that there is nothing.
    let request = drone.claim_request(0);
    let polls = [1, 1, 2, 20].map(|wait_seconds| {
        let (client, request) = (drone.client.clone(), ClaimRequest { wait_seconds, ..request.clone() });
        tokio::spawn(async move { client.claim(&request).await.unwrap().claims })
    });
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let mut attempts = Vec::new();
    for poll in polls {
        attempts.push(poll.await.unwrap().iter().map(|claim| claim.attempt).collect::<Vec<_>>());
    }
    assert_eq!(attempts[0].len(), 1, "{attempts:?}");
    assert!(attempts.iter().all(|one| *one == attempts[0]), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_drone_gets_a_package_as_soon_as_its_last_wait_is_received() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::plan(&["test/program-1", "test/library-1"], &[(0, 1)])).await;
    let builder = Arc::new(ScriptedDrone::join(&swarm, "builder", &plans::epoch()).await);
    let waiter = Arc::new(ScriptedDrone::join(&swarm, "waiter", &plans::epoch()).await);
    let _hearts = [builder.heart(), waiter.heart()];
    let library = builder.claim(30).await.unwrap();
    assert_eq!(library.cpv.to_string(), "test/library-1");
    assert!(library.closure.is_empty());
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.claim(30).await }
    });
    let before = Instant::now();
    builder.build(&library).await;
    let program = waiting.await.unwrap().expect("the program became ready");
    assert!(before.elapsed() < Duration::from_secs(20), "woken, not found by the end of the poll");
    assert_eq!(program.cpv.to_string(), "test/program-1");
    let staged = swarm.package(run, "test/library-1").await.artifact.unwrap();
    assert_eq!(program.closure.len(), 1);
    assert_eq!(program.closure[0].published, staged.published);
    assert_eq!(program.closure[0].path, staged.path);
    waiter.build(&program).await;
    let run = swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(run.generation.map(|generation| generation.0), Some(1));
    assert_eq!((run.counts.total, run.counts.received, run.counts.succeeded), (2, 2, 2));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_delays_and_nothing_else() {
    let mut swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "one", &plans::epoch()).await);
    let _heart = drone.heart();
    swarm.redis.take().unwrap().kill();
    let run = swarm.run(plans::epoch(), plans::flat(20)).await;
    for _ in 0..20 {
        let claim = drone.claim(30).await.expect("claims go on without Redis");
        drone.build(&claim).await;
    }
    let ready: serde_json::Value =
        reqwest::get(format!("{}/readyz", swarm.url())).await.unwrap().json().await.unwrap();
    assert_eq!(ready["status"], "degraded", "the swarm says that something is missing: {ready}");
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_of_another_epoch_gets_nothing() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let mut other = plans::epoch();
    other.configuration = swarm_protocol::Digest::of(b"one commit behind");
    let drone = ScriptedDrone::join(&swarm, "behind", &other).await;
    let answer = drone.client.claim(&drone.claim_request(0)).await.unwrap();
    assert!(answer.claims.is_empty());
    assert!(answer.waiting_for.unwrap().contains("epoch"), "it is told why");
    assert_eq!(swarm.package(run, "test/p0x-1").await.state, PackageState::Needed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_drone_gets_nothing_until_it_resumes() {
    use swarm_protocol::admin::DroneOrder;
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    swarm.admin.order_drone("one", DroneOrder::Drain).await.unwrap();
    assert!(drone.claim(0).await.is_none());
    swarm.admin.order_drone("one", DroneOrder::Resume).await.unwrap();
    assert!(drone.claim(30).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_lock_that_was_left_behind_delays_by_no_more_than_itself() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let package = swarm.admin.packages(run).await.unwrap()[0].id;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let mut redis = swarm.redis_connection().await;
    let key = format!("swarm:claim:{package}");
    let lock = redis::cmd("SET").arg(&[key.as_str(), "somebody", "PX", "1500"]).to_owned();
    let _: () = lock.query_async(&mut redis).await.unwrap();
    let claim = drone.claim(4).await.expect("well before the next poll, which comes after five seconds");
    assert_eq!(claim.package, package);
}

/// What has more goes first, and so does what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_persons_wish_goes_before_rank() {
    use swarm_protocol::Code;
    let swarm = Swarm::start().await;
    let names = ["test/wanted-1", "test/its-library-1", "test/long-1", "test/behind-long-1"];
    let mut plan = plans::plan(&names, &[(0, 1), (3, 2)]);
    plan.packages[2].estimate_seconds = Some(1000.0);
    let run = swarm.run(plans::epoch(), plan).await;
    let wanted = swarm.package(run, "test/wanted-1").await;
    for nonsense in [-101, 101] {
        let error = swarm.admin.prioritise(wanted.id, nonsense).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidValue));
    }
    assert_eq!(swarm.admin.prioritise(wanted.id, 7).await.unwrap().priority, 7);
    assert_eq!(swarm.package(run, "test/its-library-1").await.priority, 7);
    assert_eq!(swarm.package(run, "test/long-1").await.priority, 0);
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    for cpv in ["test/its-library-1", "test/wanted-1", "test/long-1", "test/behind-long-1"] {
        let claim = drone.claim(30).await.unwrap();
        assert_eq!(claim.cpv.to_string(), cpv);
        drone.build(&claim).await;
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    let error = swarm.admin.prioritise(wanted.id, 1).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::WrongState));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
