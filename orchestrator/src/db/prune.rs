//! Deletes what is old and needed by nobody, in batches that are short transactions each: a long one would hold a snapshot, and
//! claims would scan past all that died since.
//!
//! Kept, however old they are: runs that are not over, or that a later run may still succeed; the newest runs of each
//! target; generations that the binhost keeps; and of older runs those packages whose artifacts these contain, with their
//! attempts and with what they were built with: who distrusts a drone asks for that ([`super::withdraw`]). Estimates are
//! in a table of their own ([`super::history`]).

use sqlx::{PgExecutor, PgPool};
use swarm_protocol::id::RunId;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// Events, in days.
    pub events_days: u32,
    /// Runs that are over and what belongs to them, in days.
    pub runs_days: u32,
}

/// How many of the newest runs of each target are kept however old: as many as a quarantine is looked for in.
const RUNS_KEPT: i64 = super::succession::REMEMBERED;
/// How many rows one transaction deletes at most.
const BATCH: i64 = 2000;
/// A generation has as many rows as a target has packages.
const GENERATIONS: i64 = 4;
/// How many transactions of each kind a round has at most.
const BATCHES: usize = 20;
/// How many old runs a round looks through at most, and again after how many seconds.
const RUNS: i64 = 20;
const AGAIN_SECONDS: f64 = 86_400.0;

/// Deletes what is old; gives how many rows, without those that go with others.
pub async fn round(db: &PgPool, ages: Ages) -> sqlx::Result<u64> {
    let (events_age, runs_age) =
        (f64::from(ages.events_days) * 86_400.0, f64::from(ages.runs_days) * 86_400.0);
    let mut deleted = batches(BATCH, || events(db, events_age)).await?;
    deleted += batches(BATCH, || pulses(db)).await?;
    deleted += batches(GENERATIONS, || generations(db, runs_age)).await?;
    for run in old_runs(db, runs_age).await? {
        deleted += batches(BATCH, || packages(db, run)).await?;
        deleted += looked_through(db, run).await?;
    }
    deleted += batches(BATCH, || sessions(db, runs_age)).await?;
    deleted += batches(BATCH, || epochs(db, runs_age)).await?;
    deleted += batches(BATCH, || definitions(db, runs_age)).await?;
    deleted += batches(BATCH, || nightlies(db, runs_age)).await?;
    deleted += batches(BATCH, || join_tokens(db, runs_age)).await?;
    deleted += batches(BATCH, || repairs(db, runs_age)).await?;
    Ok(deleted)
}

/// Deletes batch after batch, until one is not full.
async fn batches<F>(full: i64, mut delete: impl FnMut() -> F) -> sqlx::Result<u64>
where
    F: Future<Output = sqlx::Result<u64>>,
{
    let mut deleted = 0;
    for _ in 0..BATCHES {
        let batch = delete().await?;
        deleted += batch;
        if batch < full.unsigned_abs() {
            break;
        }
    }
    Ok(deleted)
}

/// Ids grow with time: the oldest are looked at, and no others, so that a round with nothing to do costs nothing.
async fn events(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM events WHERE id IN (
             SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT $2) AS oldest
             WHERE at < swarm_now() - make_interval(secs => $1))",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// Of attempts that have ended: nobody asks any more how far they are.
