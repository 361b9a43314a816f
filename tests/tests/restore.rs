//! The database is lost, and restored from a dump that is older than what the binhost and the drones have seen: with the very
//! commands of `docs/OPERATIONS.md`, into another database of the same Postgres, and into another Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use swarm_protocol::admin::Event;
use swarm_protocol::drone::{Claim, Completion};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::id::RunId;
use swarm_protocol::state::{GenerationState, RunState};
use swarm_protocol::{Code, Digest};
use swarm_tests::cli::{ok, types};
use swarm_tests::cluster::Cluster;
use swarm_tests::database::Database;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::gpkg;
use swarm_tests::receiver::Receiver;
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, plans, wait};

/// When the next package was built.
static TIME: AtomicU32 = AtomicU32::new(1_700_000_000);

const ALL: &[&str] = &["test/a-1", "test/b-1", "test/c-1"];

/// An epoch of another configuration: everything is built anew under it.
fn epoch_of(configuration: &[u8]) -> Epoch {
    Epoch { configuration: Digest::of(configuration), ..plans::epoch() }
}

/// Runs the line of the operator's page that begins with `program`, as its reader would.
fn as_documented(swarm: &Swarm, program: &str, database: &Database) {
    let page = include_str!("../../docs/OPERATIONS.md");
    let line = page.lines().find(|line| line.starts_with(program)).expect("the page has the command");
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("DATABASE_URL", &database.url).current_dir(swarm.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// The swarm loses its database, and goes on with the dump in another one.
async fn restore(swarm: &mut Swarm, database: Database) {
    swarm.orchestrator.take().unwrap().kill();
    as_documented(swarm, "pg_restore", &database);
    let config = swarm.path().join("orchestrator.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&swarm.database.url, &database.url)).unwrap();
    swarm.database = database;
    swarm.start_orchestrator().await;
}

/// Uses up transaction ids, as months do.
async fn age(database: &Database) {
    let many = "DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    sqlx::raw_sql(many).execute(&database.pool).await.unwrap();
}

/// Waits until the destination of notifications is known, and stands so.
async fn people(swarm: &Swarm, condition: &str) {
    let query = format!("SELECT EXISTS (SELECT FROM destinations WHERE {condition})");
    wait::until(30, &format!("people to be told: {condition}"), async || {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone()));
        query.fetch_one(&swarm.database.pool).await.unwrap_or(false).then_some(())
    })
    .await;
}

/// Builds a package. As with a real compiler, no two builds give the same bytes.
async fn build(drone: &ScriptedDrone, claim: &Claim) {
    drone.start(claim).await.unwrap();
    let time = TIME.fetch_add(1, Ordering::Relaxed).to_string();
    let bytes = gpkg::package_with(claim, &[("USE", ""), ("IUSE", ""), ("BUILD_TIME", &time)]);
    let complete = drone.upload_bytes(claim, bytes).await;
    let completed = drone.complete(claim, &complete).await.unwrap();
    assert_eq!(completed.result, Completion::Received, "{:?}", completed.reason);
    drone.forget(claim);
}

async fn built(swarm: &Swarm, drone: &ScriptedDrone, epoch: &Epoch, packages: &[&str]) -> RunId {
    let run = swarm.run(epoch.clone(), plans::plan(packages, &[])).await;
    while swarm.admin.run(run).await.unwrap().counts.received < packages.len().try_into().unwrap() {
        drone.beat(&[]).await.unwrap();
        if let Some(claim) = drone.claim(1).await {
            build(drone, &claim).await;
        }
    }
    swarm.run_reaches(run, RunState::Promoted, 20).await;
    run
}

/// The index that clients see: its TIMESTAMP, and its packages' paths.
async fn index(swarm: &Swarm) -> (i64, Vec<String>) {
    let url = format!("{}/binhost/{}/Packages", swarm.binhost_url(), target());
    let text = reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap();
    let values =
        |key: &str| text.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect();
    let (times, paths): (Vec<String>, Vec<String>) = (values("TIMESTAMP: "), values("PATH: "));
    (times[0].parse().unwrap(), paths)
}

async fn bytes(swarm: &Swarm, path: &str) -> Vec<u8> {
    let url = format!("{}/binhost/{}/{path}", swarm.binhost_url(), target());
    reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
}

fn keys(events: &[Event]) -> BTreeMap<i64, String> {
    events.iter().map(|event| (event.id.0, event.kind.clone())).collect()
}

/// Everything that a reader is shown who begins at `cursor`, once `found` is among it.
async fn shown(swarm: &Swarm, cursor: &str, found: impl Fn(&Event) -> bool) -> Vec<Event> {
    let (mut cursor, mut events) = (cursor.to_owned(), Vec::new());
    wait::until(30, "an event to be shown", async || {
        let page = swarm.admin.events(&cursor).await.unwrap();
        cursor = page.cursor;
        events.extend(page.events);
        (!page.more && events.iter().any(&found)).then_some(())
    })
    .await;
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn into_another_database_of_the_same_postgres() {
    lives_on(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn into_another_postgres() {
    lives_on(Some(Cluster::start().await)).await;
}

/// The dump was made in the middle of a run, which was promoted after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_over_already_gives_way_to_another_one() {
    let mut swarm = Swarm::start_with(Settings { gate: "required = false\n", ..Settings::default() }).await;
    let ant = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = ant.heart();
    let first = swarm.run(plans::epoch(), plans::plan(&ALL[..2], &[])).await;
    build(&ant, &ant.claim(5).await.unwrap()).await;
    as_documented(&swarm, "pg_dump", &swarm.database);
    build(&ant, &ant.claim(5).await.unwrap()).await;
    swarm.run_reaches(first, RunState::Promoted, 20).await;
    let view = swarm.binhost_directory().join(format!("targets/{}/runs/{first}", target()));
    wait::until(30, "the run's view to be dropped", async || (!view.exists()).then_some(())).await;
    let before = index(&swarm).await;

    restore(&mut swarm, Database::empty().await).await;
    // Its last package is built once more, and then the binhost tells.
    let claim = ant.claim(20).await.unwrap();
    ant.start(&claim).await.unwrap();
    let complete = ant.upload(&claim).await;
    let refused = ant.complete(&claim, &complete).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::StaleReport));
    ant.forget(&claim);
    let run = swarm.run_reaches(first, RunState::Cancelled, 20).await;
    assert!(run.reason.unwrap().contains("is over, and its view is dropped"));

    let resolution = ant.resolve(20).await.unwrap();
    ant.resolved(&resolution, plans::plan(&ALL[..2], &[])).await.unwrap();
    build(&ant, &ant.claim(20).await.unwrap()).await;
    let run = swarm.run_reaches(resolution.run, RunState::Promoted, 20).await;
    assert_eq!(run.generation.map(|number| number.0), Some(2));
    let now = index(&swarm).await;
    assert!(now.0 >= before.0 + 6 && now.1.len() == 2, "{now:?} after {before:?}");
    assert_eq!(now.1[0], before.1[0], "what the dump knew is kept");
    assert_ne!(now.1[1], before.1[1], "what it did not know is built again");
    // Another start is not another restoration.
    swarm.orchestrator.take().unwrap().kill();
    swarm.start_orchestrator().await;
    let noticed: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE kind = 'database.restored'")
        .fetch_one(&swarm.database.pool)
        .await
        .unwrap();
    assert_eq!(noticed, 1);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

async fn lives_on(elsewhere: Option<Cluster>) {
    let receiver = Receiver::start().await;
    let url = receiver.url("/told");
    let events = "['run.promoted']";
    let tables = format!(
        "[[notify]]\nname = 'people'\ninterval_seconds = 0\nevents = {events}\nwebhook = {{ url = '{url}' }}\n"
    );
    let mut swarm = Swarm::start_with(Settings { tables, ..Settings::default() }).await;
    people(&swarm, "true").await;
    age(&swarm.database).await;
    let ant = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let first = built(&swarm, &ant, &plans::epoch(), &ALL[..2]).await;
    people(&swarm, "delivered_at IS NOT NULL").await;
    let old = checker::check(&swarm.admin, &swarm.database.pool).await;
    as_documented(&swarm, "pg_dump", &swarm.database);

    // What the dump does not know: a drone, two generations, and everything built twice more.
    let (second, third) = (epoch_of(b"second"), epoch_of(b"third"));
    let bee = ScriptedDrone::join(&swarm, "bee", &second).await;
    built(&swarm, &bee, &second, ALL).await;
    let cat = ScriptedDrone::join(&swarm, "cat", &third).await;
    built(&swarm, &cat, &third, ALL).await;
    let lost = index(&swarm).await;
    let kept = bytes(&swarm, &lost.1[0]).await;
    let cursor = swarm.admin.events("now").await.unwrap().cursor;

    let restored = match &elsewhere {
        None => Database::empty().await,
        Some(cluster) => Database::empty_in(&cluster.socket_directory()).await,
    };
    restore(&mut swarm, restored).await;

    // The drone of the dump goes on as it is; the later one is told to enrol again.
    ant.beat(&[]).await.unwrap();
    assert_eq!(bee.beat(&[]).await.unwrap_err().code(), Some(Code::Unauthenticated));
    // What was promoted since is known by its number, and a rollback to it is refused before it does harm.
    wait::until(30, "the lost generations to be known", async || {
        let all = swarm.admin.generations(&target()).await.unwrap();
        let all: Vec<_> = all.iter().map(|generation| (generation.number.0, generation.state)).collect();
        all.starts_with(&[(3, GenerationState::Current), (2, GenerationState::Retired)]).then_some(())
    })
    .await;
    let said = types(&swarm, "generations rollback box --to 2").await;
    assert!(said.code == 1 && said.stderr.contains("what generation 2 contains is not known"), "{said:?}");

    let bee = ScriptedDrone::join(&swarm, "bee", &second).await;
    let next = built(&swarm, &bee, &second, ALL).await;
    let run = swarm.admin.run(next).await.unwrap();
    assert_eq!(run.counts.attempted, 3);
    let failed: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts WHERE outcome = 'failed'")
        .fetch_one(&swarm.database.pool)
        .await
        .unwrap();
    assert_eq!(failed, 0, "no BUILD_ID was given twice");
    let all = swarm.admin.generations(&target()).await.unwrap();
    assert_eq!((all[0].number.0, all[0].state), (4, GenerationState::Current));
    let now = index(&swarm).await;
    assert!(now.0 >= lost.0 + 6, "clients take the new index: {now:?} after {lost:?}");
    assert_eq!(now.1.len(), 3);
    assert!(now.1.iter().all(|path| !lost.1.contains(path)), "{now:?} after {lost:?}");
    assert_eq!(bytes(&swarm, &lost.1[0]).await, kept, "a path names what it named");

    // Readers see what was before the dump and what is now, and one that had read on sees the latter.
    let is_new = |event: &Event| event.kind == "run.promoted" && event.run == Some(next);
    let log = keys(&shown(&swarm, "0", is_new).await);
    assert!(keys(&old).iter().all(|(id, kind)| log.get(id) == Some(kind)), "{log:?}");
    shown(&swarm, &cursor, is_new).await;
    wait::until(30, "people to be told of the new run", async || {
        let mut told =
            receiver.received().into_iter().flat_map(|one| one.body["events"].as_array().cloned().unwrap());
        told.any(|event| event["run"] == next.0).then_some(())
    })
    .await;

    // What the dump knew is as good as it was: the way back leads there.
    let said = ok(&swarm, "generations rollback box").await;
    assert!(said.contains("with the set of generation 1 is current"), "{said}");
    assert_eq!(index(&swarm).await.1.len(), 2);
    assert!(first < next);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
