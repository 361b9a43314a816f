//! The API is what its document says: schemathesis calls every operation with what the document allows, and with what it
//! does not, and holds the answers against it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::path::PathBuf;
use std::process::Command;
use swarm_tests::cache;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans;
use swarm_tests::swarm::Swarm;

/// Installed by tests/setup-host.
fn schemathesis() -> PathBuf {
    cache().join("schemathesis-4.32.5/bin/schemathesis")
}

/// What is held against the document. That every value of a type is accepted is not: which atoms there are, no schema says.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      ignored_auth,unsupported_method";

/// Calls the operations whose paths fit, with a token.
async fn holds(swarm: &Swarm, token: &str, paths: [&str; 2]) {
    let url = format!("{}/api/v1/openapi.json", swarm.url());
    let mut command = Command::new(schemathesis());
    command
        .current_dir(swarm.path())
        .args(["run", &url, "--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", "10"])
        // The same calls each time.
        .args(["--seed", "7", "--generation-deterministic", "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(paths);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let tested = said.split("Tested: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert!(tested.unwrap().parse::<u32>().unwrap() > 10, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_describes() {
    let swarm = Swarm::start().await;
    swarm.run(plans::epoch(), plans::flat(3)).await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    holds(&swarm, &drone.token, ["--include-path-regex", "^/api/v1/drone/"]).await;
    holds(&swarm, &swarm.token, ["--exclude-path-regex", "^/api/v1/drone/"]).await;
}
