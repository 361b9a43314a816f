//! How far each destination of notifications has been told.
//!
//! A place in the event log is a transaction id: events below it are those that transactions before that one have written.
//! `told` grows only by [`delivered`], [`given_up`] and [`skip`], each of which names the place that it starts from: of two
//! orchestrators that both believe to lead, one changes nothing.

use crate::alarms::{Alarm, Kind};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgExecutor, PgPool};
use swarm_protocol::admin::Event;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{AttemptId, DroneId, EventId, PackageId, RunId};

/// Where a destination stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The time.
    pub now: DateTime<Utc>,
    /// Told up to here.
    pub told: u64,
    /// Being told up to here.
    pub until: Option<u64>,
    /// Readable up to here.
    pub end: u64,
    /// When a message arrived last.
    pub delivered_at: Option<DateTime<Utc>>,
    /// How often in a row one did not.
    pub failures: u32,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// How many events were given up since.
    pub dropped: i64,
}

/// Which events a destination is told.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of these kinds.
    pub kinds: Vec<String>,
    /// Of alarms only these; `None`: all.
    pub alarms: Option<Vec<String>>,
    /// Older ones are given up.
    pub age: TimeDelta,
}

/// The events between two places.
#[derive(Debug)]
pub struct Batch {
    /// The first ones.
    pub events: Vec<Event>,
    /// How many there are.
    pub count: i64,
    /// How many more are too old.
    pub old: i64,
}

fn place(text: &str) -> sqlx::Result<u64> {
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Where `name` stands. A destination that is new is told what happens from now on.
pub async fn standing(db: &PgPool, name: &str) -> sqlx::Result<Standing> {
    let row = loop {
        let row = sqlx::query!(
            r#"SELECT swarm_now() AS "now!", told::text AS "told!", until::text,
                  swarm_horizon()::text AS "end!", delivered_at, failures, retry_at, dropped
           FROM destinations WHERE name = $1"#,
            name
        );
        if let Some(row) = row.fetch_optional(db).await? {
            break row;
        }
        let begin = sqlx::query!(
            "INSERT INTO destinations (name, told) VALUES ($1, swarm_horizon())
         ON CONFLICT DO NOTHING",
            name
        );
        begin.execute(db).await?;
    };
    Ok(Standing {
        now: row.now,
        told: place(&row.told)?,
        until: row.until.as_deref().map(place).transpose()?,
        end: place(&row.end)?,
        delivered_at: row.delivered_at,
        failures: row.failures.unsigned_abs(),
        retry_at: row.retry_at,
        dropped: row.dropped,
    })
}

/// The events of `filter` from `told` up to `until`: how many, and the first `most` of those that are not too old.
pub async fn batch(db: &PgPool, filter: &Filter, told: u64, until: u64, most: i64) -> sqlx::Result<Batch> {
    let (from, to) = (told.to_string(), until.to_string());
    let seconds = filter.age.as_seconds_f64();
    let alarms = filter.alarms.as_deref();
    let counted = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE at >= swarm_now() - make_interval(secs => $5)) AS "fresh!", count(*) AS "all!"
           FROM events
           WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 AND kind = ANY($3)
             AND ($4::text[] IS NULL OR kind NOT LIKE 'alarm.%' OR data->>'alarm' = ANY($4))"#,
        from,
        to,
        &filter.kinds,
        alarms,
        seconds
    );
    let counted = counted.fetch_one(db).await?;
    if counted.fresh == 0 {
        return Ok(Batch { events: vec![], count: 0, old: counted.all });
    }
    let events = sqlx::query_as!(
        Event,
        r#"SELECT e.id AS "id: EventId", e.at, e.kind, e.run_id AS "run: RunId", t.name AS "target?: TargetName",
                  e.package_id AS "package: PackageId", p.cpv AS "cpv?: Cpv", e.attempt_id AS "attempt: AttemptId",
                  e.drone_id AS "drone: DroneId", d.name AS "drone_name?", e.data
           FROM events e LEFT JOIN runs r ON r.id = e.run_id LEFT JOIN targets t ON t.id = r.target_id
                LEFT JOIN packages p ON p.id = e.package_id LEFT JOIN drones d ON d.id = e.drone_id
           WHERE e.xid >= $1::text::xid8 AND e.xid < $2::text::xid8 AND e.kind = ANY($3)
             AND ($4::text[] IS NULL OR e.kind NOT LIKE 'alarm.%' OR e.data->>'alarm' = ANY($4))
             AND e.at >= swarm_now() - make_interval(secs => $5)
           ORDER BY e.xid, e.id LIMIT $6"#,
        from,
        to,
        &filter.kinds,
        alarms,
        seconds,
        most
    );
    Ok(Batch { events: events.fetch_all(db).await?, count: counted.fresh, old: counted.all - counted.fresh })
}

/// Notes that `name` is told up to `until` from now on. `false`: somebody else has moved it.
pub async fn begin(db: impl PgExecutor<'_>, name: &str, told: u64, until: u64) -> sqlx::Result<bool> {
    let begun = sqlx::query!(
        "UPDATE destinations SET until = $3::text::xid8 WHERE name = $1 AND told = $2::text::xid8 AND until IS NULL",
        name,
        told.to_string(),
        until.to_string()
    );
    Ok(begun.execute(db).await?.rows_affected() == 1)
}

/// The message up to `until` has arrived.
pub async fn delivered(db: impl PgExecutor<'_>, name: &str, until: u64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE destinations SET told = until, until = NULL, delivered_at = swarm_now(), failures = 0, retry_at = NULL,
             error = NULL, dropped = 0
         WHERE name = $1 AND until = $2::text::xid8",
        name,
        until.to_string()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// It has not; it is tried again after `pause`.
pub async fn failed(
    db: impl PgExecutor<'_>,
    name: &str,
    until: u64,
    error: &str,
    pause: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE destinations SET failures = failures + 1, error = $3, retry_at = swarm_now() + make_interval(secs => $4)
         WHERE name = $1 AND until = $2::text::xid8",
        name,
        until.to_string(),
        error,
        pause.as_seconds_f64()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// All that it would say is too old: `events` events. Whether the destination works is not known by that.
pub async fn given_up(db: impl PgExecutor<'_>, name: &str, until: u64, events: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE destinations SET told = until, until = NULL, dropped = dropped + $3
         WHERE name = $1 AND until = $2::text::xid8",
        name,
        until.to_string(),
        events
    )
    .execute(db)
    .await?;
    Ok(())
}

/// From `told` up to `to` there is nothing for `name`. Also puts a place right that lies ahead of the log: after a restore,
/// Postgres counts transactions anew.
pub async fn skip(db: impl PgExecutor<'_>, name: &str, told: u64, to: u64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE destinations SET told = $3::text::xid8, until = NULL WHERE name = $1 AND told = $2::text::xid8",
        name,
        told.to_string(),
        to.to_string()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An alarm for each of `names` that is not reached.
pub async fn failing(db: impl PgExecutor<'_>, names: &[String]) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        r#"SELECT name, failures, error AS "error!" FROM destinations WHERE failures > 0 AND name = ANY($1) ORDER BY name"#,
        names
    );
    let alarms = rows.fetch_all(db).await?.into_iter().map(|row| {
        let times = if row.failures == 1 { "once".to_owned() } else { format!("{} times", row.failures) };
        let text = format!("notifications do not reach {}: {} (tried {times})", row.name, row.error);
        Alarm::new(Kind::Notify, row.name, text)
    });
    Ok(alarms.collect())
}
