//! Where the database is, so that the orchestrator notices when it goes on from a dump: in another database, another cluster,
//! or on another timeline than at its last start. What came after the dump is lost here and known elsewhere: drones hold ids
//! of definitions, sessions and attempts, the binhost holds runs, `BUILD_ID`s and generations, viewers hold places in the event
//! log. None of these is given a second time: all go on from the time of the restoration, in minutes or in milliseconds, which
//! is ahead of whatever was counted before, even if the same dump is restored twice. Generations are learned from the
//! binhost ([`crate::learn`]).

use super::events::{self, NewEvent};
use sqlx::PgPool;

/// At least so much is skipped, where the clock has nothing to say.
const SKIPPED: i64 = 1_000;

/// Notes where the database is. `true`: it is elsewhere, and from now on goes on far behind all that may have been given.
pub async fn arrive(db: &PgPool) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    // Of two orchestrators that start at once, the second finds it done.
    let moved = sqlx::query_scalar!(
        r#"SELECT place IS DISTINCT FROM swarm_place() AS "moved!" FROM home FOR UPDATE"#
    );
    if !moved.fetch_one(&mut *tx).await? {
        return Ok(false);
    }
    // Sequences do not roll back; to skip ids twice does no harm. People type the numbers of runs.
    sqlx::query!(
        "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass,
                       GREATEST(COALESCE(last_value, 0) + $1::bigint,
                                (extract(epoch FROM swarm_now()) *
                                 CASE sequencename WHEN 'runs_id_seq' THEN 1 / 60.0 ELSE 1000 END)::bigint))
         FROM pg_sequences WHERE schemaname = 'public'",
        SKIPPED
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "WITH given AS (
             SELECT GREATEST((SELECT xid::text::bigint FROM events ORDER BY xid DESC, id DESC LIMIT 1),
                             (SELECT max(COALESCE(until, told)::text::bigint) FROM destinations),
                             swarm_horizon()::text::bigint) AS xid,
                    GREATEST(build_id_floor, (SELECT max(last) FROM build_ids)) AS build_id,
                    extract(epoch FROM swarm_now()) AS seconds
             FROM home)
         UPDATE home SET place = swarm_place(),
             xid_shift = GREATEST(given.xid + $1::bigint, (seconds * 1000)::bigint)
                         - pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
             build_id_floor = GREATEST(given.build_id + $1::bigint, (seconds / 60)::bigint)
         FROM given",
        SKIPPED
    )
    .execute(&mut *tx)
    .await?;
    events::append(&mut tx, NewEvent { kind: "database.restored", ..NewEvent::default() }).await?;
    tx.commit().await?;
    Ok(true)
}
