//! Stealing: an idle drone takes what another holds and has not started; whoever is faster has it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::state::{Outcome, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{checker, plans};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_drone_takes_what_is_held_and_the_former_holder_hears_of_it() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(2)).await;
    let victim = ScriptedDrone::join(&swarm, "victim", &plans::epoch()).await;
    let thief = ScriptedDrone::join(&swarm, "thief", &plans::epoch()).await;
    let (building, held) = victim.claim_ahead().await;
    let stolen = thief.claim(30).await.expect("the second package");
    assert_eq!((stolen.package, stolen.number), (held.package, 2));
    assert_ne!((stolen.token, stolen.attempt), (held.token, held.attempt));

    // The victim may no longer start it, and is told with its next heartbeat.
    let late = victim.start(&held).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::StaleReport));
    let answer = victim.beat(&[&building, &held]).await.unwrap();
    assert_eq!(answer.revoked, [held.attempt]);
    let attempts = swarm.admin.attempts(held.package).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(Outcome::Stolen));

    victim.build(&building).await;
    thief.build(&stolen).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_is_never_taken() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(2)).await;
    let victim = ScriptedDrone::join(&swarm, "victim", &plans::epoch()).await;
    let thief = ScriptedDrone::join(&swarm, "thief", &plans::epoch()).await;
    let (_, held) = victim.claim_ahead().await;
    victim.start(&held).await.unwrap();
    assert!(thief.claim(1).await.is_none());
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// The thief's request and the victim's start, at the same moment, many times.
#[tokio::test(flavor = "multi_thread")]
async fn either_the_thief_has_it_or_the_victim() {
    const ROUNDS: usize = 25;
    let swarm = Swarm::start().await;
    // Two packages in each round, which wait for those of the last: there is never another one to be had.
    let names: Vec<_> = (0..2 * ROUNDS).map(|number| format!("test/package{number}x-1")).collect();
    let number = |number: usize| u32::try_from(number).unwrap();
    let edges = (2..2 * ROUNDS).flat_map(|of| {
        let round = of / 2;
        [(number(of), number(2 * round - 2)), (number(of), number(2 * round - 1))]
    });
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let run = swarm.run(plans::epoch(), plans::plan(&names, &edges.collect::<Vec<_>>())).await;
    let victim = Arc::new(ScriptedDrone::join(&swarm, "victim", &plans::epoch()).await);
    let thief = Arc::new(ScriptedDrone::join(&swarm, "thief", &plans::epoch()).await);
    let _hearts = [victim.heart(), thief.heart()];
    let mut stolen = 0;
    for round in 0..ROUNDS {
        let (building, held) = victim.claim_ahead().await;
        let start = async {
            // Only who comes first varies by it: what is asserted holds in either order.
            tokio::time::sleep(Duration::from_millis(round as u64)).await;
            victim.start(&held).await
        };
        let (started, claim) = tokio::join!(start, thief.claim(0));
        let theirs = claim.as_ref().is_some_and(|claim| claim.package == held.package);
        assert_ne!(started.is_ok(), theirs, "round {round}: {started:?}, {claim:?}");
        stolen += usize::from(theirs);
        if started.is_ok() {
            victim.build_started(&held).await;
        }
        if let Some(claim) = claim {
            thief.build(&claim).await;
        }
        victim.build_started(&building).await;
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    println!("{stolen} of {ROUNDS} were stolen");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
