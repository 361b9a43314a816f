//! People are told what happened: once, in few messages, and by whatever orchestrator lives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::admin::NewNightly;
use swarm_protocol::state::{FailureClass, RunState};
use swarm_tests::cli::{self, types};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::receiver::{Answer, Received, Receiver};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{plans, wait};

const HOUR: Duration = Duration::from_hours(1);

async fn swarm_with(tables: String) -> Swarm {
    let swarm = Swarm::start_with(Settings { tables, ..Settings::default() }).await;
    // A destination that is new is told what happens from now on.
    wait::until(30, "every destination to be known", async || {
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM destinations")
            .fetch_one(&swarm.database.pool)
            .await
            .unwrap();
        let wanted = std::fs::read_to_string(swarm.path().join("orchestrator.toml")).unwrap();
        (known == i64::try_from(wanted.matches("[[notify]]").count()).unwrap()).then_some(())
    })
    .await;
    swarm
}

/// A destination at a receiver that is told at once.
fn webhook(name: &str, receiver: &Receiver, more: &str) -> String {
    let url = receiver.url("/hook/its-secret-path");
    format!("[[notify]]\nname = '{name}'\ninterval_seconds = 0\n{more}\nwebhook = {{ url = '{url}' }}\n")
}

/// Something that people are told.
async fn happens(swarm: &Swarm, times: i64, reason: &str) {
    sqlx::query("INSERT INTO events (kind, data) SELECT 'drone.grounded', $2 FROM generate_series(1, $1)")
        .bind(times)
        .bind(json!({ "reason": reason }))
        .execute(&swarm.database.pool)
        .await
        .unwrap();
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn degraded(swarm: &Swarm) -> Vec<String> {
    let answer = reqwest::get(format!("{}/readyz", swarm.url())).await.unwrap();
    let ready: Value = answer.json().await.unwrap();
    let told = ready["degraded"].as_array().unwrap().iter();
    told.map(|one| one.as_str().unwrap().to_owned()).filter(|one| one.contains("notifications")).collect()
}

async fn file(path: &Path) -> String {
    let what = format!("{} to be written", path.display());
    wait::until(40, &what, async || std::fs::read_to_string(path).ok().filter(|text| !text.is_empty())).await
}

fn text(received: &Received) -> &str {
    received.body["text"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_in_every_way() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("token"), "tk_secret\n").unwrap();
    // Whole or not at all, as the test reads them at any time.
    let keep = |name: &str| format!("cat > {0}.new && mv {0}.new {0}", at(name).display());
    script(&at("sendmail"), &format!("echo \"$@\" > {}\n{}", at("arguments").display(), keep("mail")));
    script(&at("command"), &keep("event"));
    let (chat, phone) = (Receiver::start().await, Receiver::start().await);
    let events = "events = ['run.promoted', 'package.quarantined']";
    let swarm = swarm_with(format!(
        "{}[[notify]]\nname = 'phone'\ninterval_seconds = 0\n{events}\nntfy = {{ url = '{}', token_file = '{}', tags = ['bee'] }}\n\
         [[notify]]\nname = 'post'\n{events}\nmail = {{ to = ['root'], sendmail = '{}' }}\n\
         [[notify]]\nname = 'own'\n{events}\ncommand = ['{}']\n",
        webhook("chat", &chat, events),
        phone.url("/ntfy/swarm"),
        at("token").display(),
        at("sendmail").display(),
        at("command").display(),
    ))
    .await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;

    let said = format!("run {run} of box: promoted");
    let hook = chat.request(1).await;
    assert_eq!((hook.path.as_str(), text(&hook)), ("/hook/its-secret-path", said.as_str()));
    assert_eq!(hook.headers["content-type"], "application/json");
    assert_eq!(hook.headers["idempotency-key"], hook.body["id"].as_str().unwrap());
    assert_eq!(hook.body["events"][0]["kind"], "run.promoted");

    let push = phone.request(1).await;
    assert_eq!((push.path.as_str(), push.headers["authorization"].as_str()), ("/ntfy/", "Bearer tk_secret"));
    let title = format!("Build Swarm: {said}");
    let wanted = json!({ "topic": "swarm", "title": title, "message": said, "priority": 3, "tags": ["bee"] });
    assert_eq!(push.body, wanted);

    let mail = file(&at("mail")).await;
    assert!(
        mail.contains(&format!("\nSubject: {title}\n")) && mail.ends_with(&format!("\n\n{said}\n")),
        "{mail}"
    );
    assert_eq!(file(&at("arguments")).await, "-t -i\n");
    let event: Value = serde_json::from_str(&file(&at("event")).await).unwrap();
    assert_eq!(event["events"][0]["run"], run.0);
    let log = swarm.orchestrator.as_ref().unwrap().output();
    assert!(log.contains("people are told"));
    assert!(!log.contains("tk_secret") && !log.contains("its-secret-path"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_and_a_run_that_freezes_are_told() {
    let chat = Receiver::start().await;
    let swarm = swarm_with(webhook("chat", &chat, "")).await;
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    for name in ["one", "two"] {
        let drone = ScriptedDrone::join(&swarm, name, &plans::epoch()).await;
        drone.fail(&drone.claim(30).await.unwrap(), FailureClass::Package).await;
    }
    let told = wait::until(40, "both to be told", async || {
        let told: Vec<_> = chat.received().iter().map(|one| text(one).to_owned()).collect();
        (told.join("\n").lines().count() >= 2).then(|| told.join("\n"))
    })
    .await;
    assert!(told.contains(&format!(" in run {run} of box: quarantined: gcc said no")), "{told}");
    assert!(told.contains(&format!("run {run} of box is frozen: ")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_that_dies_in_mid_send_says_the_same_once_more() {
    let chat = Receiver::start().await;
    let mut swarm = swarm_with(webhook("chat", &chat, "")).await;
    chat.answer(Answer::Never);
    happens(&swarm, 2, "first").await;
    let first = chat.request(1).await;
    swarm.orchestrator.take().unwrap().kill();
    happens(&swarm, 1, "second").await;
    chat.answer(Answer::Status(204));
    swarm.start_orchestrator().await;
    let again = chat.request(2).await;
    assert_eq!(again.body, first.body, "the same message, under the same id");
    let next = chat.request(3).await;
    assert_ne!(next.body["id"], first.body["id"]);
    assert_eq!(text(&next), "drone: grounded: second");
    assert_eq!(chat.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_fails_is_an_alarm_and_disturbs_nobody() {
    let (chat, other) = (Receiver::start().await, Receiver::start().await);
    let swarm = swarm_with(webhook("chat", &chat, "") + &webhook("other", &other, "")).await;
    chat.answer(Answer::Status(307));
    happens(&swarm, 1, "it fails").await;
    let first = chat.request(1).await;
    let alarm = wait::until(30, "the alarm", async || degraded(&swarm).await.pop()).await;
    assert_eq!(
        alarm,
        "notifications do not reach chat: the server answered 307 Temporary Redirect, and redirects are not followed \
         (tried once)"
    );
    other.request(1).await;
    // It is tried again after its pause, and says the same.
    chat.answer(Answer::Status(200));
    swarm.shift_clock(Duration::from_secs(11)).await;
    assert_eq!(chat.request(2).await.body, first.body);
    wait::until(30, "the end of the alarm", async || degraded(&swarm).await.is_empty().then_some(())).await;
    assert!(chat.received().iter().all(|one| one.path.starts_with("/hook/")), "no redirect was followed");
    assert_eq!(other.received().len(), 1, "nobody else was told of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn much_at_once_is_one_message_and_what_is_too_old_is_none() {
    let chat = Receiver::start().await;
    let swarm = swarm_with(webhook("chat", &chat, "").replace("_seconds = 0", "_seconds = 600")).await;
    happens(&swarm, 57, "much").await;
    let much = chat.request(1).await;
    assert_eq!((&much.body["more"], much.body["events"].as_array().unwrap().len()), (&json!(37), 20));
    assert!(text(&much).ends_with("\nand 37 more: `swarm events` lists them"), "{}", text(&much));
    happens(&swarm, 2, "soon after").await;
    chat.answer(Answer::Status(500));
    swarm.shift_clock(Duration::from_mins(10)).await;
    assert_eq!(chat.request(2).await.body["title"], "Build Swarm: drone: grounded: soon after, and 1 more");
    // It is down for a week.
    swarm.shift_clock(168 * HOUR).await;
    happens(&swarm, 1, "at last").await;
    chat.answer(Answer::Status(200));
    let last = chat.request(3).await;
    assert_eq!(text(&last), "drone: grounded: at last\n2 older ones could not be delivered in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_told_once_while_it_lasts_and_once_when_it_is_over() {
    let (chat, picky) = (Receiver::start().await, Receiver::start().await);
    let tables = webhook("chat", &chat, "") + &webhook("picky", &picky, "alarms = ['disk']");
    let swarm = swarm_with(tables).await;
    let daily = NewNightly { host: "desk".to_owned(), period_seconds: 86_400 };
    swarm.admin.begin_nightly(&target(), &daily).await.unwrap();
    swarm.shift_clock(27 * HOUR).await;
    let raised = chat.request(1).await;
    assert!(text(&raised).starts_with("the nightly update of box did not begin: "), "{}", text(&raised));
    assert_eq!(raised.body["urgent"], true);
    assert_eq!(raised.body["events"][0]["data"]["alarm"], "nightly");
    swarm.admin.begin_nightly(&target(), &daily).await.unwrap();
    let ended = chat.request(2).await;
    assert!(text(&ended).starts_with("over: the nightly update of box did not begin: "), "{}", text(&ended));
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM alarms").fetch_one(&swarm.database.pool).await.unwrap();
    assert_eq!((open, chat.received().len(), picky.received().len()), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_orchestrators_one_speaks_and_the_other_takes_over() {
    let chat = Receiver::start().await;
    let mut swarm = swarm_with(webhook("chat", &chat, "")).await;
    let _second = swarm.second_orchestrator().await;
    happens(&swarm, 1, "first").await;
    chat.request(1).await;
    // Killed between the answer and this, it would leave it to the other to say it again.
    wait::until(30, "the delivery to be noted", async || {
        let noted =
            sqlx::query_scalar("SELECT delivered_at IS NOT NULL FROM destinations WHERE name = 'chat'");
        noted.fetch_one(&swarm.database.pool).await.ok().filter(|noted: &bool| *noted)
    })
    .await;
    swarm.orchestrator.take().unwrap().kill();
    happens(&swarm, 1, "second").await;
    chat.request(2).await;
    let told: Vec<_> = chat.received().iter().map(|one| text(one).to_owned()).collect();
    assert_eq!(told, ["drone: grounded: first", "drone: grounded: second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_tries_it() {
    let (chat, deaf) = (Receiver::start().await, Receiver::start().await);
    let swarm = swarm_with(webhook("chat", &chat, "") + &webhook("deaf", &deaf, "")).await;
    deaf.answer(Answer::Status(404));
    let tested = types(&swarm, "notify test").await;
    assert_eq!(tested.code, 7, "{tested:?}");
    assert!(tested.stdout.contains("the server answered 404 Not Found"), "{tested:?}");
    let said = cli::json(&swarm, "notify test chat").await;
    assert_eq!(said, json!([{ "name": "chat", "error": null }]));
    assert_eq!(text(&chat.request(2).await), "This is a test: messages to chat arrive.");
    assert_eq!(types(&swarm, "notify test nobody").await.code, 5);
}
