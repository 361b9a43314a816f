//! The event log: every transition appends one line in its own transaction.
//!
//! Readers pass a cursor `XID:ID`. They see only what transactions older than the oldest running one have written, so
//! that an event that commits late is never skipped.

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::admin::{Event, Events};
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{AttemptId, DroneId, EventId, PackageId, RunId};

/// An event to be appended.
#[derive(Debug, Default)]
pub struct NewEvent<'a> {
    /// As in `package.received`.
    pub kind: &'a str,
    /// The run.
    pub run: Option<RunId>,
    /// The package.
    pub package: Option<PackageId>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// The drone.
    pub drone: Option<DroneId>,
    /// Details.
    pub data: Value,
}

/// How many events one call returns at most.
const PAGE: i64 = 1000;

/// Appends `event`.
pub async fn append(tx: &mut PgConnection, event: NewEvent<'_>) -> sqlx::Result<()> {
    let data = if event.data.is_null() { Value::Object(serde_json::Map::new()) } else { event.data };
    sqlx::query!(
        "INSERT INTO events (kind, run_id, package_id, attempt_id, drone_id, data) VALUES ($1, $2, $3, $4, $5, $6)",
        event.kind,
        event.run.map(|id| id.0),
        event.package.map(|id| id.0),
        event.attempt.map(|id| id.0),
        event.drone.map(|id| id.0),
        data
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends an event of one kind for each of `packages`.
pub async fn append_of_packages(
    tx: &mut PgConnection,
    kind: &str,
    run: RunId,
    packages: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO events (kind, run_id, package_id) SELECT $1, $2, UNNEST($3::bigint[])",
        kind,
        run.0,
        packages
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A position in the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    xid: u64,
    id: i64,
}

impl std::str::FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (xid, id) = s.split_once(':').unwrap_or((s, "0"));
        Ok(Self { xid: xid.parse()?, id: id.parse()? })
    }
}

/// Behind everything that can be read now.
pub async fn end(db: impl PgExecutor<'_>) -> sqlx::Result<Cursor> {
    let xid = sqlx::query_scalar!(r#"SELECT swarm_horizon()::text AS "xid!""#);
    let xid = xid.fetch_one(db).await?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Cursor { xid, id: 0 })
}

/// A page of the events after `cursor`, of one run where it is given.
pub async fn since(db: impl PgExecutor<'_>, cursor: &Cursor, run: Option<RunId>) -> sqlx::Result<Events> {
    let mut rows = sqlx::query!(
        r#"SELECT e.xid::text AS "xid!", e.id AS "id: EventId", e.at, e.kind, e.run_id AS "run: RunId",
                  t.name AS "target?: TargetName", e.package_id AS "package: PackageId", p.cpv AS "cpv?: Cpv",
                  e.attempt_id AS "attempt: AttemptId", e.drone_id AS "drone: DroneId", d.name AS "drone_name?", e.data
           FROM events e LEFT JOIN runs r ON r.id = e.run_id LEFT JOIN targets t ON t.id = r.target_id
                LEFT JOIN packages p ON p.id = e.package_id LEFT JOIN drones d ON d.id = e.drone_id
           WHERE (e.xid, e.id) > ($1::text::xid8, $2) AND e.xid < (SELECT swarm_horizon())
             AND ($4::bigint IS NULL OR e.run_id = $4)
           ORDER BY e.xid, e.id LIMIT $3"#,
        cursor.xid.to_string(),
        cursor.id,
        PAGE + 1,
        run.map(|run| run.0)
    )
    .fetch_all(db)
    .await?;
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > page;
    rows.truncate(page);
    let cursor =
        rows.last().map_or(format!("{}:{}", cursor.xid, cursor.id), |row| format!("{}:{}", row.xid, row.id));
    let events = rows
        .into_iter()
        .map(|row| Event {
            id: row.id,
            at: row.at,
            kind: row.kind,
            run: row.run,
            target: row.target,
            package: row.package,
            cpv: row.cpv,
            attempt: row.attempt,
            drone: row.drone,
            drone_name: row.drone_name,
            data: row.data,
        })
        .collect();
    Ok(Events { events, cursor, more })
}

/// The newest events before `before`, of one run where it is given, newest first: `most` of them.
pub async fn newest(
    db: impl PgExecutor<'_>,
    before: Option<EventId>,
    run: Option<RunId>,
    most: i64,
) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"SELECT e.id AS "id: EventId", e.at, e.kind, e.run_id AS "run: RunId", t.name AS "target?: TargetName",
                  e.package_id AS "package: PackageId", p.cpv AS "cpv?: Cpv", e.attempt_id AS "attempt: AttemptId",
                  e.drone_id AS "drone: DroneId", d.name AS "drone_name?", e.data
           FROM events e LEFT JOIN runs r ON r.id = e.run_id LEFT JOIN targets t ON t.id = r.target_id
                LEFT JOIN packages p ON p.id = e.package_id LEFT JOIN drones d ON d.id = e.drone_id
           WHERE ($1::bigint IS NULL OR e.id < $1) AND ($2::bigint IS NULL OR e.run_id = $2)
           ORDER BY e.id DESC LIMIT $3"#,
        before.map(|before| before.0),
        run.map(|run| run.0),
        most
    )
    .fetch_all(db)
    .await
}
