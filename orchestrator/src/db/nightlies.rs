//! Nightly updates: that they began, how they ended, and when the next one is due (law 12).

use super::events::{self, NewEvent};
use super::targets;
use crate::alarms::{Alarm, Kind};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::admin::{EndNightly, NewNightly, Nightly, NightlyResult};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{NightlyId, RunId, TargetId};

/// How many are shown.
const SHOWN: i64 = 30;
/// How late the next one may begin, as a share of the period: a machine may be slow to wake.
const GRACE: f64 = 1.0 / 12.0;
/// One that is younger than this share of its period is taken to be on its way; an older one has vanished.
const BELIEVED: f64 = 0.5;

/// One that is on its way already.
#[derive(Debug)]
pub struct Running {
    /// Where.
    pub host: String,
    /// Since when.
    pub started_at: DateTime<Utc>,
}

/// A nightly update begins, unless another one of the target is on its way.
pub async fn begin(
    tx: &mut PgConnection,
    target: TargetId,
    new: &NewNightly,
) -> sqlx::Result<Result<NightlyId, Running>> {
    targets::lock(tx, target).await?;
    let open = sqlx::query!(
        r#"SELECT id AS "id: NightlyId", host, started_at,
                  started_at > swarm_now() - make_interval(secs => period_seconds * $2::float8) AS "believed!"
           FROM nightlies WHERE target_id = $1 AND ended_at IS NULL"#,
        target.0,
        BELIEVED
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(open) = open {
        if open.believed {
            return Ok(Err(Running { host: open.host, started_at: open.started_at }));
        }
        let reason = Some("it said nothing more".to_owned());
        end(tx, open.id, &EndNightly { result: NightlyResult::Vanished, reason, run: None }).await?;
    }
    let period = i32::try_from(new.period_seconds).unwrap_or(i32::MAX);
    let id = sqlx::query_scalar!(
        r#"INSERT INTO nightlies (target_id, host, period_seconds) VALUES ($1, $2, $3) RETURNING id AS "id: NightlyId""#,
        target.0,
        new.host,
        period
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE targets SET nightly_due_at = swarm_now() + make_interval(secs => $2) WHERE id = $1",
        target.0,
        f64::from(period) * (1.0 + GRACE)
    )
    .execute(&mut *tx)
    .await?;
    let data = json!({ "nightly": id, "host": new.host });
    events::append(tx, NewEvent { kind: "nightly.started", data, ..NewEvent::default() }).await?;
    Ok(Ok(id))
}

/// One is over. `false` when it was before.
pub async fn end(tx: &mut PgConnection, id: NightlyId, end: &EndNightly) -> sqlx::Result<bool> {
    let reason: Option<String> = end.reason.as_ref().map(|reason| reason.chars().take(1000).collect());
    let done = sqlx::query!(
        "UPDATE nightlies SET ended_at = swarm_now(), result = $2, reason = $3, run_id = $4
         WHERE id = $1 AND ended_at IS NULL",
        id.0,
        end.result.as_str(),
        reason,
        end.run.map(|run| run.0)
    );
    if done.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let data = json!({ "nightly": id, "result": end.result, "reason": reason });
    events::append(tx, NewEvent { kind: "nightly.ended", run: end.run, data, ..NewEvent::default() }).await?;
    Ok(true)
}

/// The newest ones of a target, newest first.
pub async fn list(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Vec<Nightly>> {
    read(db, Some(target), None).await
}

/// One of them.
pub async fn one(db: impl PgExecutor<'_>, id: NightlyId) -> sqlx::Result<Option<Nightly>> {
    Ok(read(db, None, Some(id)).await?.pop())
}

async fn read(
    db: impl PgExecutor<'_>,
    target: Option<TargetId>,
    id: Option<NightlyId>,
) -> sqlx::Result<Vec<Nightly>> {
    let rows = sqlx::query!(
        r#"SELECT n.id AS "id: NightlyId", t.name AS "target: TargetName", n.host, n.started_at, n.period_seconds,
                  n.ended_at, n.result, n.reason, n.run_id AS "run: RunId"
           FROM nightlies n JOIN targets t ON t.id = n.target_id
           WHERE ($1::bigint IS NULL OR n.target_id = $1) AND ($2::bigint IS NULL OR n.id = $2)
           ORDER BY n.id DESC LIMIT $3"#,
        target.map(|target| target.0),
        id.map(|id| id.0),
        SHOWN
    );
    let nightlies = rows.fetch_all(db).await?.into_iter().map(|row| Nightly {
        id: row.id,
        target: row.target,
        host: row.host,
        started_at: row.started_at,
        period_seconds: row.period_seconds.unsigned_abs(),
        ended_at: row.ended_at,
        result: row.result.as_deref().and_then(NightlyResult::parse),
        reason: row.reason,
        run: row.run,
    });
    Ok(nightlies.collect())
}

/// When the next one has to have begun.
pub async fn due(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT nightly_due_at FROM targets WHERE id = $1", target.0).fetch_one(db).await
}

/// No next one is expected.
pub async fn expect_none(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE targets SET nightly_due_at = NULL WHERE id = $1", target.0).execute(db).await?;
    Ok(())
}

/// An alarm for each target whose nightly update did not come, or went wrong, as long as one is expected.
pub async fn amiss(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        r#"SELECT t.name AS "target: TargetName", t.nightly_due_at AS "due_at!", t.nightly_due_at < swarm_now() AS "missed!",
                  n.host, n.result, n.reason
           FROM targets t JOIN LATERAL (
               SELECT * FROM nightlies n WHERE n.target_id = t.id ORDER BY n.id DESC LIMIT 1) n ON true
           WHERE t.nightly_due_at < swarm_now() OR (t.nightly_due_at IS NOT NULL AND n.result = 'failed')
           ORDER BY t.name COLLATE "C""#
    );
    let alarms = rows.fetch_all(db).await?.into_iter().map(|row| {
        let (target, host) = (row.target, row.host);
        let text = if row.missed {
            let due = row.due_at.format("%F %T");
            format!(
                "the nightly update of {target} did not begin: it was due at {due} UTC; look at cron on {host}, \
                 or `swarm nightlies {target} --expect-none`"
            )
        } else {
            let reason = row.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("the last nightly update of {target}, on {host}, failed{reason}")
        };
        Alarm::new(Kind::Nightly, target.to_string(), text)
    });
    Ok(alarms.collect())
}
