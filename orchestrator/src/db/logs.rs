//! Build logs: compressed chunks, numbered by the drone, partitioned by the day of the attempt's claim.

use chrono::NaiveDate;
use sqlx::{PgExecutor, PgPool};
use swarm_protocol::drone::Fence;
use swarm_protocol::id::{AttemptId, DroneId};

/// How many chunks are read for a page at most, and at a time for who follows.
const PAGE_CHUNKS: i64 = 64;
const FOLLOWED_CHUNKS: i64 = 4;

/// Stores a chunk if the fence holds; a chunk that is there already stays as it is. `false`: the fence does not hold.
pub async fn insert(
    db: impl PgExecutor<'_>,
    attempt: AttemptId,
    drone: DroneId,
    fence: Fence,
    sequence: i32,
    zstd: &[u8],
) -> sqlx::Result<bool> {
    // Chunks are accepted after the end as well: the last lines of a revoked build are worth having, and change nothing.
    sqlx::query_scalar!(
        r#"WITH fenced AS (
               SELECT id, (claimed_at AT TIME ZONE 'UTC')::date AS day FROM attempts
               WHERE id = $1 AND token = $2 AND session_id = $3 AND drone_id = $6
           ), stored AS (
               INSERT INTO log_chunks (attempt_id, sequence, day, zstd)
               SELECT id, $4, day, $5 FROM fenced ON CONFLICT DO NOTHING
           )
           SELECT EXISTS (SELECT FROM fenced) AS "fenced!""#,
        attempt.0,
        fence.token.0,
        fence.session.0,
        sequence,
        zstd,
        drone.0
    )
    .fetch_one(db)
    .await
}

/// The chunks of an attempt from `since` on, in order, each with its number and compressed on its own.
pub async fn chunks(
    db: impl PgExecutor<'_>,
    attempt: AttemptId,
    since: i32,
) -> sqlx::Result<Vec<(i32, Vec<u8>)>> {
    let rows = sqlx::query!(
        "SELECT sequence, zstd FROM log_chunks WHERE attempt_id = $1 AND sequence >= $2 ORDER BY sequence",
        attempt.0,
        since
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.sequence, row.zstd)).collect())
}

/// The newest chunks of an attempt before `before`, in order: as many as have `bytes` compressed bytes, and one at least.
pub async fn chunks_before(
    db: impl PgExecutor<'_>,
    attempt: AttemptId,
    before: i32,
    bytes: i64,
) -> sqlx::Result<Vec<(i32, Vec<u8>)>> {
    let rows = sqlx::query!(
        r#"SELECT sequence AS "sequence!", zstd AS "zstd!" FROM (
               SELECT sequence, zstd, COALESCE(sum(octet_length(zstd)) OVER (
                          ORDER BY sequence DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS behind
               FROM (SELECT sequence, zstd FROM log_chunks WHERE attempt_id = $1 AND sequence < $2
                     ORDER BY sequence DESC LIMIT $4) AS newest) AS counted
           WHERE behind < $3 ORDER BY sequence"#,
        attempt.0,
        before,
        bytes,
        PAGE_CHUNKS
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.sequence, row.zstd)).collect())
}

/// The next chunks of an attempt from `since` on, a few at a time.
pub async fn next_chunks(
    db: impl PgExecutor<'_>,
    attempt: AttemptId,
    since: i32,
) -> sqlx::Result<Vec<(i32, Vec<u8>)>> {
    let rows = sqlx::query!(
        "SELECT sequence, zstd FROM log_chunks WHERE attempt_id = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3",
        attempt.0,
        since,
        FOLLOWED_CHUNKS
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.sequence, row.zstd)).collect())
}

/// Whether the attempt has ended; `None` where there is no such attempt. A young one has no chunks yet.
pub async fn has_ended(db: impl PgExecutor<'_>, attempt: AttemptId) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(r#"SELECT phase = 'ended' AS "ended!" FROM attempts WHERE id = $1"#, attempt.0)
        .fetch_optional(db)
        .await
}

/// Makes the partitions of today and the next days, drops those older than `retention_days`. Returns the dropped.
///
/// Both want the table for a moment, and whoever writes logs would queue behind them: they give up at once where
/// somebody reads all of it, as `pg_dump` does, and are done in a later turn.
pub async fn rotate(db: &PgPool, retention_days: u32) -> sqlx::Result<Vec<NaiveDate>> {
    match rotate_now(db, retention_days).await {
        // lock_not_available
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => Ok(Vec::new()),
        outcome => outcome,
    }
}

async fn rotate_now(db: &PgPool, retention_days: u32) -> sqlx::Result<Vec<NaiveDate>> {
    let mut tx = db.begin().await?;
    sqlx::query("SET LOCAL lock_timeout = '200ms'").execute(&mut *tx).await?;
    // One orchestrator at a time: two that make a table of the same name disturb each other, IF NOT EXISTS or not. Whoever
    // writes or reads logs is not held up by this lock.
    sqlx::query("LOCK TABLE log_chunks IN SHARE UPDATE EXCLUSIVE MODE").execute(&mut *tx).await?;
    sqlx::query!(
        "SELECT log_partition((swarm_now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(-1, 3) AS ahead"
    )
    .fetch_all(&mut *tx)
    .await?;
    let old = sqlx::query_scalar!(
        r#"SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS "day!"
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'log_chunks'::regclass
             AND to_date(right(c.relname, 8), 'YYYYMMDD') < (swarm_now() AT TIME ZONE 'UTC')::date - $1::integer"#,
        i32::try_from(retention_days).unwrap_or(i32::MAX)
    )
    .fetch_all(&mut *tx)
    .await?;
    for day in &old {
        // The name is made of a date that Postgres itself returned.
        let drop = format!("DROP TABLE log_chunks_{}", day.format("%Y%m%d"));
        sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(old)
}
