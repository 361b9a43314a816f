//! Bad input: a precise error with a stable code and status, and nothing changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::process::Command;
use swarm_protocol::PROTOCOL_VERSION;
use swarm_protocol::admin::NewToken;
use swarm_protocol::state::Role;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans;
use swarm_tests::process::binary;
use swarm_tests::swarm::Swarm;

struct Api {
    swarm: Swarm,
    client: Client,
}

impl Api {
    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.swarm.url()));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn problem(&self, request: RequestBuilder) -> String {
        problem(request.send().await.unwrap()).await
    }

    /// How many rows the swarm has of what a call could make.
    async fn rows(&self) -> (i64, i64, i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM targets), (SELECT count(*) FROM runs), (SELECT count(*) FROM packages),
                    (SELECT count(*) FROM tokens)",
        )
        .fetch_one(&self.swarm.database.pool)
        .await
        .unwrap()
    }
}

/// `status code: detail`, after checking that it is a well-formed problem.
async fn problem(response: Response) -> String {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["type"], "about:blank");
    format!("{} {}: {}", status.as_u16(), body["code"].as_str().unwrap(), body["detail"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn every_refusal_is_precise_and_changes_nothing() {
    let api = Api { swarm: Swarm::start().await, client: Client::new() };
    let admin = api.swarm.token.clone();
    let viewer = NewToken { role: Role::Viewer, label: "test".to_owned() };
    let viewer = api.swarm.admin.create_token(&viewer).await.unwrap().token;
    let drone = ScriptedDrone::join(&api.swarm, "one", &plans::epoch()).await;
    let before = api.rows().await;
    let (post, get) = (Method::POST, Method::GET);
    let epoch = serde_json::to_value(plans::epoch()).unwrap();
    let package = |cpv: &str| json!({"cpv": cpv, "slot": "0", "repository": "test"});
    let run = |plan: Value| {
        let body = json!({"epoch": epoch, "plan": plan});
        api.request(Method::POST, "/api/v1/targets/box/runs", Some(&admin)).json(&body)
    };
    let session = json!(drone.session);
    let claim = |change: Value| {
        let mut body = json!({"session": session, "request": 1, "want": 1, "epochs": [], "memory_free_bytes": 1,
                              "disk_free_bytes": 1, "wait_seconds": 0});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        api.request(Method::POST, "/api/v1/drone/claims", Some(&drone.token)).json(&body)
    };
    let targets = || api.request(Method::POST, "/api/v1/targets", Some(&admin));
    let cases = [
        ("no token", api.request(get.clone(), "/api/v1/runs", None)),
        ("wrong token", api.request(get.clone(), "/api/v1/runs", Some("swarm-admin-guess"))),
        (
            "viewer writes",
            api.request(post.clone(), "/api/v1/targets", Some(&viewer)).json(&json!({"name": "x"})),
        ),
        ("drone reads", api.request(get.clone(), "/api/v1/runs", Some(&drone.token))),
        ("admin claims", api.request(post.clone(), "/api/v1/drone/claims", Some(&admin)).json(&json!({}))),
        ("no such path", api.request(get.clone(), "/api/v1/nothing", Some(&admin))),
        ("wrong method", api.request(Method::DELETE, "/api/v1/runs", Some(&admin))),
        ("no JSON", targets().body("{")),
        ("empty body", targets()),
        ("unknown field", targets().json(&json!({"name": "x", "colour": "red"}))),
        ("wrong type", targets().json(&json!({"name": 7}))),
        ("target out of its path", targets().json(&json!({"name": "../x"}))),
        (
            "oversized",
            api.request(post.clone(), "/api/v1/drone/heartbeat", Some(&drone.token))
                .body(vec![b' '; 5 << 20]),
        ),
        ("no such run", api.request(get.clone(), "/api/v1/runs/999", Some(&admin))),
        ("log of nobody", api.request(get.clone(), "/api/v1/attempts/999/log", Some(&admin))),
        ("run without number", api.request(get.clone(), "/api/v1/runs/abc", Some(&admin))),
        ("cursor without number", api.request(get.clone(), "/api/v1/events?since=yesterday", Some(&admin))),
        ("unknown query", api.request(get.clone(), "/api/v1/events?until=1", Some(&admin))),
        ("cpv tricks", run(json!({"packages": [package("../../etc/passwd-1")], "edges": []}))),
        ("cpv without version", run(json!({"packages": [package("sys-libs/zlib")], "edges": []}))),
        ("empty plan", run(json!({"packages": [], "edges": []}))),
        (
            "edge out of the plan",
            run(json!({"packages": [package("a/b-1")], "edges": [[0, 7, ["runtime"]]]})),
        ),
        (
            "cycle",
            run(json!({"packages": [package("a/b-1"), package("a/c-1")],
                             "edges": [[0, 1, ["buildtime"]], [1, 0, ["buildtime"]]]})),
        ),
        (
            "keeps what was not offered",
            run(
                json!({"packages": [{"cpv": "a/b-1", "slot": "0", "repository": "test", "keep": 1}], "edges": []}),
            ),
        ),
        (
            "substitutes that were not offered",
            run(json!({"packages": [package("a/b-1")], "edges": [], "stagings": [
                {"members": [0], "substitutes": [{"package": 0, "cpv": "a/b-0", "build_id": 1, "edges": []}]}]})),
        ),
        (
            "plan without epoch",
            api.request(post.clone(), "/api/v1/targets/box/runs", Some(&admin))
                .json(&json!({"plan": {"packages": [package("a/b-1")], "edges": []}})),
        ),
        (
            "world of no atoms",
            api.request(Method::PUT, "/api/v1/targets/box/world", Some(&admin))
                .json(&json!({"world": ["app-misc/jq", "app-misc/jq-1.6"]})),
        ),
        (
            "world of no target",
            api.request(Method::PUT, "/api/v1/targets/none/world", Some(&admin)).json(&json!({"world": []})),
        ),
        (
            "plan of no resolution",
            api.request(post.clone(), "/api/v1/drone/resolutions/999/plan", Some(&drone.token)).json(
                &json!({"fence": {"token": "00000000-0000-0000-0000-000000000000", "session": session},
                        "plan": {"packages": [], "edges": []}}),
            ),
        ),
        ("package twice", run(json!({"packages": [package("a/b-1"), package("a/b-1")], "edges": []}))),
        (
            "no such target",
            api.request(post.clone(), "/api/v1/targets/none/runs", Some(&admin))
                .json(&json!({"epoch": epoch})),
        ),
        ("wants nothing", claim(json!({"want": 0}))),
        ("waits for ever", claim(json!({"wait_seconds": 6000}))),
        ("session of another", claim(json!({"session": 999}))),
        (
            "unknown report",
            api.request(post.clone(), "/api/v1/drone/attempts/999/start", Some(&drone.token)).json(
                &json!({"fence": {"token": "00000000-0000-0000-0000-000000000000", "session": session}}),
            ),
        ),
        (
            "join token of nobody",
            api.request(post.clone(), "/api/v1/drone/enrol", None)
                .json(&json!({"join_token": "x", "name": "new", "machine_id": "m"})),
        ),
        (
            "drone by name of a path",
            api.request(post.clone(), "/api/v1/drone/enrol", None)
                .json(&json!({"join_token": "x", "name": "../new", "machine_id": "m"})),
        ),
        (
            "old protocol",
            api.request(post.clone(), "/api/v1/drone/sessions", Some(&drone.token)).json(
                &json!({"protocol": 0, "version": "old", "nonce": "00000000-0000-0000-0000-000000000001",
                          "machine_id": "machine of one", "cores": 1, "memory_bytes": 1}),
            ),
        ),
        (
            "another machine",
            api.request(post.clone(), "/api/v1/drone/sessions", Some(&drone.token)).json(
                &json!({"protocol": PROTOCOL_VERSION, "version": "x", "nonce": "00000000-0000-0000-0000-000000000001",
                          "machine_id": "a clone", "cores": 1, "memory_bytes": 1}),
            ),
        ),
        (
            "a drone's token by the API",
            api.request(post, "/api/v1/tokens", Some(&admin)).json(&json!({"role": "drone", "label": "x"})),
        ),
    ];
    let mut lines = Vec::new();
    for (name, request) in cases {
        lines.push(format!("{name}\n    {}", api.problem(request).await));
    }
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(api.rows().await, before, "nothing was changed");
    drone.beat(&[]).await.expect("and the drone's session is still the current one");
}

#[test]
fn a_configuration_with_a_typo_names_the_line() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("build-orchestrator", "listen = \"127.0.0.1:1\"\nticket_key_fil = \"x\"\n"),
        ("build-binhost", "listen = \"127.0.0.1:1\"\ndirectry = \"x\"\n"),
        ("build-drone", "name = \"x\"\norchestratr_url = \"x\"\n"),
    ] {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(binary(name));
        command.arg(if name == "build-drone" { "run" } else { "serve" });
        let output = command.arg("--config").arg(&file).arg("--check-config").output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{name}");
        assert!(error.contains("line 2") && error.contains(&file.display().to_string()), "{name}: {error}");
        assert!(error.starts_with(&format!("{name}: ")), "{name}: {error}");
        // The last word of a log of JSON lines is one, too.
        let mut command = Command::new(binary(name));
        command.arg(if name == "build-drone" { "run" } else { "serve" });
        let output = command.arg("--config").arg(&file).arg("--log-json").output().unwrap();
        let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((output.status.code(), &line["level"]), (Some(1), &"ERROR".into()), "{name}");
        assert!(line["fields"]["message"].as_str().unwrap().contains("line 2"), "{name}: {line}");
    }
}
