//! What a swarm tells those who watch it: metrics, and logs in which a request can be followed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use swarm_protocol::state::{FailureClass, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::process::{Process, binary};
use swarm_tests::swarm::{Swarm, answers, target};
use swarm_tests::{plans, wait};

async fn metrics(swarm: &Swarm) -> String {
    let scrape = reqwest::Client::new().get(format!("{}/metrics", swarm.url())).bearer_auth(&swarm.token);
    let answer = scrape.send().await.unwrap().error_for_status().unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    answer.text().await.unwrap()
}

/// The value of a series, spelled as it is scraped.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_swarm_does_is_measured() {
    let swarm = Swarm::start().await;
    let run = swarm.run(plans::epoch(), plans::flat(2)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let before = metrics(&swarm).await;
    assert_eq!(value(&before, r#"swarm_packages{target="box",state="needed"}"#), Some(2.0), "{before}");
    assert_eq!(value(&before, r#"swarm_packages_ready{target="box"}"#), Some(2.0));
    assert_eq!(value(&before, r#"swarm_drones{state="online"}"#), Some(1.0));
    assert_eq!(value(&before, r#"swarm_drones{state="grounded"}"#), Some(0.0));
    assert_eq!(value(&before, "swarm_hand_off_seconds_count"), Some(0.0));
    let claim = drone.claim(30).await.unwrap();
    drone.fail(&claim, FailureClass::Infrastructure).await;
    for _ in 0..2 {
        drone.build(&drone.claim(30).await.unwrap()).await;
    }
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    let after = metrics(&swarm).await;
    assert_eq!(value(&after, "swarm_hand_off_seconds_count"), Some(3.0), "{after}");
    assert!(value(&after, "swarm_claim_seconds_count") >= Some(3.0));
    assert_eq!(value(&after, "swarm_upload_seconds_count"), Some(2.0));
    assert_eq!(value(&after, "swarm_receive_seconds_count"), Some(2.0));
    assert_eq!(value(&after, r#"swarm_packages{target="box",state="needed"}"#), None, "the run is over");
    let claims = r#"swarm_http_request_duration_seconds_count{method="POST",route="/api/v1/drone/claims",status="2xx"}"#;
    assert_eq!(value(&after, claims), Some(3.0), "{after}");
    // Whatever is asked for, there are as many series as routes.
    for path in ["/a", "/b", "/assets/x"] {
        reqwest::get(format!("{}{path}", swarm.url())).await.unwrap();
    }
    let text = metrics(&swarm).await;
    let routes: BTreeSet<_> =
        text.lines().filter_map(|line| line.split("route=\"").nth(1)?.split('"').next()).collect();
    assert!(
        routes.contains("none") && routes.contains("/assets/{name}") && !routes.contains("/a"),
        "{routes:?}"
    );
}

/// Every series belongs to a family that says its type, and the last line is the end (`OpenMetrics` 1.0).
#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_is_well_formed() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let text = metrics(&swarm).await;
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let mut families = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(rest.split(' ').next().unwrap().to_owned()), "twice: {line}");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
            let known =
                suffixes.iter().any(|end| name.strip_suffix(end).is_some_and(|name| families.contains(name)));
            assert!(known, "{line}");
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
}

/// The lines of a log that belong to a request.
fn lines(log: &Path, id: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}")));
    lines.filter(|line| line["span"]["request.id"] == id).collect()
}

fn json_daemon(swarm: &Swarm, name: &str, config: &str) -> Process {
    let mut command = Command::new(binary(name));
    command.args(["--log-json", "--config"]).arg(swarm.path().join(config));
    command.env("RUST_LOG", format!("info,{}=debug", name.replace('-', "_")));
    Process::start(&mut command, &swarm.path().join(format!("{name}.json")))
}

async fn ask(url: &str, id: &str) -> HeaderMap {
    let request = reqwest::Client::new().get(url).header("x-request-id", id);
    request.send().await.unwrap().headers().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_followed_through_the_logs() {
    let mut swarm = Swarm::start().await;
    swarm.orchestrator.take().unwrap().kill();
    swarm.binhost.take().unwrap().kill();
    swarm.binhost = Some(json_daemon(&swarm, "build-binhost", "binhost.toml"));
    swarm.orchestrator = Some(json_daemon(&swarm, "build-orchestrator", "orchestrator.toml"));
    for url in [swarm.url(), swarm.binhost_url()] {
        answers(&format!("{url}/readyz"), 60).await;
        assert_eq!(ask(&format!("{url}/nowhere"), "cron.7").await["x-request-id"], "cron.7");
        let given = ask(&format!("{url}/nowhere"), "a b").await;
        assert_eq!(given["x-request-id"].len(), 32, "{given:?}");
    }
    ask(&format!("{}/api/v1/attempts/31", swarm.url()), "cron.8").await;
    let log = |name: &str| swarm.path().join(format!("{name}.json"));
    let answered = wait::until(30, "the lines to be written", async || {
        lines(&log("build-orchestrator"), "cron.8").pop()
    })
    .await;
    assert_eq!(
        (&answered["span"]["attempt"], &answered["fields"]["http.status"]),
        (&"31".into(), &401.into())
    );
    assert_eq!(answered["span"]["http.route"], "/api/v1/attempts/{attempt}");
    for name in ["build-orchestrator", "build-binhost"] {
        wait::until(30, "the lines to be written", async || lines(&log(name), "cron.7").pop()).await;
    }
    // What the orchestrator asks the binhost for it has its id there.
    let generations = format!("{}/api/v1/targets/{}/generations", swarm.url(), target());
    let request = reqwest::Client::new().get(generations).header("x-request-id", "cron.9");
    request.bearer_auth(&swarm.token).send().await.unwrap().error_for_status().unwrap();
    wait::until(30, "the binhost's line", async || lines(&log("build-binhost"), "cron.9").pop()).await;
}
