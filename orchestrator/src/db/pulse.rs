//! Heartbeats, written in batches to rows without indexed changing columns.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::collections::HashSet;
use swarm_protocol::drone::Heartbeat;
use swarm_protocol::id::{AttemptId, DroneId, SessionId};

/// A drone's heartbeat.
pub type Beat = (DroneId, Heartbeat);

/// Writes the drones' pulses; returns those whose session is the open one. Of two beats of a drone, the last counts.
pub async fn drones(db: &PgPool, beats: &[Beat]) -> sqlx::Result<HashSet<SessionId>> {
    let mut latest = std::collections::BTreeMap::new();
    for (drone, beat) in beats {
        latest.insert((*drone, beat.session), beat);
    }
    let (mut drones, mut sessions, mut memory, mut disk, mut load, mut stopping, mut at) =
        (vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
    for ((drone, session), beat) in latest {
        drones.push(drone.0);
        sessions.push(session.0);
        memory.push(i64::try_from(beat.memory_free_bytes).unwrap_or(i64::MAX));
        disk.push(i64::try_from(beat.disk_free_bytes).unwrap_or(i64::MAX));
        load.push(beat.load);
        stopping.push(beat.draining);
        at.push(beat.at);
    }
    let fresh = sqlx::query_scalar!(
        r#"INSERT INTO drone_pulse (drone_id, session_id, seen_at, memory_free_bytes, disk_free_bytes, load, stopping,
                                    clock_ahead_seconds)
           SELECT b.drone, b.session, swarm_now(), b.memory, b.disk, b.load, b.stopping,
                  extract(epoch FROM b.at - swarm_now())::real
           FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::real[], $6::boolean[], $7::timestamptz[])
                AS b (drone, session, memory, disk, load, stopping, at)
           JOIN sessions s ON s.id = b.session AND s.drone_id = b.drone AND s.ended_at IS NULL
           ON CONFLICT (drone_id) DO UPDATE SET session_id = EXCLUDED.session_id, seen_at = EXCLUDED.seen_at,
               memory_free_bytes = EXCLUDED.memory_free_bytes, disk_free_bytes = EXCLUDED.disk_free_bytes,
               load = EXCLUDED.load, stopping = EXCLUDED.stopping, clock_ahead_seconds = EXCLUDED.clock_ahead_seconds
           RETURNING session_id AS "session: SessionId""#,
        &drones,
        &sessions,
        &memory,
        &disk,
        &load,
        &stopping,
        &at as &[Option<DateTime<Utc>>]
    )
    .fetch_all(db)
    .await?;
    Ok(fresh.into_iter().collect())
}

/// Writes the progress of held attempts; returns those that are live and their session's own.
pub async fn attempts(db: &PgPool, beats: &[Beat]) -> sqlx::Result<HashSet<AttemptId>> {
    let mut latest = std::collections::BTreeMap::new();
    for (_, beat) in beats {
        for held in &beat.held {
            latest.insert((held.attempt, beat.session), held);
        }
    }
    if latest.is_empty() {
        return Ok(HashSet::new());
    }
    let (mut attempts, mut sessions, mut progress, mut phases) = (vec![], vec![], vec![], vec![]);
    for ((attempt, session), held) in latest {
        attempts.push(attempt.0);
        sessions.push(session.0);
        progress.push(i64::try_from(held.progress).unwrap_or(i64::MAX));
        phases.push(held.phase.as_deref().unwrap_or_default().chars().take(64).collect::<String>());
    }
    let live = sqlx::query_scalar!(
        r#"INSERT INTO attempt_pulse (attempt_id, progress, progress_at, phase)
           SELECT a.id, h.progress, swarm_now(), NULLIF(h.phase, '')
           FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS h (attempt, session, progress, phase)
           JOIN attempts a ON a.id = h.attempt AND a.session_id = h.session AND a.phase <> 'ended'
           ON CONFLICT (attempt_id) DO UPDATE SET phase = EXCLUDED.phase,
               progress_at = CASE WHEN EXCLUDED.progress > attempt_pulse.progress THEN EXCLUDED.progress_at
                                  ELSE attempt_pulse.progress_at END,
               progress = GREATEST(EXCLUDED.progress, attempt_pulse.progress)
           RETURNING attempt_id AS "attempt: AttemptId""#,
        &attempts,
        &sessions,
        &progress,
        &phases
    )
    .fetch_all(db)
    .await?;
    Ok(live.into_iter().collect())
}

/// Attempts that the session was given by requests it has settled, and that it does not list.
pub async fn unlisted(db: &PgPool, beat: &Heartbeat) -> sqlx::Result<Vec<AttemptId>> {
    let held: Vec<_> = beat.held.iter().map(|held| held.attempt.0).collect();
    sqlx::query_scalar!(
        r#"SELECT id AS "id: AttemptId" FROM attempts
           WHERE session_id = $1 AND phase IN ('held', 'building') AND claim_request <= $2
             -- Whole builds are compared: a drone may still list the attempt under which it began.
             AND COALESCE(continues, id) NOT IN (SELECT COALESCE(continues, id) FROM attempts WHERE id = ANY($3))"#,
        beat.session.0,
        beat.settled_request,
        &held
    )
    .fetch_all(db)
    .await
}

/// Those of `drones` that are *offline* by the books.
pub async fn returned(db: &PgPool, drones: &[DroneId]) -> sqlx::Result<Vec<DroneId>> {
    let ids: Vec<_> = drones.iter().map(|drone| drone.0).collect();
    sqlx::query_scalar!(
        r#"SELECT id AS "id: DroneId" FROM drones WHERE id = ANY($1) AND state = 'offline'"#,
        &ids
    )
    .fetch_all(db)
    .await
}
