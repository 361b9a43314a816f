//! Somebody who knows nothing: set up, watch, understand a failure and roll back, by what the screen says alone. In the
//! terminal each command was advised by an output before it, in the browser each step is a link or a button with words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::json;
use std::sync::Arc;
use swarm_protocol::state::RunState;
use swarm_tests::browser::Browser;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::Swarm;
use swarm_tests::{checker, cli, plans, wait};

/// What stands on a screen.
#[derive(Debug)]
struct Screen {
    code: i32,
    text: String,
}

impl Screen {
    /// The command between back quotes that begins with this.
    fn advises(&self, begin: &str) -> String {
        let quoted = self.text.split('`').skip(1).step_by(2);
        let mut commands = quoted.filter_map(|text| text.strip_prefix("swarm "));
        let found = commands.find(|command| command.starts_with(begin));
        found.unwrap_or_else(|| panic!("nothing advises `swarm {begin}`:\n{}", self.text)).to_owned()
    }
}

async fn types(swarm: &Swarm, line: &str) -> Screen {
    let said = cli::types(swarm, line).await;
    Screen { code: said.code, text: said.stdout + &said.stderr }
}

/// A machine uses the token that the screen shows.
async fn joins(swarm: &Swarm, name: &str, token: &Screen) -> Arc<ScriptedDrone> {
    let token = token.text.trim().to_owned();
    Arc::new(ScriptedDrone::join_by(swarm, name, &plans::epoch(), token).await)
}

/// The drone resolves the run that waits, as a plan of this package.
async fn resolves(drone: &ScriptedDrone, cpv: &str) {
    let resolution = drone.resolve(30).await.unwrap();
    drone.resolved(&resolution, plans::plan(&[cpv], &[])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_terminal() {
    let swarm = Swarm::start().await;
    // Set up.
    let status = types(&swarm, "status").await;
    let ant = joins(&swarm, "ant", &types(&swarm, &status.advises("join-token")).await).await;
    let bee = joins(&swarm, "bee", &types(&swarm, &status.advises("join-token")).await).await;
    let _hearts = [ant.heart(), bee.heart()];
    let doctor = types(&swarm, "doctor").await;
    let trust = doctor.advises("drone trust").replace("NAME", "ant");
    assert_eq!(types(&swarm, &trust).await.code, 0);
    let world = swarm.path().join("world");
    std::fs::write(&world, "test/a\n").unwrap();
    let push = format!("{} --world {}", status.advises("target push"), world.display());
    let pushed = types(&swarm, &push).await;
    let status = types(&swarm, "status").await;
    assert_eq!(pushed.advises("run start"), status.advises("run start"));

    // Watch it fail, and understand why.
    let started = types(&swarm, &status.advises("run start")).await;
    let watch = started.advises("run watch");
    resolves(&ant, "test/a-1").await;
    for drone in [&ant, &bee] {
        drone.fail_to_compile(&drone.claim(30).await.unwrap()).await;
    }
    let watched = types(&swarm, &watch).await;
    assert_eq!(watched.code, 3, "{watched:?}");
    let quarantined = types(&swarm, &watched.advises("quarantine list")).await;
    let package = types(&swarm, &quarantined.advises("package")).await;
    assert!(package.text.contains("x.c:7: error"), "{package:?}");
    assert_eq!(types(&swarm, &package.advises("log")).await.code, 0);
    assert_eq!(package.advises("quarantine release"), quarantined.advises("quarantine release"));

    // What was wrong has been mended.
    assert_eq!(types(&swarm, &package.advises("quarantine release")).await.code, 0);
    brings(&swarm, &ant).await;
    assert!(types(&swarm, &watch).await.text.contains("is promoted as generation 1"));

    // The next one is not what they wanted.
    let started = types(&swarm, "run start box").await;
    resolves(&ant, "test/a-2").await;
    brings(&swarm, &ant).await;
    assert!(types(&swarm, &started.advises("run watch")).await.text.contains("is promoted as generation 2"));
    let help = types(&swarm, "--help").await;
    assert!(help.text.lines().any(|line| line.contains("  generations ") && line.contains("roll back")));
    let generations = types(&swarm, "generations list box").await;
    let diff = types(&swarm, &generations.advises("generations diff")).await;
    assert!(diff.text.contains("updated"), "{diff:?}");
    let back = types(&swarm, &generations.advises("generations rollback")).await;
    assert!(back.text.contains("with the set of generation 1 is current"), "{back:?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// The drone builds the newest run and brings it through the gate.
async fn brings(swarm: &Swarm, drone: &ScriptedDrone) {
    let run = swarm.admin.runs(None, true).await.unwrap().into_iter().max_by_key(|run| run.id).unwrap().id;
    drone.build_run(&swarm.admin, run).await;
    drone.judged(&drone.gate(30).await.unwrap(), vec![], &[]).await.unwrap();
    swarm.run_reaches(run, RunState::Promoted, 30).await;
}

/// Waits for a link or a button with these words, and clicks it, before a live update can put another in its place.
async fn clicks(browser: &Browser, words: &str) {
    let script = format!(
        "const found = [...document.querySelectorAll('a, button, summary')].find((one) => one.innerText.trim() === {});
         found?.click(); return !!found",
        json!(words)
    );
    browser.until(&format!("{words} to be there"), &script).await;
}

async fn reads(browser: &Browser, text: &str) {
    let script = format!("return document.querySelector('main').innerText.includes({})", json!(text));
    browser.until(&format!("the page to say {text}"), &script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_browser() {
    let swarm = Swarm::start().await;
    let ant = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let bee = Arc::new(ScriptedDrone::join(&swarm, "bee", &plans::epoch()).await);
    let _hearts = [ant.heart(), bee.heart()];
    let run = swarm.run(plans::epoch(), plans::plan(&["test/a-1"], &[])).await;
    let browser = Browser::open(1200, 900).await;
    browser.go(&swarm.url()).await;
    browser.type_into("#token", &swarm.token).await;
    clicks(&browser, "Sign in").await;
    reads(&browser, "building").await;

    // A failure comes by itself, and says why.
    for drone in [&ant, &bee] {
        drone.fail_to_compile(&drone.claim(30).await.unwrap()).await;
    }
    clicks(&browser, "test/a-1").await;
    clicks(&browser, "The log's telling lines").await;
    reads(&browser, "x.c:7: error").await;
    clicks(&browser, "Release it: try again").await;
    swarm.run_reaches(run, RunState::Building, 30).await;
    ant.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;

    // Back to what was.
    let run = swarm.run(plans::epoch(), plans::plan(&["test/a-2"], &[])).await;
    ant.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    clicks(&browser, "Overview").await;
    clicks(&browser, "Generation 2").await;
    clicks(&browser, "Roll back to 1").await;
    let current = async || {
        let generations = swarm.admin.generations(&swarm_tests::swarm::target()).await.unwrap();
        generations.iter().any(|one| one.number.0 == 3 && one.promoted_at.is_some()).then_some(())
    };
    wait::until(30, "the set of generation 1 to be current", current).await;
    reads(&browser, "Roll back to 2").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
