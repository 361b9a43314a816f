//! Repairs: one row per step of the ladder, written before the step is taken.

use super::events::{self, NewEvent};
use crate::machine::repair::Repair as Known;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::HashMap;
use swarm_protocol::admin::{Repair, RepairOutcome};
use swarm_protocol::id::{DroneId, RepairId};
use swarm_protocol::repair::Step;

/// How many are shown.
const SHOWN: i64 = 100;

/// A drone, as its repairs need it.
#[derive(Debug)]
pub struct Drone {
    /// The drone.
    pub id: DroneId,
    /// Its name.
    pub name: String,
    /// The machine that was enrolled.
    pub machine_id: String,
    /// When it was heard last.
    pub heard_at: Option<DateTime<Utc>>,
    /// When it closed its newest session.
    pub goodbye_at: Option<DateTime<Utc>>,
    /// A person has it in hand: it drains, is grounded until resumed, or was not let in yet.
    pub attended: bool,
}

/// All drones.
pub async fn drones(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Drone>> {
    sqlx::query_as!(
        Drone,
        r#"SELECT d.id AS "id: DroneId", d.name, d.machine_id, GREATEST(p.seen_at, s.started_at) AS heard_at,
                  s.ended_at AS "goodbye_at?",
                  (d.state = 'draining' OR d.awaits_approval OR COALESCE(d.grounded_until = 'infinity', false)) AS "attended!"
           FROM drones d LEFT JOIN drone_pulse p ON p.drone_id = d.id
                LEFT JOIN LATERAL (SELECT started_at, ended_at FROM sessions s WHERE s.drone_id = d.id
                                   ORDER BY s.id DESC LIMIT 1) s ON true
           ORDER BY d.name"#
    )
    .fetch_all(db)
    .await
}

/// The repairs of the last day and since each drone was heard, oldest first, and those that are open.
pub async fn known(
    db: impl PgExecutor<'_>,
    dry_run: bool,
) -> sqlx::Result<HashMap<DroneId, Vec<(RepairId, Known)>>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RepairId", r.drone_id AS "drone: DroneId", r.step, r.begun_at, r.confirmed_at, r.acted_at,
                  r.answered_at IS NOT NULL AS "answered!", r.ended_at, r.outcome
           FROM repairs r LEFT JOIN drone_pulse p ON p.drone_id = r.drone_id
           WHERE r.dry_run = $1
             AND (r.ended_at IS NULL OR GREATEST(r.begun_at, r.acted_at) > LEAST(p.seen_at, swarm_now() - interval '1 day'))
           ORDER BY r.id"#,
        dry_run
    );
    let mut known = HashMap::<_, Vec<_>>::new();
    for row in rows.fetch_all(db).await? {
        let Some(step) = Step::parse(&row.step) else { continue };
        let outcome = row.outcome.as_deref().and_then(RepairOutcome::parse);
        let repair = Known {
            step,
            begun_at: row.begun_at,
            confirmed_at: row.confirmed_at,
            acted_at: row.acted_at,
            answered: row.answered,
            ended: row.ended_at.zip(outcome),
        };
        known.entry(row.drone).or_default().push((row.id, repair));
    }
    Ok(known)
}

/// A step that is about to be written down.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// Whose.
    pub drone: DroneId,
    /// What.
    pub step: Step,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// Whether it is only said.
    pub dry_run: bool,
    /// Whether a person is asked first.
    pub ask: bool,
}

/// Writes an intent down; `None` where a repair is open, or where the drone was heard within `grace` after all.
pub async fn begin(db: &PgPool, intent: Intent<'_>, grace: TimeDelta) -> sqlx::Result<Option<RepairId>> {
    let Intent { drone, step, reason, dry_run, ask } = intent;
    let mut tx = db.begin().await?;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO repairs (drone_id, step, reason, dry_run, acted_at)
           SELECT d.id, $2, $3, $4, CASE WHEN NOT $5 THEN swarm_now() END
           FROM drones d LEFT JOIN drone_pulse p ON p.drone_id = d.id
           WHERE d.id = $1 AND NOT COALESCE(p.seen_at > swarm_now() - make_interval(secs => $6), false)
           ON CONFLICT (drone_id) WHERE ended_at IS NULL DO NOTHING RETURNING id AS "id: RepairId""#,
        drone.0,
        step.as_str(),
        reason,
        dry_run,
        ask,
        seconds(grace)
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(id) = id {
        let kind = if ask { "repair.asked" } else { "repair.begun" };
        let data = json!({ "repair": id, "step": step, "reason": reason, "dry_run": dry_run });
        events::append(&mut tx, NewEvent { kind, drone: Some(drone), data, ..NewEvent::default() }).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// Writes down that a confirmed step is taken now; `false` where somebody did before, or where the drone was heard.
pub async fn act(db: &PgPool, id: RepairId, grace: TimeDelta) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    let row = sqlx::query!(
        r#"UPDATE repairs r SET acted_at = swarm_now()
           WHERE r.id = $1 AND r.confirmed_at IS NOT NULL AND r.acted_at IS NULL AND r.ended_at IS NULL
             AND NOT EXISTS (SELECT FROM drone_pulse p WHERE p.drone_id = r.drone_id
                             AND p.seen_at > swarm_now() - make_interval(secs => $2))
           RETURNING r.drone_id AS "drone: DroneId", r.step, r.reason, r.dry_run"#,
        id.0,
        seconds(grace)
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(false) };
    let data = json!({ "repair": id, "step": row.step, "reason": row.reason, "dry_run": row.dry_run });
    let event = NewEvent { kind: "repair.begun", drone: Some(row.drone), data, ..NewEvent::default() };
    events::append(&mut tx, event).await?;
    tx.commit().await?;
    Ok(true)
}

/// Writes down what came of a step that was taken: `answered` where the node said that it was done, or that it failed.
pub async fn answer(db: &PgPool, id: RepairId, answered: bool, detail: &str) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    let drone = sqlx::query_scalar!(
        r#"UPDATE repairs SET answered_at = CASE WHEN $2 THEN swarm_now() END, detail = $3
           WHERE id = $1 AND acted_at IS NOT NULL AND ended_at IS NULL RETURNING drone_id AS "drone: DroneId""#,
        id.0,
        answered,
        detail
    );
    if let Some(drone) = drone.fetch_optional(&mut *tx).await? {
        let data = json!({ "repair": id, "answered": answered, "detail": detail });
        let event = NewEvent { kind: "repair.answered", drone: Some(drone), data, ..NewEvent::default() };
        events::append(&mut tx, event).await?;
    }
    tx.commit().await
}

