//! Drones: enrolment, state, record.

use super::events::{self, NewEvent};
use super::overdue::Listened;
use super::rules::Rules;
use super::unbrought;
use crate::machine::blame::{self, failures_allowed};
use crate::machine::drone::{self, Transition};
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashMap;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::admin::{Deployed, Drift, Drone, Work};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::host_key::HostKey;
use swarm_protocol::id::{AttemptId, DroneId, PackageId, RunId};
use swarm_protocol::state::{AttemptPhase, DroneState, FailureClass, Outcome};

/// A machine that asks to be a drone.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The drone's name.
    pub name: &'a str,
    /// The machine.
    pub machine_id: &'a str,
    /// Its ssh host key.
    pub host_key: Option<&'a HostKey>,
}

/// Stores a new drone; `None` when the name is taken.
pub async fn insert(
    tx: &mut PgConnection,
    new: Applicant<'_>,
    trusted: bool,
    awaits_approval: bool,
) -> sqlx::Result<Option<DroneId>> {
    sqlx::query_scalar!(
        r#"INSERT INTO drones (name, machine_id, host_key, trusted, awaits_approval) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (name) DO NOTHING RETURNING id AS "id: DroneId""#,
        new.name,
        new.machine_id,
        new.host_key.map(ToString::to_string),
        trusted,
        awaits_approval
    )
    .fetch_optional(tx)
    .await
}

/// What is known of the machine that has a name.
#[derive(Debug)]
pub struct Enrolled {
    /// The drone.
    pub id: DroneId,
    /// The machine.
    pub machine_id: String,
    /// Its ssh host key.
    pub host_key: Option<String>,
}

/// Locks the drone of that name.
pub async fn lock_enrolled(tx: &mut PgConnection, name: &str) -> sqlx::Result<Enrolled> {
    sqlx::query_as!(
        Enrolled,
        r#"SELECT id AS "id: DroneId", machine_id, host_key FROM drones WHERE name = $1 FOR UPDATE"#,
        name
    )
    .fetch_one(tx)
    .await
}

