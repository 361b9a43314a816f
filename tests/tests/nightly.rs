//! The nightly update: one call, which says that it begins, and is missed when it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::admin::{EndNightly, NewNightly, NightlyResult};
use swarm_tests::cli::{command, json, types};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::process::Process;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

const HOUR: Duration = Duration::from_hours(1);

async fn degraded(swarm: &Swarm) -> Vec<String> {
    let answer = reqwest::get(format!("{}/readyz", swarm.url())).await.unwrap();
    let ready: Value = answer.json().await.unwrap();
    ready["degraded"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn daily() -> NewNightly {
    NewNightly { host: "desk".to_owned(), period_seconds: 86_400 }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_begins_a_run_and_follows_it_to_its_end() {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let works = async {
        let resolution = drone.resolve(20).await.expect("the run that it began");
        drone.resolved(&resolution, plans::flat(1)).await.unwrap();
        drone.build(&drone.claim(30).await.unwrap()).await;
        let gate = drone.gate(20).await.unwrap();
        drone.judged(&gate, vec![], &[]).await.unwrap();
    };
    let (said, ()) = tokio::join!(types(&swarm, "nightly box --no-sync --no-push --wait"), works);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("STARTED: nightly update 1 of box on "), "{said:?}");
    assert!(said.stdout.contains("ENDED: nightly update 1 of box succeeded."), "{said:?}");
    let all = json(&swarm, "nightlies box").await;
    assert_eq!(all["nightlies"][0]["result"], "succeeded");
    assert_eq!(all["nightlies"][0]["run"], 1);
    let kinds: Vec<_> =
        checker::read(&swarm.admin, &swarm.database.pool).await.into_iter().map(|event| event.kind).collect();
    let place = |kind: &str| {
        kinds.iter().position(|one| one == kind).unwrap_or_else(|| panic!("no {kind}: {kinds:?}"))
    };
    assert!(
        place("nightly.started") < place("run.started") && place("run.promoted") < place("nightly.ended")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_is_missed_until_it_comes_or_is_expected_no_more() {
    let swarm = Swarm::start().await;
    let begun = swarm.admin.begin_nightly(&target(), &daily()).await.unwrap();
    let end = EndNightly { result: NightlyResult::Succeeded, reason: None, run: None };
    swarm.admin.end_nightly(begun.id, &end).await.unwrap();
    swarm.admin.end_nightly(begun.id, &end).await.expect("a repeated report is answered as at first");
    swarm.shift_clock(25 * HOUR).await;
    assert_eq!(degraded(&swarm).await, [""; 0], "it may be two hours late");
    swarm.shift_clock(2 * HOUR).await;
    let alarms = degraded(&swarm).await;
    assert!(
        alarms.len() == 1 && alarms[0].starts_with("the nightly update of box did not begin"),
        "{alarms:?}"
    );
    let next = swarm.admin.begin_nightly(&target(), &daily()).await.unwrap();
    assert_eq!(degraded(&swarm).await, [""; 0]);
    let failed = EndNightly { result: NightlyResult::Failed, reason: Some("no network".into()), run: None };
    swarm.admin.end_nightly(next.id, &failed).await.unwrap();
    assert_eq!(degraded(&swarm).await, ["the last nightly update of box, on desk, failed: no network"]);
    let all = json(&swarm, "nightlies box --expect-none").await;
    assert_eq!((&all["due_at"], all["nightlies"].as_array().unwrap().len()), (&Value::Null, 2));
    swarm.shift_clock(48 * HOUR).await;
    assert_eq!(degraded(&swarm).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_are_refused_and_one_that_vanished_blocks_nobody() {
    let swarm = Swarm::start().await;
    let first = swarm.admin.begin_nightly(&target(), &daily()).await.unwrap();
    let said = types(&swarm, "nightly box --no-sync --no-push").await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("a nightly update of box is on its way, on desk since "), "{said:?}");
    assert!(swarm.admin.runs(None, false).await.unwrap().is_empty(), "and nothing was done");
    swarm.shift_clock(13 * HOUR).await;
    swarm.admin.begin_nightly(&target(), &daily()).await.unwrap();
    let end = EndNightly { result: NightlyResult::Succeeded, reason: None, run: None };
    let late = swarm.admin.end_nightly(first.id, &end).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::WrongState));
    let all = swarm.admin.nightlies(&target()).await.unwrap().nightlies;
    assert_eq!((all[0].result, all[1].result), (None, Some(NightlyResult::Vanished)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_says_so() {
    let swarm = Swarm::start().await;
    let mut command = command(&swarm, "nightly box --no-sync --no-push --wait");
    let mut process = Process::start(&mut command, &swarm.path().join("nightly.log"));
    wait::until(30, "the run to begin", async || {
        (!swarm.admin.runs(None, true).await.unwrap().is_empty()).then_some(())
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(20).await.code(), Some(1));
    let all = swarm.admin.nightlies(&target()).await.unwrap().nightlies;
    assert_eq!(all[0].reason.as_deref(), Some("it was stopped by a signal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_changes_nothing() {
    let swarm = Swarm::start().await;
    for new in [
        NewNightly { period_seconds: 59, ..daily() },
        NewNightly { host: String::new(), ..daily() },
        NewNightly { host: "a\nb".to_owned(), ..daily() },
    ] {
        let error = swarm.admin.begin_nightly(&target(), &new).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidValue), "{new:?}");
    }
    let said = types(&swarm, "nightly bx --no-sync --no-push").await;
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("there is no target bx"), "{said:?}");
    let begun = swarm.admin.begin_nightly(&target(), &daily()).await.unwrap();
    for end in [
        EndNightly { result: NightlyResult::Vanished, reason: None, run: None },
        EndNightly {
            result: NightlyResult::Succeeded,
            reason: None,
            run: Some(swarm_protocol::id::RunId(7)),
        },
    ] {
        let error = swarm.admin.end_nightly(begun.id, &end).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidValue), "{end:?}");
    }
    assert_eq!(swarm.admin.nightlies(&target()).await.unwrap().nightlies.len(), 1);
}