/// Ends a repair. `false` where it was over before.
pub async fn end(
    db: &PgPool,
    id: RepairId,
    outcome: RepairOutcome,
    detail: Option<&str>,
) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    let drone = sqlx::query_scalar!(
        r#"UPDATE repairs SET ended_at = swarm_now(), outcome = $2, detail = COALESCE($3, detail)
           WHERE id = $1 AND ended_at IS NULL RETURNING drone_id AS "drone: DroneId""#,
        id.0,
        outcome.as_str(),
        detail
    );
    let Some(drone) = drone.fetch_optional(&mut *tx).await? else { return Ok(false) };
    ended(&mut tx, id, drone, outcome, detail).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends what was begun while `[repair] dry_run` was the other way round.
pub async fn end_others(db: &PgPool, dry_run: bool) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    let detail = "dry_run was changed";
    let rows = sqlx::query!(
        r#"UPDATE repairs SET ended_at = swarm_now(), outcome = CASE WHEN acted_at IS NULL THEN 'withdrawn' ELSE 'unknown' END,
                  detail = COALESCE(detail, $2)
           WHERE ended_at IS NULL AND dry_run <> $1
           RETURNING id AS "id: RepairId", drone_id AS "drone: DroneId", outcome AS "outcome!""#,
        dry_run,
        detail
    );
    for row in rows.fetch_all(&mut *tx).await? {
        let outcome = RepairOutcome::parse(&row.outcome).unwrap_or(RepairOutcome::Unknown);
        ended(&mut tx, row.id, row.drone, outcome, Some(detail)).await?;
    }
    tx.commit().await
}

async fn ended(
    tx: &mut PgConnection,
    id: RepairId,
    drone: DroneId,
    outcome: RepairOutcome,
    detail: Option<&str>,
) -> sqlx::Result<()> {
    let data = json!({ "repair": id, "outcome": outcome, "detail": detail });
    events::append(tx, NewEvent { kind: "repair.ended", drone: Some(drone), data, ..NewEvent::default() })
        .await
}

/// Notes that nothing is done about a silent drone.
pub async fn suspended(db: &PgPool, drone: DroneId, why: &str) -> sqlx::Result<()> {
    let mut connection = db.acquire().await?;
    let (kind, data) = ("repair.suspended", json!({ "reason": why }));
    events::append(&mut connection, NewEvent { kind, drone: Some(drone), data, ..NewEvent::default() }).await
}

/// A person confirms the reboot that waits; again is no error. `None` where none waits.
pub async fn confirm(tx: &mut PgConnection, drone: DroneId) -> sqlx::Result<Option<RepairId>> {
    let open = sqlx::query!(
        r#"SELECT id AS "id: RepairId", confirmed_at FROM repairs
           WHERE drone_id = $1 AND ended_at IS NULL AND (acted_at IS NULL OR confirmed_at IS NOT NULL) FOR UPDATE"#,
        drone.0
    );
    let Some(open) = open.fetch_optional(&mut *tx).await? else { return Ok(None) };
    if open.confirmed_at.is_none() {
        sqlx::query!("UPDATE repairs SET confirmed_at = swarm_now() WHERE id = $1", open.id.0)
            .execute(&mut *tx)
            .await?;
        let (kind, data) = ("repair.confirmed", json!({ "repair": open.id }));
        events::append(tx, NewEvent { kind, drone: Some(drone), data, ..NewEvent::default() }).await?;
    }
    Ok(Some(open.id))
}

/// The newest repairs, newest first: of one drone where it is named, and one of them where it is.
pub async fn list(
    db: impl PgExecutor<'_>,
    drone: Option<&str>,
    id: Option<RepairId>,
) -> sqlx::Result<Vec<Repair>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RepairId", d.name, r.step, r.reason, r.dry_run, r.begun_at, r.confirmed_at, r.acted_at,
                  r.detail, r.ended_at, r.outcome
           FROM repairs r JOIN drones d ON d.id = r.drone_id
           WHERE ($1::text IS NULL OR d.name = $1) AND ($2::bigint IS NULL OR r.id = $2)
           ORDER BY r.id DESC LIMIT $3"#,
        drone,
        id.map(|id| id.0),
        SHOWN
    );
    let repairs = rows.fetch_all(db).await?.into_iter().filter_map(|row| {
        Some(Repair {
            id: row.id,
            drone: row.name,
            step: Step::parse(&row.step)?,
            reason: row.reason,
            dry_run: row.dry_run,
            begun_at: row.begun_at,
            confirmed_at: row.confirmed_at,
            acted_at: row.acted_at,
            detail: row.detail,
            ended_at: row.ended_at,
            outcome: row.outcome.as_deref().and_then(RepairOutcome::parse),
        })
    });
    Ok(repairs.collect())
}

#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn seconds(time: TimeDelta) -> f64 {
    time.num_seconds() as f64
}
