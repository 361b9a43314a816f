//! Build logs: days are made ahead and dropped when they are old.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::logs;
use std::time::Duration;
use swarm_tests::database::Database;
use swarm_tests::wait;
use tokio::time::timeout;

#[tokio::test]
async fn dropping_a_day_waits_for_no_dump() {
    let database = Database::migrated().await;
    sqlx::query("SELECT log_partition(current_date - 100)").execute(&database.pool).await.unwrap();
    // What pg_dump holds as long as it takes.
    let mut dump = database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE log_chunks IN ACCESS SHARE MODE").execute(&mut *dump).await.unwrap();
    let during = timeout(Duration::from_secs(10), logs::rotate(&database.pool, 90)).await.unwrap().unwrap();
    assert!(during.is_empty());
    dump.rollback().await.unwrap();
    assert_eq!(logs::rotate(&database.pool, 90).await.unwrap().len(), 1, "a later turn does it");
}

#[tokio::test]
async fn orchestrators_that_start_at_once_do_not_disturb_each_other() {
    let database = Database::migrated().await;
    let mut other = database.pool.begin().await.unwrap();
    sqlx::query("SELECT log_partition(current_date + 1)").execute(&mut *other).await.unwrap();
    let rotating = tokio::spawn({
        let pool = database.pool.clone();
        async move { logs::rotate(&pool, 90).await }
    });
    wait::until(30, "the second one to wait for the first", async || {
        let waiting =
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (rotating.is_finished()
            || sqlx::query(waiting).fetch_optional(&database.pool).await.unwrap().is_some())
        .then_some(())
    })
    .await;
    other.commit().await.unwrap();
    rotating.await.unwrap().expect("what the other one has made is no error");
}
