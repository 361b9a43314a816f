//! Bad input: a precise problem, nothing changed.

use crate::harness::*;
use build_binhost::config::Limits;
use reqwest::Method;
use swarm_protocol::Code;

const BUNDLE: &str = "/api/v1/bundles/0000000000000000000000000000000000000000000000000000000000000000";
const STAGE: &str = "/api/v1/targets/amd64/runs/7/stage";

fn stage(edit: &str, by: &str) -> String {
    let digest = "0".repeat(64);
    let body = format!(
        r#"{{"package":1,"attempt":1,"built":"{digest}","expected":{{"cpv":"a/b-1","slot":"0","repository":"r","use":[],"build_id":1,"chost":"c"}}}}"#
    );
    body.replace(edit, by)
}

async fn send(binhost: &Binhost, method: Method, path: &str, body: String) -> swarm_protocol::Problem {
    problem(binhost.request(method, path).bearer_auth(control(NOW)).body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn bodies() {
    let binhost = Binhost::with(Limits { body_bytes: 2000, ..Limits::default() }).await;
    assert_eq!(send(&binhost, Method::POST, STAGE, stage("", "")).await.code, Code::NotFound);
    let mut said = Vec::new();
    for (edit, by) in [
        ("a/b-1", "../../etc-1"),
        ("a/b-1", "a/../b-1"),
        ("a/b-1", "a/b-1\\n"),
        ("\"slot\":\"0\"", "\"slot\":\"0/1/2\""),
        ("\"build_id\":1", "\"build_id\":1,\"path\":\"x\""),
        ("\"package\":1,", ""),
        ("\"package\":1", "\"package\":\"1\""),
        ("0000", "000"),
        ("}}", "}"),
    ] {
        let problem = send(&binhost, Method::POST, STAGE, stage(edit, by)).await;
        assert_eq!(problem.code, Code::InvalidBody, "{edit} {by}: {problem}");
        said.push(problem.detail);
    }
    insta::assert_snapshot!(said.join("\n"));
    let long = stage("a/b-1", &"x".repeat(3000));
    assert_eq!(send(&binhost, Method::POST, STAGE, long).await.code, Code::TooLarge);
    assert_eq!(names(&binhost.path("targets/amd64/runs")), [""; 0], "no refused call opens a run");
}

#[tokio::test]
async fn paths_and_methods() {
    let binhost = Binhost::start().await;
    let mut said = Vec::new();
    for (method, path, code) in [
        (Method::GET, "/nowhere", Code::NotFound),
        (Method::DELETE, "/healthz", Code::MethodNotAllowed),
        (Method::GET, STAGE, Code::MethodNotAllowed),
        (Method::POST, "/binhost/amd64/Packages", Code::MethodNotAllowed),
        (Method::POST, "/api/v1/targets/AMD64/runs/7/stage", Code::InvalidValue),
        (Method::POST, "/api/v1/targets/amd64/runs/-7/stage", Code::InvalidValue),
        (Method::POST, "/api/v1/targets/amd64/runs/x/stage", Code::InvalidValue),
        (Method::POST, "/api/v1/targets/..%2fx/promote", Code::InvalidValue),
        (Method::PUT, "/api/v1/targets/amd64/generations/0", Code::InvalidValue),
        (Method::PUT, "/api/v1/targets/amd64/generations/99999999999999999999", Code::InvalidValue),
        (Method::PUT, "/api/v1/targets/%ff/generations/1", Code::InvalidValue),
    ] {
        let problem = send(&binhost, method.clone(), path, stage("", "")).await;
        assert_eq!(problem.code, code, "{method} {path}: {problem}");
        said.push(serde_json::to_value(problem).unwrap());
    }
    insta::assert_json_snapshot!(said);
}

#[tokio::test]
async fn tickets() {
    let binhost = Binhost::start().await;
    let calls = [
        (Method::POST, STAGE),
        (Method::PUT, "/api/v1/targets/amd64/generations/1"),
        (Method::POST, "/api/v1/targets/amd64/promote"),
        (Method::GET, "/api/v1/targets/amd64/current"),
        (Method::GET, "/api/v1/client"),
        (Method::GET, "/generations/amd64/1/Packages"),
        (Method::POST, "/api/v1/bundles/missing"),
        (Method::POST, "/api/v1/bundles/retain"),
        (Method::GET, BUNDLE),
        (Method::PUT, BUNDLE),
    ];
    for (method, path) in calls {
        for (header, code) in [
            (None, Code::Unauthenticated),
            (Some(format!("Basic {}", control(NOW))), Code::Unauthenticated),
            (Some("Bearer".to_owned()), Code::Unauthenticated),
            (Some(format!("Bearer {}", control(NOW - 60))), Code::Unauthenticated),
            (Some(format!("Bearer {}", attempt(NOW, 1))), Code::Forbidden),
        ] {
            let mut request = binhost.request(method.clone(), path).body("x");
            if let Some(header) = &header {
                request = request.header("Authorization", header);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.headers().contains_key("www-authenticate"), code == Code::Unauthenticated);
            assert_eq!(problem(response).await.code, code, "{method} {path} {header:?}");
        }
    }
}
