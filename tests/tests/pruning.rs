//! Years of nightly runs, and what is left of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::prune::{self, Ages};
use build_orchestrator::db::{history, succession, withdraw};
use build_orchestrator::history::History;
use sqlx::PgPool;
use swarm_protocol::id::{DroneId, RunId};
use swarm_tests::database::Database;

/// Three years of nights, the last one today. Each night a fifteenth of thirty packages is built again, in a root with
/// `test/p0x`, but for `test/p29x`, which is built in the first night alone; the generations of the last ten nights are
/// kept. In the second night there was also `test/gone`, which the newest definition has in its toolchain.
const YEARS: &str = "
INSERT INTO targets (name) VALUES ('box');
INSERT INTO drones (name, machine_id) VALUES ('one', '1');
INSERT INTO drones (name, machine_id) VALUES ('two', '2');
DO $$
DECLARE
    night integer; number integer; at timestamptz; run bigint; session bigint; package bigint; first bigint; artifact bigint;
    names text[]; current bigint[] := array_fill(NULL::bigint, ARRAY[31]); generation bigint;
BEGIN
    FOR night IN 1..1095 LOOP
        at := swarm_now() - make_interval(days => 1095 - night);
        INSERT INTO epochs (target_id, digest, compat, content, created_at)
            VALUES (1, md5(night::text) || md5('e' || night), repeat('a', 64), '{}', at);
        INSERT INTO definitions (target_id, number, workstation, configuration, repositories, created_at)
            VALUES (1, night, 'w', '{}', '[]', at);
        INSERT INTO sessions (drone_id, nonce, version, cores, memory_bytes, started_at, ended_at)
            VALUES (1, gen_random_uuid(), '1', 1, 1, at, at) RETURNING id INTO session;
        INSERT INTO runs (target_id, epoch_id, definition_id, predecessor_id, state, created_at, ended_at, view_dropped_at)
            VALUES (1, night, night, (SELECT max(id) FROM runs), 'promoted', at, at, at) RETURNING id INTO run;
        INSERT INTO resolutions (run_id, number, drone_id, session_id, epoch_id, token, outcome, ended_at)
            VALUES (run, 1, 1, session, night, gen_random_uuid(), 'planned', at);
        INSERT INTO gates (run_id, number, drone_id, session_id, token, outcome, ended_at)
            VALUES (run, 1, 1, session, gen_random_uuid(), 'passed', at);
        INSERT INTO generations (target_id, run_id, number, state, promoted_at, removed_at)
            VALUES (1, run, night, CASE WHEN night = 1095 THEN 'current' ELSE 'retired' END::generation_state, at,
                    CASE WHEN night <= 1085 THEN at + interval '10 days' END) RETURNING id INTO generation;
        INSERT INTO nightlies (target_id, host, period_seconds, started_at, ended_at, result, run_id)
            VALUES (1, 'w', 86400, at, at, 'succeeded', run);
        INSERT INTO repairs (drone_id, step, reason, dry_run, begun_at, acted_at, ended_at, outcome)
            VALUES (1, 'restart', 'silent', false, at, at, at, 'revived');
        FOR number IN 0..30 LOOP
            CONTINUE WHEN number = 30 AND night <> 2;
            IF night = 1 OR night = 2 AND number = 30 OR number < 29 AND number % 15 = night % 15 THEN
                INSERT INTO packages (run_id, cpv, slot, repository, use_flags, position, estimate_seconds, rank, unmet, attempts)
                    VALUES (run, CASE WHEN number = 30 THEN 'test/gone-1' ELSE format('test/p%sx-%s', number, night) END,
                            '0', 'test', '{}', number, 1, 1, 0, 1) RETURNING id INTO package;
                INSERT INTO attempts (package_id, number, drone_id, session_id, claim_request, token, build_id, phase, outcome,
                                      built, claimed_at, started_at, completed_at, ended_at)
                    VALUES (package, 1, 1 + (number = 0)::integer, session, number, gen_random_uuid(), 1, 'ended', 'received',
                            repeat('b', 64), at, at, at + interval '1 minute', at + interval '1 minute');
                INSERT INTO attempt_usage VALUES (currval('attempts_id_seq'), false, 1, 1, 1, 1, 1, 1, 1, 1);
                INSERT INTO attempt_pulse VALUES (currval('attempts_id_seq'), 1, at);
                INSERT INTO artifacts (target_id, epoch_id, attempt_id, cpv, build_id, built, published, size, path)
                    SELECT 1, night, currval('attempts_id_seq'), cpv, 1, repeat('b', 64), repeat(CASE number WHEN 30 THEN 'd' ELSE 'c' END, 64), 1, cpv
                    FROM packages WHERE id = package RETURNING id INTO artifact;
                INSERT INTO builds (target_id, drone_id, cpv, seconds, memory_bytes, disk_bytes, halvings)
                    SELECT 1, 1, cpv, 60, 1, 1, 0 FROM packages WHERE id = package;
                current[number + 1] := artifact;
                UPDATE packages SET state = 'delegated' WHERE id = package;
                UPDATE packages SET state = 'received', artifact_id = artifact WHERE id = package;
            ELSE
                INSERT INTO packages (run_id, cpv, slot, repository, use_flags, position, estimate_seconds, rank, unmet, state,
                                      artifact_id)
                    SELECT run, cpv, '0', 'test', '{}', number, 1, 1, 0, 'received', id FROM artifacts
                    WHERE id = current[number + 1] RETURNING packages.id INTO package;
            END IF;
            IF number = 0 THEN first := package; ELSE INSERT INTO waits VALUES (package, first); END IF;
            INSERT INTO generation_artifacts SELECT generation, current[number + 1] WHERE number < 30;
        END LOOP;
        INSERT INTO events (at, kind, run_id) SELECT at, 'run.promoted', run FROM generate_series(1, 20);
    END LOOP;
