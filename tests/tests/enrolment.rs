//! Enrolment, approval and drift: who is a drone, who lets it in, and whether it is as it should be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::json;
use swarm_protocol::admin::{Deployed, Drift, Drone, DroneOrder, NewJoinToken};
use swarm_protocol::client::{ClientError, DroneClient};
use swarm_protocol::drone::{DefinitionsRequest, Enrol, Enrolled, OpenSession};
use swarm_protocol::{Code, Digest, PROTOCOL_VERSION};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{cli, plans, wait};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJm";

async fn token(swarm: &Swarm, new: NewJoinToken) -> String {
    swarm.admin.create_join_token(&NewJoinToken { ttl_seconds: 600, ..new }).await.unwrap().token
}

/// A machine asks to be a drone.
async fn enrol(
    swarm: &Swarm,
    join_token: String,
    name: &str,
    machine: &str,
    key: Option<&str>,
) -> Result<Enrolled, ClientError> {
    let host_key = key.map(|key| key.parse().unwrap());
    let enrol = Enrol { join_token, name: name.to_owned(), machine_id: machine.to_owned(), host_key };
    DroneClient::new(&swarm.url(), None).enrol(&enrol).await
}

async fn drone(swarm: &Swarm, name: &str) -> Drone {
    swarm.admin.drones().await.unwrap().into_iter().find(|drone| drone.name == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_container_does_not_become_drone_izar() {
    let swarm = Swarm::start().await;
    let any = || token(&swarm, NewJoinToken::default());
    let izar = enrol(&swarm, any().await, "drone-izar", "machine of drone-izar", Some(KEY)).await.unwrap();
    let izar = ScriptedDrone::open(&swarm, "drone-izar", izar.token, &plans::epoch()).await;
    assert_eq!(drone(&swarm, "drone-izar").await.host_key.unwrap().to_string(), KEY);

    for (machine, key, what) in [
        ("a container", Some(OTHER_KEY), "it is another machine than this one"),
        ("a container", Some(KEY), "it is another machine than this one"),
        ("machine of drone-izar", Some(OTHER_KEY), "its machine has another ssh host key"),
        ("machine of drone-izar", None, "its machine has another ssh host key"),
    ] {
        let error = enrol(&swarm, any().await, "drone-izar", machine, key).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::Conflict));
        let said = error.to_string();
        assert!(
            said.contains(what) && said.contains("`swarm join-token --name drone-izar --replace`"),
            "{said}"
        );
    }
    // It never noticed; and it may enrol anew.
    izar.beat(&[]).await.unwrap();
    enrol(&swarm, any().await, "drone-izar", "machine of drone-izar", Some(KEY)).await.unwrap();
    assert_eq!(izar.beat(&[]).await.unwrap_err().code(), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_name_is_for_no_other_and_may_replace_its_machine() {
    let swarm = Swarm::start().await;
    let named = |replaces| NewJoinToken { name: Some("ant".to_owned()), replaces, ..NewJoinToken::default() };
    let join = token(&swarm, named(false)).await;
    let error = enrol(&swarm, join.clone(), "bee", "one", None).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Forbidden));
    assert!(error.to_string().contains("this join token is for the drone ant, not for bee"), "{error}");
    // It was not used up.
    let ant = enrol(&swarm, join, "ant", "machine of ant", None).await.unwrap();
    let ant = ScriptedDrone::open(&swarm, "ant", ant.token, &plans::epoch()).await;

    // Its disk died; the machine was installed anew.
    let join = token(&swarm, named(true)).await;
    let anew = enrol(&swarm, join, "ant", "the new one", Some(KEY)).await.unwrap();
    assert_eq!(ant.beat(&[]).await.unwrap_err().code(), Some(Code::Unauthenticated));
    let client = DroneClient::new(&swarm.url(), Some(anew.token));
    let open = ScriptedDrone::session_request("ant");
    assert_eq!(client.open_session(&open).await.unwrap_err().code(), Some(Code::Forbidden));
    client.open_session(&OpenSession { machine_id: "the new one".to_owned(), ..open }).await.unwrap();

    let nameless = NewJoinToken { replaces: true, ttl_seconds: 60, ..NewJoinToken::default() };
    let error = swarm.admin.create_join_token(&nameless).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::InvalidValue));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_waits_for_a_person_gets_nothing_before() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let join = cli::ok(&swarm, "join-token --name ant --ask --trusted").await.trim().to_owned();
    let ant = enrol(&swarm, join, "ant", "machine of ant", None).await.unwrap();
    let ant = ScriptedDrone::open(&swarm, "ant", ant.token, &plans::epoch()).await;
    wait::until(30, "the drone to be heard", async || drone(&swarm, "ant").await.seen_at).await;

    assert!(ant.claim(1).await.is_none());
    let answer = ant.client.claim(&ant.claim_request(0)).await.unwrap();
    assert_eq!(answer.waiting_for.as_deref(), Some("a person, who has to let this drone in"));
    let request =
        DefinitionsRequest { session: ant.session, known: vec![], unbrought: vec![], wait_seconds: 0 };
    assert!(ant.client.definitions(&request).await.unwrap().definitions.is_empty());
    let why = swarm.admin.why_drone("ant").await.unwrap().answer;
    assert_eq!(why, "it waits for a person to let it in: `swarm drone approve ant`");
    assert!(cli::ok(&swarm, "drones").await.contains("ant waits to be let in: `swarm drone approve ant`"));

    let waiting = ant.claim(30);
    let approve = swarm.admin.order_drone("ant", DroneOrder::Approve);
    let (claim, approved) = tokio::join!(waiting, approve);
    assert!(!approved.unwrap().awaits_approval && claim.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_older_is_told_to_update() {
    let swarm = Swarm::start().await;
    let ant = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let open = |protocol: u32| {
        // What another version has for fields is not known here.
        let body = json!({ "protocol": protocol, "of_another_time": true });
        let url = format!("{}/api/v1/drone/sessions", swarm.url());
        let call = reqwest::Client::new().post(url).bearer_auth(&ant.token).json(&body).send();
        async move { call.await.unwrap().json::<serde_json::Value>().await.unwrap() }
    };
    for (protocol, older) in [(PROTOCOL_VERSION - 1, "drone"), (PROTOCOL_VERSION + 1, "orchestrator")] {
        let problem = open(protocol).await;
        assert_eq!(problem["code"], "protocol_version");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.ends_with(&format!("the drone {protocol}: update the {older}")), "{said}");
    }
    assert_eq!(open(PROTOCOL_VERSION).await["code"], "invalid_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_compared_with_what_should() {
    let swarm = Swarm::start().await;
    let ant = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    assert!(drone(&swarm, "ant").await.drift.is_empty());
    let [program, configuration] = [b"program", b"setting"].map(|bytes| Some(Digest::of(bytes)));
    let expected = Deployed { program, configuration };
    let after = swarm.admin.expect_of_drone("ant", &expected).await.unwrap();
    assert_eq!((after.expected, after.drift), (expected, vec![Drift::Program, Drift::Configuration]));

    let open = OpenSession { program, configuration: None, ..ScriptedDrone::session_request("ant") };
    let session = ant.client.open_session(&open).await.unwrap().session;
    let now = chrono::DateTime::from_timestamp(1, 0);
    let beat = swarm_protocol::drone::Heartbeat { session, at: now, ..ant.heartbeat(vec![]) };
    ant.client.heartbeat(&beat).await.unwrap();
    let after = drone(&swarm, "ant").await;
    assert_eq!(after.drift, [Drift::Configuration, Drift::Clock]);
    let said = cli::ok(&swarm, "status").await;
    assert!(
        said.contains("ATTENTION: ant runs with another configuration than was deployed, has a clock"),
        "{said}"
    );
    assert!(swarm.admin.expect_of_drone("bee", &expected).await.unwrap_err().code() == Some(Code::NotFound));
}
