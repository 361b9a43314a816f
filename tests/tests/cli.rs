//! `swarm`, the real binary, against a real swarm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use base64::prelude::*;
use std::process::{Command, Stdio};
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::client::AdminClient;
use swarm_protocol::drone::LogChunk;
use swarm_protocol::id::{RunId, TokenId};
use swarm_protocol::state::{PackageState, RunState};
use swarm_tests::cli::{self, json, ok, types, types_with};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::process::binary;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{checker, plans, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_world_set_is_pushed() {
    let swarm = Swarm::start().await;
    let root = swarm.path().join("workstation");
    let portage = root.join("var/lib/portage");
    std::fs::create_dir_all(&portage).unwrap();
    std::fs::write(portage.join("world"), "# by hand\napp-misc/jq\nsys-apps/tree\n").unwrap();
    std::fs::write(portage.join("world_sets"), "@tools\n").unwrap();
    let file = |name: &str| portage.join(name).display().to_string();
    let push = format!("target push desktop --world {} --world {}", file("world"), file("world_sets"));
    let said = ok(&swarm, &push).await;
    assert!(
        said.contains("+app-misc/jq\n+sys-apps/tree\n") && said.contains("the new target desktop"),
        "{said}"
    );
    assert!(ok(&swarm, &push).await.ends_with("has 3 entries: nothing changed.\n"));
    let said =
        types_with(&swarm, "target push desktop --world - --json", "app-misc/jq\napp-editors/nano\n").await;
    let pushed: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(pushed["added"], serde_json::json!(["app-editors/nano"]));
    assert_eq!(pushed["removed"], serde_json::json!(["@tools", "sys-apps/tree"]));
    assert_eq!(json(&swarm, "target show desktop").await["world"].as_array().unwrap().len(), 2);
    assert!(ok(&swarm, "target list").await.contains("desktop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_nearly_right_get_a_suggestion() {
    let swarm = Swarm::start().await;
    let _drone = ScriptedDrone::join(&swarm, "hornet", &plans::epoch()).await;
    swarm.run(plans::epoch(), plans::flat(1)).await;
    for (line, wrong, right) in [
        ("run start bxo", "target bxo", "box"),
        ("target show boxx", "target boxx", "box"),
        ("status boxx", "target boxx", "box"),
        ("generations rollback boxx", "target boxx", "box"),
        ("generations pin boxx 1", "target boxx", "box"),
        ("nightlies boxx", "target boxx", "box"),
        ("drone drain hornt", "drone hornt", "hornet"),
        ("why hornt", "drone hornt", "hornet"),
        ("package test/p0-1", "package test/p0-1", "test/p0x-1"),
    ] {
        let said = types(&swarm, line).await;
        assert_eq!(said.code, 5, "{said:?}");
        assert_eq!(said.stderr, format!("swarm: there is no {wrong}; did you mean {right}? (not_found)\n"));
    }
    assert_eq!(types(&swarm, "package nothing-like-it").await.stderr.matches("did you mean").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_its_start_to_its_generation() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    let plan = plans::plan(&["test/a-1", "test/b-1", "test/c-1"], &[(1, 0), (2, 1)]);
    let file = swarm.path().join("plan.json");
    std::fs::write(&file, serde_json::to_string(&plan).unwrap()).unwrap();
    let line = format!("run start box --epoch - --plan {}", file.display());
    let epoch = serde_json::to_string(&plans::epoch()).unwrap();
    let said = types_with(&swarm, &line, &epoch).await;
    assert!(said.stdout.contains("Run 1 of box is building"), "{said:?}");

    let mut watch = cli::command(&swarm, "run watch 1");
    let watch = tokio::task::spawn_blocking(move || cli::Said::from(watch.output().unwrap()));
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let status = json(&swarm, "status box").await;
    let counts = &status["runs"][0]["counts"];
    let numbers = ["total", "needed", "ready", "delegated", "received", "attempted", "succeeded", "failed"];
    assert_eq!(numbers.map(|name| counts[name].as_i64().unwrap()), [3, 2, 0, 1, 0, 1, 0, 0]);
    assert_eq!(status["drones"][0]["work"][0]["cpv"], "test/a-1");
    let text = ok(&swarm, "status").await;
    assert!(text.contains("box: no generation yet; world set of 0\n  run 1: building"), "{text}");
    assert!(
        text.contains("0 failed: success rate —") && text.contains("ant  online    builds test/a-1 for "),
        "{text}"
    );
    let text = ok(&swarm, "drones").await;
    assert!(text.contains("4.0 GiB") && text.contains("100.0 GiB"), "{text}");
    assert!(ok(&swarm, "packages 1 --drone ant").await.contains("on ant"));
    let text = ok(&swarm, "package test/b").await;
    assert!(
        text.contains("waits for    test/a-1 (delegated)") && text.contains("awaited by   test/c-1"),
        "{text}"
    );

    let complete = drone.upload(&claim).await;
    drone.complete(&claim, &complete).await.unwrap();
    drone.forget(&claim);
    drone.build_run(&swarm.admin, RunId(1)).await;
    let said = watch.await.unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("run 1 of box: building, 0 of 3 received"), "{said:?}");
    assert!(said.stdout.ends_with("Run 1 of box is promoted as generation 1, 3 packages.\n"), "{said:?}");

    let status = json(&swarm, "status").await;
    assert_eq!((&status["targets"][0]["current"], status["runs"].as_array().unwrap().len()), (&1.into(), 0));
    assert_eq!(json(&swarm, "run show 1").await["counts"]["succeeded"], 3);
    assert!(ok(&swarm, "run list --target box").await.contains("promoted"));
    assert_eq!(json(&swarm, "run list --open").await, serde_json::json!([]));
    assert!(ok(&swarm, "package c --run 1").await.contains("test/c/c-1-1.gpkg.tar"));
    checker::check(&swarm.admin, &swarm.database.pool).await;
    let events = ok(&swarm, "events --all").await;
    assert!(events.contains("test/a-1, attempt 1, ant") && events.contains("generation.current"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_outlives_the_orchestrator_and_draws_bars_on_a_terminal() {
    let mut swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    let run = swarm.run(plans::epoch(), plans::flat(2)).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    // util-linux's `script` gives it a terminal.
    let typed = format!("{} run watch 1", binary("swarm").display());
    let log = swarm.path().join("watch.log");
    let watch = Command::new("script")
        .args(["-qefc", &typed])
        .arg(&log)
        .env("SWARM_URL", swarm.url())
        .env("SWARM_TOKEN", &swarm.token)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let watch = tokio::task::spawn_blocking(move || watch.wait_with_output().unwrap());
    let shows = async |text: &str| {
        wait::until(30, &format!("the terminal to show {text}"), async || {
            std::fs::read_to_string(&log).ok()?.contains(text).then_some(())
        })
        .await;
    };
    shows("box building [").await;
    shows(&claim.cpv.to_string()).await;
    swarm.orchestrator.take().unwrap().kill();
    shows("the orchestrator does not answer; trying on").await;
    swarm.start_orchestrator().await;
    shows("the orchestrator answers again").await;
    let complete = drone.upload(&claim).await;
    drone.complete(&claim, &complete).await.unwrap();
    drone.forget(&claim);
    shows("1/2").await;
    drone.build_run(&swarm.admin, run).await;
    assert!(watch.await.unwrap().status.success());
    shows("Run 1 of box is promoted as generation 1, 2 packages.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_package_is_listed_and_released() {
    let swarm = Swarm::start().await;
    let [ant, bee] = [
        ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await,
        ScriptedDrone::join(&swarm, "bee", &plans::epoch()).await,
    ];
    let plan = plans::plan(&["test/a-1", "test/b-1", "test/c-1"], &[(1, 0), (2, 1)]);
    let run = swarm.run(plans::epoch(), plan).await;
    ant.fail_to_compile(&ant.claim(30).await.unwrap()).await;
    bee.fail_to_compile(&bee.claim(30).await.unwrap()).await;
    let said = types(&swarm, "run watch 1").await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("`swarm quarantine list --run 1` says why"), "{said:?}");
    let listed = json(&swarm, "quarantine list").await;
    assert_eq!((&listed[0]["cpv"], &listed[0]["blocks"]), (&"test/a-1".into(), &2.into()));
    let text = ok(&swarm, "status").await;
    assert!(text.contains("quarantined test/a-1 (1), 2 blocked behind it: "), "{text}");
    assert!(ok(&swarm, "package a").await.contains("x.c:7: error"));
    assert_eq!(types(&swarm, "retry a").await.code, 1, "it is not waiting, it is quarantined");

    assert!(ok(&swarm, "quarantine release test/a").await.starts_with("test/a-1 may be tried again"));
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Building);
    assert_eq!(ok(&swarm, "quarantine release --all").await, "Nothing is quarantined.\n");
    ant.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_a_failure_is_ended() {
    let swarm =
        Swarm::start_with(Settings { retries: "first_pause_seconds = 1800\n", ..Settings::default() }).await;
    let ant = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let said = types(&swarm, "retry p0x").await;
    assert!(said.code == 1 && said.stderr.ends_with("(wrong_state)\n"), "{said:?}");
    ant.fail_to_compile(&ant.claim(30).await.unwrap()).await;
    assert!(ok(&swarm, "package p0x").await.contains("`swarm retry 1` ends the pause"));
    let bee = ScriptedDrone::join(&swarm, "bee", &plans::epoch()).await;
    assert!(bee.claim(0).await.is_none(), "it waits");
    assert_eq!(ok(&swarm, "retry p0x").await, "test/p0x-1 may be tried again at once.\n");
    bee.build(&bee.claim(30).await.unwrap()).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grounded_drone_gives_back_what_it_has_not_started() {
    let swarm = Swarm::start().await;
    let ant = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let run = swarm.run(plans::epoch(), plans::flat(2)).await;
    let (started, held) = (ant.claim(30).await.unwrap(), ant.claim(30).await.unwrap());
    ant.start(&started).await.unwrap();
    let said = ok(&swarm, "drone ground ant --for 30m").await;
    // The answer tells it already: no turn of a loop lies between.
    assert!(
        said.starts_with("Drone ant is grounded until ")
            && said.ends_with(&format!("holds {}.\n", started.cpv))
    );
    assert_eq!(swarm.package(run, &held.cpv.to_string()).await.state, PackageState::Needed);
    assert!(ok(&swarm, "drones").await.contains("grounded"));
    ant.forget(&held);
    assert!(ant.claim(0).await.is_none());
    let complete = ant.upload(&started).await;
    ant.complete(&started, &complete).await.unwrap();
    ant.forget(&started);
    assert!(
        ok(&swarm, "drone ground ant").await.contains("grounded until it is resumed"),
        "the newer order counts"
    );
    assert!(ok(&swarm, "drone resume ant").await.starts_with("Drone ant is online"));
    ant.build_run(&swarm.admin, run).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    ok(&swarm, "drone drain ant").await;
    let said = types(&swarm, "drone ground ant").await;
    assert!(said.code == 1 && said.stderr.contains("resume it before"), "{said:?}");
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_distrusted_drone_made_is_withdrawn_and_built_anew() {
    let swarm = Swarm::start().await;
    let evil = ScriptedDrone::join(&swarm, "evil", &plans::epoch()).await;
    let good = ScriptedDrone::join(&swarm, "good", &plans::epoch()).await;
    // a is the evil drone's; b is built with it, d with b; c has nothing to do with it.
    let plan = plans::plan(&["test/a-1", "test/b-1", "test/c-1", "test/d-1"], &[(1, 0), (3, 1)]);
    let first = swarm.run(plans::epoch(), plan.clone()).await;
    evil.build(&evil.claim(30).await.unwrap()).await;
    good.build_run(&swarm.admin, first).await;
    swarm.run_reaches(first, RunState::Promoted, 30).await;

    let other = plans::plan(&["test/e-1", "test/f-1", "test/g-1"], &[]);
    let second = swarm.run(plans::epoch(), other).await;
    evil.beat(&[]).await.unwrap();
    evil.build(&evil.claim(30).await.unwrap()).await;
    let held = evil.claim(30).await.unwrap();
    evil.start(&held).await.unwrap();
    let complete = evil.upload(&held).await;

    let said = ok(&swarm, "drone distrust evil").await;
    assert!(said.starts_with("Drone evil is draining and not trusted.\n4 artifacts withdrawn"), "{said}");
    assert!(said.contains("Run 2 had received some, and is over.") && said.contains("ATTENTION"), "{said}");
    for cpv in ["test/a-1", "test/b-1", "test/d-1"] {
        assert!(said.contains(&format!("{cpv} (build 1) in generation 1 of box")), "{said}");
    }
    assert!(
        !said.contains("test/c-1") && said.ends_with("`swarm run start box` builds them anew.\n"),
        "{said}"
    );
    assert_eq!(swarm.admin.run(second).await.unwrap().state, RunState::Cancelled);
    let late = evil.complete(&held, &complete).await.unwrap_err().to_string();
    assert!(late.contains("stale"), "{late}");

    // What nobody tampered with is kept, the rest is built by somebody else.
    let third = swarm.run(plans::epoch(), plan).await;
    let evil = ScriptedDrone::open(&swarm, "evil", evil.token.clone(), &plans::epoch()).await;
    assert!(evil.claim(0).await.is_none());
    let states = swarm.admin.packages(third).await.unwrap();
    let received: Vec<_> = states
        .iter()
        .filter(|package| package.state == PackageState::Received)
        .map(|p| p.cpv.to_string())
        .collect();
    assert_eq!(received, ["test/c-1"]);
    good.build_run(&swarm.admin, third).await;
    swarm.run_reaches(third, RunState::Promoted, 30).await;
    assert_eq!(json(&swarm, "drone distrust evil").await["published"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_its_end() {
    let swarm = Swarm::start().await;
    let ant = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = ant.heart();
    swarm.run(plans::epoch(), plans::flat(1)).await;
    let said = types(&swarm, "log p0x").await;
    assert!(said.code == 5 && said.stderr.contains("no drone has tried test/p0x-1 yet"), "{said:?}");
    let claim = ant.claim(30).await.unwrap();
    ant.start(&claim).await.unwrap();
    let writes = async |sequence, text: &str| {
        let zstd_base64 = BASE64_STANDARD.encode(zstd::encode_all(text.as_bytes(), 1).unwrap());
        ant.client
            .log(claim.attempt, &LogChunk { fence: ant.fence(&claim), sequence, zstd_base64 })
            .await
            .unwrap();
    };
    let output = swarm.path().join("log");
    let mut follow = cli::command(&swarm, "log p0x --follow");
    let mut follow = follow.stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    let shows = async |text: &str| {
        wait::until(30, "the log to be shown", async || {
            (std::fs::read_to_string(&output).unwrap() == text).then_some(())
        })
        .await;
    };
    writes(0, ">>> Unpacking\n").await;
    shows(">>> Unpacking\n").await;
    writes(1, ">>> Compiling\n").await;
    shows(">>> Unpacking\n>>> Compiling\n").await;
    assert!(follow.try_wait().unwrap().is_none(), "the attempt lives");
    ant.fail_to_compile(&claim).await;
    writes(2, "the last line\n").await;
    wait::until(30, "the end of the log", async || follow.try_wait().unwrap()).await;
    shows(">>> Unpacking\n>>> Compiling\nthe last line\n").await;
    assert_eq!(ok(&swarm, "log 1").await, ">>> Unpacking\n>>> Compiling\nthe last line\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_revoked_and_an_admins_is_always_left() {
    let swarm = Swarm::start().await;
    let _drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let viewer = ok(&swarm, "token create --role viewer --label wall").await;
    let other = ok(&swarm, "token create --role admin --label desk").await;
    let with = |token: &str| AdminClient::new(&swarm.url(), token.trim().to_owned());
    let list = json(&swarm, "token list").await;
    let labels: Vec<_> =
        list.as_array().unwrap().iter().map(|token| token["label"].as_str().unwrap()).collect();
    assert_eq!(labels[1..], ["wall", "desk"], "and no drone's");
    assert_eq!(list[0]["own"], true);

    assert_eq!(
        ok(&swarm, "token revoke wall").await,
        format!("Token {} (viewer, wall) is good no more.\n", list[1]["id"])
    );
    assert_eq!(with(&viewer).status(None).await.unwrap_err().code(), Some(Code::Unauthenticated));
    let said = types(&swarm, &format!("token revoke {}", list[0]["id"])).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("a token does not revoke itself"), "{said:?}");
    assert!(types(&swarm, "token revoke dsk").await.stderr.contains("did you mean desk?"));
    let wall = TokenId(list[1]["id"].as_i64().unwrap());
    swarm.admin.revoke_token(wall).await.expect("a repeated call is answered as at first");
    assert_eq!(swarm.admin.revoke_token(TokenId(4711)).await.unwrap_err().code(), Some(Code::NotFound));
    let viewer = with(&ok(&swarm, "token create --role viewer --label wall").await);
    assert_eq!(viewer.tokens().await.unwrap_err().code(), Some(Code::Forbidden));

    // Two that revoke each other at once: one of them is left.
    let (own, desk) = (TokenId(list[0]["id"].as_i64().unwrap()), TokenId(list[2]["id"].as_i64().unwrap()));
    let other = with(&other);
    let (first, second) = tokio::join!(swarm.admin.revoke_token(desk), other.revoke_token(own));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let left = if first.is_ok() { &swarm.admin } else { &other };
    let events = checker::read(left, &swarm.database.pool).await;
    let made: Vec<_> = events.iter().filter(|event| event.kind == "token.created").collect();
    assert_eq!(made.len(), 4, "with the first, which `build-orchestrator token` made");
    let revoked: Vec<_> = events.iter().filter(|event| event.kind == "token.revoked").collect();
    assert_eq!(revoked.len(), 2);
    assert_eq!(revoked[0].data, serde_json::json!({ "role": "viewer", "label": "wall" }));
}