END $$;
UPDATE definitions SET toolchain = jsonb_build_array(jsonb_build_object('published', repeat('d', 64))) WHERE number = 1095;
ANALYZE;";

async fn count(pool: &PgPool, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(pool).await.unwrap()
}

/// Half a year, and what its first nights kept of the month before.
const NIGHTS: i64 = 182 + 30;

#[tokio::test]
async fn years_of_history_stay_bounded_and_what_is_needed_stays() {
    let pool = Database::migrated().await.pool;
    sqlx::raw_sql(YEARS).execute(&pool).await.unwrap();
    let ages = Ages { events_days: 90, runs_days: 180 };
    let mut rounds = 0;
    while prune::round(&pool, ages).await.unwrap() > 0 {
        rounds += 1;
        assert!(rounds < 200, "it comes to an end");
    }
    assert!(rounds > 20, "in bounded batches");

    for (table, most) in [
        ("SELECT count(*) FROM events", 20 * 91),
        ("SELECT count(*) FROM runs", NIGHTS),
        ("SELECT count(*) FROM packages", NIGHTS * 30),
        ("SELECT count(*) FROM attempts", NIGHTS * 2 + 60),
        ("SELECT count(*) FROM artifacts", NIGHTS * 2 + 60),
        ("SELECT count(*) FROM generations", NIGHTS),
        ("SELECT count(*) FROM resolutions", NIGHTS),
        ("SELECT count(*) FROM gates", NIGHTS),
        ("SELECT count(*) FROM sessions", NIGHTS),
        ("SELECT count(*) FROM epochs", NIGHTS),
        ("SELECT count(*) FROM definitions", NIGHTS),
        ("SELECT count(*) FROM nightlies", NIGHTS),
        ("SELECT count(*) FROM repairs", NIGHTS),
        ("SELECT count(*) FROM attempt_pulse", 0),
    ] {
        let rows = count(&pool, table).await;
        assert!(rows <= most, "{table}: {rows}");
        assert!(most == 0 || rows >= 30, "{table}: not everything is old, but {rows} are left");
    }

    let whole = "SELECT count(*) FROM generation_artifacts a JOIN generations g ON g.id = a.generation_id AND g.number > 1085
                 JOIN artifacts f ON f.id = a.artifact_id JOIN attempts t ON t.id = f.attempt_id";
    assert_eq!(count(&pool, whole).await, 300, "what the binhost keeps is known whole");

    // Of the first night, what is still published, and what that was built with.
    let first = sqlx::query_scalar("SELECT cpv FROM packages WHERE run_id = 1 ORDER BY position");
    let first: Vec<String> = first.fetch_all(&pool).await.unwrap();
    assert_eq!(first, ["test/p0x-1", "test/p29x-1"]);
    let mut tx = pool.begin().await.unwrap();
    withdraw::artifacts(&mut tx, DroneId(2)).await.unwrap();
    let published = withdraw::published(&mut *tx).await.unwrap();
    assert!(published.iter().any(|one| one.cpv.to_string() == "test/p29x-1"), "built with what `two` made");
    tx.rollback().await.unwrap();

    let second = sqlx::query_scalar("SELECT cpv FROM packages WHERE run_id = 2 ORDER BY position");
    let second: Vec<String> = second.fetch_all(&pool).await.unwrap();
    assert_eq!(second, ["test/p0x-1", "test/gone-1"], "the toolchain of a definition that drones hold");
    let history = History::of(history::of_target(&pool, RunId(1095)).await.unwrap());
    let seconds = history.seconds(&"test/gone-1".parse().unwrap(), None);
    assert_eq!(seconds, Some(60.0), "estimates outlive their runs");
    let mut tx = pool.begin().await.unwrap();
    let offered = succession::offers(&mut tx, RunId(1095), swarm_protocol::id::EpochId(1095)).await.unwrap();
    assert_eq!(offered.len(), 32, "the current generation, and what the night before had in place of two");
}
