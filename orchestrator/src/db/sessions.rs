//! Sessions: each start of a drone's process is one; the newest speaks for the drone (law 6).

use super::events::{self, NewEvent};
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::drone::OpenSession;
use swarm_protocol::id::{DroneId, SessionId};

/// What came of an attempt to open a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is open: now, or since an earlier call with the same nonce.
    Open(SessionId),
    /// It had been opened and was ended since.
    Over,
    /// The machine is not the one that was enrolled.
    OtherMachine,
}

/// Opens a session, ending the drone's former one.
pub async fn open(tx: &mut PgConnection, drone: DroneId, wanted: &OpenSession) -> sqlx::Result<Opened> {
    let machine =
        sqlx::query_scalar!("SELECT machine_id FROM drones WHERE id = $1 FOR NO KEY UPDATE", drone.0)
            .fetch_one(&mut *tx)
            .await?;
    if machine != wanted.machine_id {
        return Ok(Opened::OtherMachine);
    }
    let former = sqlx::query!(
        r#"SELECT id AS "id: SessionId", ended_at FROM sessions WHERE nonce = $1 AND drone_id = $2"#,
        wanted.nonce.0,
        drone.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(former) = former {
        return Ok(if former.ended_at.is_some() { Opened::Over } else { Opened::Open(former.id) });
    }
    sqlx::query!(
        "UPDATE sessions SET ended_at = swarm_now() WHERE drone_id = $1 AND ended_at IS NULL",
        drone.0
    )
    .execute(&mut *tx)
    .await?;
    let session = sqlx::query_scalar!(
        r#"INSERT INTO sessions (drone_id, nonce, version, cores, memory_bytes, program, configuration)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id AS "id: SessionId""#,
        drone.0,
        wanted.nonce.0,
        wanted.version,
        i32::from(wanted.cores),
        i64::try_from(wanted.memory_bytes).unwrap_or(i64::MAX),
        wanted.program.map(|digest| digest.to_string()),
        wanted.configuration.map(|digest| digest.to_string())
    )
    .fetch_one(&mut *tx)
    .await?;
    let data = serde_json::json!({ "session": session, "version": wanted.version });
    events::append(tx, NewEvent { kind: "drone.session", drone: Some(drone), data, ..NewEvent::default() })
        .await?;
    Ok(Opened::Open(session))
}

/// Ends a session at its drone's own wish. `false` when it was over already.
pub async fn close(tx: &mut PgConnection, drone: DroneId, session: SessionId) -> sqlx::Result<bool> {
    let closed = sqlx::query!(
        "UPDATE sessions SET ended_at = swarm_now() WHERE id = $1 AND drone_id = $2 AND ended_at IS NULL",
        session.0,
        drone.0
    )
    .execute(tx)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// True while `session` is the one that speaks for `drone`.
pub async fn is_open(db: impl PgExecutor<'_>, drone: DroneId, session: SessionId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND drone_id = $2 AND ended_at IS NULL) AS "open!""#,
        session.0,
        drone.0
    )
    .fetch_one(db)
    .await
}

/// Notes that a replaced session is still heard: two processes speak for one drone. `true` at the first time.
pub async fn contest(tx: &mut PgConnection, drone: DroneId, session: SessionId) -> sqlx::Result<bool> {
    let contested = sqlx::query!(
        "UPDATE sessions SET contested_at = swarm_now()
         WHERE id = $1 AND drone_id = $2 AND contested_at IS NULL
           AND EXISTS (SELECT FROM sessions newer WHERE newer.drone_id = $2 AND newer.id > $1)",
        session.0,
        drone.0
    )
    .execute(&mut *tx)
    .await?;
    if contested.rows_affected() == 0 {
        return Ok(false);
    }
    let data = serde_json::json!({ "session": session });
    events::append(
        tx,
        NewEvent { kind: "drone.two_sessions", drone: Some(drone), data, ..NewEvent::default() },
    )
    .await?;
    Ok(true)
}

/// Drones of which two sessions were heard within the last hour.
pub async fn contested(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT d.name FROM sessions s JOIN drones d ON d.id = s.drone_id
         WHERE s.contested_at > swarm_now() - interval '1 hour' ORDER BY d.name"
    )
    .fetch_all(db)
    .await
}
