//! The embedded default: an orchestrator without URLs runs a private Postgres and a private Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use swarm_protocol::admin::NewTarget;
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::AdminClient;
use swarm_tests::embedded::{Embedded, kill, lives, uid_of};
use swarm_tests::swarm::target;
use swarm_tests::wait;

/// Nobody's user id on Debian and on Gentoo.
const NOBODY: u32 = 65534;

/// Puts something into the database that must not be lost.
async fn mark(swarm: &Embedded) -> AdminClient {
    let admin = swarm.admin();
    admin
        .create_target(&NewTarget { name: target(), world: vec![], provided: Provided::default() })
        .await
        .unwrap();
    admin
}

/// Whether it is there, through the API and with the token of then.
async fn is_marked(admin: &AdminClient) -> bool {
    admin.targets().await.unwrap().iter().any(|found| found.name == target())
}

fn servers(swarm: &Embedded) -> [Pid; 2] {
    [swarm.postmaster().expect("Postgres runs"), swarm.redis_server().expect("Redis runs")]
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_adopted_after_a_kill_and_end_with_an_orderly_stop() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let admin = mark(&swarm).await;
    let before = servers(&swarm);
    swarm.orchestrator.take().unwrap().kill();
    assert!(before.iter().all(|&server| lives(server)), "they outlive the orchestrator");
    swarm.start().await;
    assert_eq!(servers(&swarm), before, "the same processes serve");
    assert!(is_marked(&admin).await);
    swarm.stop().await;
    assert!(!before.iter().any(|&server| lives(server)), "an orderly stop stops them");
    swarm.start().await;
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_initdb_leaves_nothing_behind() {
    let mut swarm = Embedded::new("state");
    swarm.spawn();
    let half = wait::until(30, "initdb to be at work", async || {
        swarm.unfinished().into_iter().find(|directory| directory.join("PG_VERSION").exists())
    })
    .await;
    swarm.orchestrator.take().unwrap().kill();
    assert!(half.exists() && !swarm.data().exists(), "it was in the middle");
    // One from an earlier crash, whose initdb is long gone.
    fs::create_dir_all(swarm.state.join("postgres.initdb.earlier/base")).unwrap();
    swarm.start().await;
    assert_eq!(swarm.unfinished(), Vec::<std::path::PathBuf>::new());
    assert!(is_marked(&mark(&swarm).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_on_the_directory_is_refused() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let before = servers(&swarm);
    let mut second = swarm.another("second.log");
    assert!(!second.ended(20).await.success());
    let said = second.output();
    assert!(said.contains("another build-orchestrator (pid "), "{said}");
    assert!(said.contains(&swarm.state.display().to_string()), "{said}");
    assert_eq!(servers(&swarm), before);
    swarm.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_version_is_refused_and_left_alone() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let admin = mark(&swarm).await;
    swarm.stop().await;
    let version = swarm.data().join("PG_VERSION");
    let ours = fs::read_to_string(&version).unwrap();
    fs::write(&version, "9\n").unwrap();
    let checked = swarm.complains(&["--check-config"]);
    let mut refused = swarm.another("refused.log");
    assert!(!refused.ended(20).await.success());
    for said in [checked, refused.output()] {
        let fixes = ["PostgreSQL 9", "dev-db/postgresql:9", "postgresql-9", "build-orchestrator restore"];
        assert!(fixes.iter().all(|fix| said.contains(fix)), "{said}");
    }
    fs::write(&version, ours).unwrap();
    assert!(swarm.prints(&["--check-config"]).contains("good"));
    swarm.start().await;
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_drops_to_an_account_of_which_everything_is() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let account = fs::metadata(swarm.data()).unwrap().uid();
    assert_ne!(account, 0);
    assert_eq!(servers(&swarm).map(uid_of), [account; 2]);
    for directory in [swarm.data(), swarm.sockets()] {
        let metadata = fs::metadata(&directory).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (account, 0o700), "{}", directory.display());
    }
    assert_eq!(fs::metadata(&swarm.state).unwrap().uid(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_than_root_runs_them_itself() {
    let mut swarm = Embedded::new("state");
    swarm.run_as(NOBODY);
    swarm.start().await;
    assert_eq!(servers(&swarm).map(uid_of), [NOBODY; 2]);
    // Root may use what runs, and starts nothing in a directory that is not its own.
    let admin = mark(&swarm).await;
    swarm.stop().await;
    let refused = swarm.complains(&["token"]);
    assert!(refused.contains("run it as the directory's owner"), "{refused}");
    swarm.start().await;
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_with_a_long_path_works() {
    let mut swarm = Embedded::new(&format!("{}/{}", "long".repeat(30), "path".repeat(30)));
    assert!(swarm.state.as_os_str().len() > 200);
    swarm.start().await;
    let admin = mark(&swarm).await;
    let (before, sockets) = (servers(&swarm), swarm.sockets());
    let metadata = fs::metadata(&sockets).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o700, "{}", sockets.display());
    swarm.orchestrator.take().unwrap().kill();
    swarm.start().await;
    assert_eq!(servers(&swarm), before);
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_restored_into_a_new_cluster() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let admin = mark(&swarm).await;
    let file = swarm.path().join("moving.dump").display().to_string();
    assert_eq!(swarm.prints(&["dump", &file]), file);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600, "it holds the hashes of tokens");
    let refused = swarm.complains(&["restore", &file]);
    assert!(refused.contains("another build-orchestrator (pid "), "{refused}");
    swarm.stop().await;
    fs::rename(swarm.data(), swarm.path().join("old-cluster")).unwrap();
    let _ = swarm.prints(&["restore", &file]);
    assert_eq!(swarm.postmaster(), None, "it was started for the restore only");
    swarm.start().await;
    assert!(is_marked(&admin).await, "with the token of the old cluster");

    sqlx::query("DELETE FROM targets").execute(&mut swarm.database().await).await.unwrap();
    swarm.stop().await;
    let refused = swarm.complains(&["restore", &file]);
    assert!(refused.contains("--replace"), "{refused}");
    let broken = swarm.path().join("broken.dump").display().to_string();
    let half = fs::read(&file).unwrap();
    fs::write(&broken, &half[..half.len() / 2]).unwrap();
    let refused = swarm.complains(&["restore", "--replace", &broken]);
    assert!(refused.contains("pg_restore failed"), "{refused}");
    swarm.start().await;
    assert!(!is_marked(&admin).await, "neither refusal changed anything");
    swarm.stop().await;
    let _ = swarm.prints(&["restore", "--replace", &file]);
    swarm.start().await;
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn subcommands_start_what_does_not_run_and_stop_it_again() {
    let mut swarm = Embedded::new("state");
    let _ = swarm.prints(&["--check-config"]);
    assert!(!swarm.state.exists(), "a check starts and makes nothing");
    let _ = swarm.prints(&["migrate"]);
    let admin = swarm.admin();
    assert_eq!(swarm.postmaster(), None);
    swarm.start().await;
    assert!(!is_marked(&admin).await, "the token is good");
    let running = servers(&swarm);
    swarm.orchestrator.take().unwrap().kill();
    let _ = swarm.prints(&["token"]);
    assert_eq!(servers(&swarm), running, "what ran before runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_is_started_again() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let admin = mark(&swarm).await;
    let before = swarm.postmaster().unwrap();
    kill(before).await;
    wait::until(60, "Postgres to serve again", async || {
        let healed = swarm.postmaster().is_some_and(|now| now != before);
        (healed && swarm.degraded().await.is_some()).then_some(())
    })
    .await;
    assert!(is_marked(&admin).await);
    assert!(lives(swarm.redis_server().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_from_before_a_power_cut_is_seen_through() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let admin = mark(&swarm).await;
    let [postmaster, redis] = servers(&swarm);
    swarm.orchestrator.take().unwrap().kill();
    kill(postmaster).await;
    // After the reboot, another process of the same account has the postmaster's pid.
    for file in [swarm.data().join("postmaster.pid"), swarm.state.join("run/.s.PGSQL.5432.lock")] {
        let text = fs::read_to_string(&file).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        fs::write(&file, format!("{}\n{rest}", redis.as_raw_nonzero())).unwrap();
    }
    swarm.start().await;
    assert!(is_marked(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_forget_and_may_die() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let before = swarm.redis_server().unwrap();
    assert!(swarm.redis("FLUSHALL").unwrap().starts_with("+OK"));
    assert_eq!(swarm.degraded().await, Some(Vec::new()));
    kill(before).await;
    wait::until(30, "Redis to serve again", async || swarm.redis_server().filter(|&now| now != before)).await;
    wait::until(30, "nothing to be degraded", async || swarm.degraded().await?.is_empty().then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_gets_no_second_beside_it() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let redis = swarm.redis_server().unwrap();
    kill_process(redis, Signal::STOP).unwrap();
    let orchestrator = swarm.orchestrator.as_ref().unwrap();
    wait::until(30, "the hanging Redis to be noticed", async || {
        orchestrator.output().contains("the private Redis hangs").then_some(())
    })
    .await;
    assert!(swarm.degraded().await.unwrap().iter().any(|trouble| trouble.contains("Redis")));
    kill_process(redis, Signal::CONT).unwrap();
    wait::until(30, "nothing to be degraded", async || swarm.degraded().await?.is_empty().then_some(()))
        .await;
    assert_eq!(swarm.redis_server(), Some(redis));
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_are_made_by_the_clock_and_a_failure_is_an_alarm() {
    let mut swarm = Embedded::with("state", "dump_seconds = 1\ndumps_kept = 2\n");
    swarm.start().await;
    let dumps = swarm.state.join("dumps");
    let list = || {
        let entries = fs::read_dir(&dumps).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| !name.to_string_lossy().starts_with('.'));
        names.sort();
        names
    };
    let first = wait::until(30, "a dump", async || list().pop()).await;
    wait::until(30, "the first dump to be replaced", async || {
        let now = list();
        (now.len() >= 2 && !now.contains(&first)).then_some(())
    })
    .await;
    fs::rename(&dumps, swarm.path().join("dumps")).unwrap();
    fs::write(&dumps, "in the way").unwrap();
    wait::until(30, "the alarm", async || {
        swarm.degraded().await?.iter().any(|alarm| alarm.contains("nightly dump")).then_some(())
    })
    .await;
    fs::remove_file(&dumps).unwrap();
    wait::until(30, "the end of the alarm", async || swarm.degraded().await?.is_empty().then_some(())).await;
    assert!(list().len() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_leaves_the_servers_to_the_next_start() {
    let mut swarm = Embedded::new("state");
    swarm.start().await;
    let running = servers(&swarm);
    let mut orchestrator = swarm.orchestrator.take().unwrap();
    // Both arrive at once, and are two, since they differ.
    orchestrator.signal(Signal::STOP);
    orchestrator.signal(Signal::TERM);
    orchestrator.signal(Signal::INT);
    orchestrator.signal(Signal::CONT);
    assert!(orchestrator.ended(20).await.success());
    assert_eq!(servers(&swarm), running);
    swarm.start().await;
    assert_eq!(servers(&swarm), running);
}