async fn pulses(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM attempt_pulse WHERE attempt_id IN (
             SELECT q.attempt_id FROM attempt_pulse q JOIN attempts a ON a.id = q.attempt_id WHERE a.phase = 'ended' LIMIT $1)",
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// Those that the binhost no longer keeps, but for the newest of a target: numbers are counted on from it.
async fn generations(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM generations WHERE id IN (
             SELECT g.id FROM generations g
             WHERE (g.removed_at < swarm_now() - make_interval(secs => $1)
                    OR g.state = 'refused' AND g.created_at < swarm_now() - make_interval(secs => $1))
               AND g.number < (SELECT max(number) FROM generations WHERE target_id = g.target_id)
               AND NOT EXISTS (SELECT FROM generations o WHERE o.target_id = g.target_id AND o.republishes = g.number)
             -- As their runs go: see `old_runs`.
             ORDER BY g.id DESC LIMIT $2)",
        age,
        GENERATIONS
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// Runs that no later one can succeed any more (their views are dropped), and that are no kept generation's.
async fn old_runs(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r
           WHERE r.ended_at < swarm_now() - make_interval(secs => $1) AND r.view_dropped_at IS NOT NULL
             AND COALESCE(r.pruned_at < swarm_now() - make_interval(secs => $2), true)
             AND r.id <= (SELECT id FROM runs n WHERE n.target_id = r.target_id ORDER BY id DESC OFFSET $3 LIMIT 1)
             AND NOT EXISTS (SELECT FROM runs s WHERE s.predecessor_id = r.id AND s.ended_at IS NULL)
             AND NOT EXISTS (SELECT FROM generations g WHERE g.run_id = r.id)
           -- Younger ones keep what older ones built.
           ORDER BY r.id DESC LIMIT $4"#,
        age,
        AGAIN_SECONDS,
        RUNS_KEPT,
        RUNS
    )
    .fetch_all(db)
    .await
}

/// A run's packages but for those whose artifacts a generation, another run's package or a definition's toolchain has, and
/// what those were built with. A package, its attempts and their artifacts point at each other, so they go in one statement.
async fn packages(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "WITH RECURSIVE needed AS (
             SELECT p.id FROM packages p JOIN attempts a ON a.package_id = p.id JOIN artifacts f ON f.attempt_id = a.id
             WHERE p.run_id = $1
               AND (EXISTS (SELECT FROM generation_artifacts g WHERE g.artifact_id = f.id)
                    OR EXISTS (SELECT FROM packages q WHERE q.artifact_id = f.id AND q.id <> p.id)
                    OR EXISTS (SELECT FROM definitions d WHERE d.target_id = f.target_id
                               AND d.toolchain @> jsonb_build_array(jsonb_build_object('published', f.published))))
             UNION
             SELECT w.on_package_id FROM needed n JOIN waits w ON w.package_id = n.id
         ), old AS (
             SELECT id FROM packages WHERE run_id = $1 AND id NOT IN (SELECT id FROM needed) ORDER BY id LIMIT $2
         ), tries AS (
             SELECT id FROM attempts WHERE package_id IN (SELECT id FROM old)
         ), old_artifacts AS (
             DELETE FROM artifacts WHERE attempt_id IN (SELECT id FROM tries)
         ), old_attempts AS (
             DELETE FROM attempts WHERE id IN (SELECT id FROM tries)
         )
         DELETE FROM packages WHERE id IN (SELECT id FROM old)",
        run.0,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// A run without packages goes; another one is looked at again in a day. Gives 1 or 0.
async fn looked_through(db: &PgPool, run: RunId) -> sqlx::Result<u64> {
    let mut tx = db.begin().await?;
    let empty = sqlx::query_scalar!(
        r#"UPDATE runs SET pruned_at = swarm_now() WHERE id = $1
           RETURNING NOT EXISTS (SELECT FROM packages WHERE run_id = $1) AS "empty!""#,
        run.0
    );
    let empty = empty.fetch_one(&mut *tx).await?;
    if empty {
        sqlx::query!("DELETE FROM resolutions WHERE run_id = $1", run.0).execute(&mut *tx).await?;
        sqlx::query!("DELETE FROM gates WHERE run_id = $1", run.0).execute(&mut *tx).await?;
        sqlx::query!("UPDATE nightlies SET run_id = NULL WHERE run_id = $1", run.0).execute(&mut *tx).await?;
        sqlx::query!(
            "UPDATE runs SET predecessor_id = NULLIF(predecessor_id, $1), mends_id = NULLIF(mends_id, $1)
             WHERE predecessor_id = $1 OR mends_id = $1",
            run.0
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("DELETE FROM runs WHERE id = $1", run.0).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(u64::from(empty))
}

async fn sessions(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM sessions WHERE id IN (
             SELECT s.id FROM sessions s
             WHERE s.ended_at < swarm_now() - make_interval(secs => $1)
               AND NOT EXISTS (SELECT FROM attempts WHERE session_id = s.id)
               AND NOT EXISTS (SELECT FROM resolutions WHERE session_id = s.id)
               AND NOT EXISTS (SELECT FROM gates WHERE session_id = s.id)
             ORDER BY s.id LIMIT $2)",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

async fn epochs(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM epochs WHERE id IN (
             SELECT e.id FROM epochs e
             WHERE e.created_at < swarm_now() - make_interval(secs => $1)
               AND NOT EXISTS (SELECT FROM runs WHERE epoch_id = e.id)
               AND NOT EXISTS (SELECT FROM artifacts WHERE epoch_id = e.id)
               AND NOT EXISTS (SELECT FROM resolutions WHERE epoch_id = e.id)
             ORDER BY e.id LIMIT $2)",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// But for the newest of a target, which keep their bundles.
async fn definitions(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM definitions WHERE id IN (
             SELECT d.id FROM definitions d
             WHERE d.created_at < swarm_now() - make_interval(secs => $1)
               AND d.number <= (SELECT max(number) FROM definitions WHERE target_id = d.target_id) - $3
               AND NOT EXISTS (SELECT FROM runs WHERE definition_id = d.id)
               AND NOT EXISTS (SELECT FROM unbrought_definitions WHERE definition_id = d.id)
             ORDER BY d.id LIMIT $2)",
        age,
        BATCH,
        super::definitions::KEPT
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

/// But for the newest of a target, which says when the next one is due.
async fn nightlies(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM nightlies WHERE id IN (
             SELECT n.id FROM nightlies n
             WHERE n.ended_at < swarm_now() - make_interval(secs => $1)
               AND n.id < (SELECT max(id) FROM nightlies WHERE target_id = n.target_id)
             ORDER BY n.id LIMIT $2)",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

async fn join_tokens(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM join_tokens WHERE id IN (
             SELECT id FROM join_tokens WHERE expires_at < swarm_now() - make_interval(secs => $1) ORDER BY id LIMIT $2)",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}

async fn repairs(db: impl PgExecutor<'_>, age: f64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM repairs WHERE id IN (
             SELECT id FROM repairs WHERE ended_at < swarm_now() - make_interval(secs => $1) ORDER BY id LIMIT $2)",
        age,
        BATCH
    );
    Ok(deleted.execute(db).await?.rows_affected())
}
