//! Build logs: days are made ahead and dropped when they are old.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::logs;
use std::time::Duration;
use swarm_tests::database::Database;
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