/// Another machine takes the drone's place, or the same one tells its host key. A session of the former one is over.
pub async fn replace(tx: &mut PgConnection, id: DroneId, new: Applicant<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET ended_at = swarm_now()
         WHERE drone_id = $1 AND ended_at IS NULL
           AND EXISTS (SELECT FROM drones WHERE id = $1 AND machine_id <> $2)",
        id.0,
        new.machine_id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE drones SET machine_id = $2, host_key = $3 WHERE id = $1",
        id.0,
        new.machine_id,
        new.host_key.map(ToString::to_string)
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the drone waits for a person to let it in.
pub async fn awaits_approval(db: impl PgExecutor<'_>, id: DroneId) -> sqlx::Result<bool> {
    let waits = sqlx::query_scalar!("SELECT awaits_approval FROM drones WHERE id = $1", id.0);
    Ok(waits.fetch_optional(db).await?.unwrap_or(false))
}

/// Lets a drone in. What it is already is no error.
pub async fn approve(tx: &mut PgConnection, id: DroneId) -> sqlx::Result<()> {
    let approved =
        sqlx::query!("UPDATE drones SET awaits_approval = false WHERE id = $1 AND awaits_approval", id.0);
    if approved.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    events::append(tx, NewEvent { kind: "drone.approved", drone: Some(id), ..NewEvent::default() }).await
}

/// Notes what should run on the drone's machine.
pub async fn expect(db: impl PgExecutor<'_>, id: DroneId, expected: &Deployed) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE drones SET expected_program = $2, expected_configuration = $3 WHERE id = $1",
        id.0,
        expected.program.map(|digest| digest.to_string()),
        expected.configuration.map(|digest| digest.to_string())
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The id behind a name.
pub async fn id(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<DroneId>> {
    sqlx::query_scalar!(r#"SELECT id AS "id: DroneId" FROM drones WHERE name = $1"#, name)
        .fetch_optional(db)
        .await
}

/// Applies a transition of the drone machine; `false` where it is illegal or changes nothing.
pub async fn apply(
    tx: &mut PgConnection,
    id: DroneId,
    transition: Transition,
    grounded_seconds: u32,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let state = sqlx::query_scalar!(
        r#"SELECT state AS "state: DroneState" FROM drones WHERE id = $1 FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(after) = state.and_then(|state| drone::step(state, transition)) else { return Ok(false) };
    sqlx::query!(
        "UPDATE drones SET state = $2,
             consecutive_failures = CASE WHEN $2 = 'grounded'::drone_state THEN 0 ELSE consecutive_failures END,
             grounded_until = CASE WHEN $2 = 'grounded'::drone_state THEN swarm_now() + make_interval(secs => $3) END,
             groundings = CASE WHEN $4 THEN 0 ELSE groundings END,
             blamed_since = CASE WHEN $4 THEN swarm_now() ELSE blamed_since END
         WHERE id = $1",
        id.0,
        after as DroneState,
        f64::from(grounded_seconds),
        transition == Transition::Resume
    )
    .execute(&mut *tx)
    .await?;
    let data = reason.map_or(serde_json::Value::Null, |reason| serde_json::json!({ "reason": reason }));
    events::append(tx, NewEvent { kind: transition.event(), drone: Some(id), data, ..NewEvent::default() })
        .await?;
    Ok(true)
}

/// Counts failures in a row, and grounds the drone when they are too many. The caller holds the drone's lock.
pub(super) async fn count_outcome(
    tx: &mut PgConnection,
    id: DroneId,
    package: PackageId,
    outcome: Outcome,
    class: Option<FailureClass>,
    rules: &Rules,
) -> sqlx::Result<()> {
    match outcome {
        Outcome::Received => {
            sqlx::query!(
                "UPDATE drones SET consecutive_failures = 0, groundings = 0
                 WHERE id = $1 AND (consecutive_failures > 0 OR groundings > 0)",
                id.0
            )
            .execute(tx)
            .await?;
        }
        // What fails for its own reasons elsewhere as well says nothing of this drone.
        Outcome::Failed
            if class == Some(FailureClass::Package) && fails_elsewhere(tx, id, package).await? => {}
        Outcome::Failed => {
            let row = sqlx::query!(
                "UPDATE drones SET consecutive_failures = consecutive_failures + 1 WHERE id = $1
                 RETURNING consecutive_failures, groundings",
                id.0
            )
            .fetch_one(&mut *tx)
            .await?;
            if row.consecutive_failures
                >= failures_allowed(rules.drone_failures, row.groundings.unsigned_abs())
            {
                let reason = match row.consecutive_failures {
                    1 => "it failed on probation".to_owned(),
                    failures => format!("{failures} failures in a row"),
                };
                ground_again(tx, id, rules, &reason).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

async fn fails_elsewhere(tx: &mut PgConnection, drone: DroneId, package: PackageId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM attempts WHERE package_id = $1 AND class = 'package' AND drone_id <> $2) AS "is!""#,
        package.0,
        drone.0
    )
    .fetch_one(tx)
    .await
}

/// Grounds a drone for what failed on it: twice as long as the last time, unless it has built something since.
pub async fn ground_again(
    tx: &mut PgConnection,
    id: DroneId,
    rules: &Rules,
    reason: &str,
) -> sqlx::Result<bool> {
    let groundings =
        sqlx::query_scalar!("SELECT groundings FROM drones WHERE id = $1 FOR NO KEY UPDATE", id.0)
            .fetch_one(&mut *tx)
            .await?;
    let pause = blame::pause(Duration::from_secs(rules.grounded_seconds.into()), groundings.unsigned_abs());
    let seconds = u32::try_from(pause.as_secs()).unwrap_or(u32::MAX);
    if !apply(tx, id, Transition::Ground, seconds, Some(reason)).await? {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE drones SET groundings = groundings + 1, blamed_since = swarm_now() WHERE id = $1",
        id.0
    )
    .execute(tx)
    .await?;
    Ok(true)
}

/// Sets whether a drone's plans and verdicts are believed.
pub async fn set_trusted(tx: &mut PgConnection, id: DroneId, trusted: bool) -> sqlx::Result<()> {
    sqlx::query!("UPDATE drones SET trusted = $2 WHERE id = $1", id.0, trusted).execute(&mut *tx).await?;
    let kind = if trusted { "drone.trusted" } else { "drone.distrusted" };
    events::append(tx, NewEvent { kind, drone: Some(id), ..NewEvent::default() }).await
}

/// Grounds a drone by a person's order: for a time, or until it is resumed. `false` where it is draining.
pub async fn ground(tx: &mut PgConnection, id: DroneId, seconds: Option<u32>) -> sqlx::Result<bool> {
    // One that is grounded already gets the new time.
    apply(tx, id, Transition::Unground, 0, None).await?;
    let reason = Some("a person grounded it");
    if !apply(tx, id, Transition::Ground, seconds.unwrap_or_default(), reason).await? {
        return Ok(false);
    }
    if seconds.is_none() {
        sqlx::query!("UPDATE drones SET grounded_until = 'infinity' WHERE id = $1", id.0).execute(tx).await?;
    }
    Ok(true)
}

/// All drones by name, or the one that is named.
pub async fn list(db: impl PgExecutor<'_> + Copy, name: Option<&str>) -> sqlx::Result<Vec<Drone>> {
    let rows = sqlx::query!(
        r#"SELECT d.id AS "id: DroneId", d.name, d.state AS "state: DroneState", d.trusted, d.consecutive_failures,
                  NULLIF(d.grounded_until, 'infinity') AS grounded_until, s.started_at AS "session_since?",
                  p.seen_at AS "seen_at?", p.memory_free_bytes AS "memory_free_bytes?",
                  p.disk_free_bytes AS "disk_free_bytes?", COALESCE(p.stopping, false) AS "stopping!",
                  d.awaits_approval, d.host_key, p.clock_ahead_seconds AS "clock_ahead_seconds?",
                  n.version AS "version?", n.program AS "program?: Digest", n.configuration AS "configuration?: Digest",
                  d.expected_program AS "expected_program: Digest",
                  d.expected_configuration AS "expected_configuration: Digest"
           FROM drones d LEFT JOIN drone_pulse p ON p.drone_id = d.id
                LEFT JOIN sessions s ON s.drone_id = d.id AND s.ended_at IS NULL
                LEFT JOIN LATERAL (SELECT * FROM sessions n WHERE n.drone_id = d.id ORDER BY n.id DESC LIMIT 1) n ON true
           WHERE $1::text IS NULL OR d.name = $1
           ORDER BY d.name"#,
        name
    )
    .fetch_all(db)
    .await?;
    let (mut work, unbrought) = (work(db, name).await?, unbrought::list(db).await?);
    let drones = rows.into_iter().map(|row| {
        drifted(Drone {
            work: work.remove(&row.id).unwrap_or_default(),
            unbrought: unbrought.iter().filter(|one| one.drone == row.name).cloned().collect(),
            id: row.id,
            name: row.name,
            state: row.state,
            grounded_until: row.grounded_until,
            trusted: row.trusted,
            session_since: row.session_since,
            seen_at: row.seen_at,
            memory_free_bytes: row.memory_free_bytes,
            disk_free_bytes: row.disk_free_bytes,
            stopping: row.stopping,
            consecutive_failures: row.consecutive_failures,
            awaits_approval: row.awaits_approval,
            host_key: row.host_key.and_then(|key| key.parse().ok()),
            version: row.version,
            runs: Deployed { program: row.program, configuration: row.configuration },
            expected: Deployed { program: row.expected_program, configuration: row.expected_configuration },
            clock_ahead_seconds: row.clock_ahead_seconds,
            drift: vec![],
        })
    });
    Ok(drones.collect())
}

fn drifted(drone: Drone) -> Drone {
    Drone { drift: Drift::of(&drone), ..drone }
}

/// The live attempts of all drones, or of the one that is named.
async fn work(db: impl PgExecutor<'_>, name: Option<&str>) -> sqlx::Result<HashMap<DroneId, Vec<Work>>> {
    let rows = sqlx::query!(
        r#"SELECT a.drone_id AS "drone: DroneId", a.id AS "attempt: AttemptId", p.run_id AS "run: RunId",
                  p.id AS "package: PackageId", p.cpv AS "cpv: Cpv", a.phase AS "phase: AttemptPhase", a.claimed_at,
                  a.started_at, p.estimate_seconds
           FROM attempts a JOIN packages p ON p.id = a.package_id JOIN drones d ON d.id = a.drone_id
           WHERE a.phase <> 'ended' AND ($1::text IS NULL OR d.name = $1) ORDER BY a.id"#,
        name
    )
    .fetch_all(db)
    .await?;
    let mut work = HashMap::<DroneId, Vec<Work>>::new();
    for row in rows {
        work.entry(row.drone).or_default().push(Work {
            attempt: row.attempt,
            run: row.run,
            package: row.package,
            cpv: row.cpv,
            phase: row.phase,
            claimed_at: row.claimed_at,
            started_at: row.started_at,
            estimate_seconds: row.estimate_seconds,
        });
    }
    Ok(work)
}

/// Drones that are *online* but have been silent for longer than `grace_seconds` while somebody listened.
pub async fn silent(
    db: impl PgExecutor<'_>,
    grace_seconds: u32,
    listened: Listened,
) -> sqlx::Result<Vec<DroneId>> {
    sqlx::query_scalar!(
        r#"SELECT d.id AS "id: DroneId" FROM drones d LEFT JOIN drone_pulse p ON p.drone_id = d.id
           WHERE d.state = 'online'
             AND GREATEST(p.seen_at, $2) < $3::timestamptz - make_interval(secs => $1)"#,
        f64::from(grace_seconds),
        listened.since,
        listened.as_of
    )
    .fetch_all(db)
    .await
}

/// Grounded drones whose pause is over.
pub async fn pardoned(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<DroneId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: DroneId" FROM drones WHERE state = 'grounded' AND grounded_until <= swarm_now()"#
    )
    .fetch_all(db)
    .await
}

/// Whether a drone's plans and verdicts are believed; not before it was let in.
pub async fn is_trusted(db: impl PgExecutor<'_>, id: DroneId) -> sqlx::Result<bool> {
    let trusted = sqlx::query_scalar!(
        "SELECT trusted AND NOT awaits_approval AS \"trusted!\" FROM drones WHERE id = $1",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(trusted.unwrap_or(false))
}

/// A drone's name.
pub async fn name(db: impl PgExecutor<'_>, id: DroneId) -> sqlx::Result<String> {
    sqlx::query_scalar!("SELECT name FROM drones WHERE id = $1", id.0).fetch_one(db).await
}
