//! Alarms that people have been told of, or will be: each begins and ends once, with an event.

use super::events::{self, NewEvent};
use crate::alarms::{Alarm, Kind, Subject};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use std::collections::BTreeSet;

/// Those that stand.
pub async fn open(db: impl PgExecutor<'_>) -> sqlx::Result<BTreeSet<Subject>> {
    let rows = sqlx::query!("SELECT kind, about FROM alarms").fetch_all(db).await?;
    // One of a kind that a later version knew is nobody's.
    let subject = |kind: &str, about| Some(Subject { kind: Kind::parse(kind)?, about });
    Ok(rows.into_iter().filter_map(|row| subject(&row.kind, row.about)).collect())
}

/// One begins, unless it stands already.
pub async fn raise(tx: &mut PgConnection, alarm: &Alarm) -> sqlx::Result<()> {
    let Subject { kind, about } = &alarm.subject;
    let raised = sqlx::query!(
        "INSERT INTO alarms (kind, about, text) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        kind.as_str(),
        about,
        alarm.text
    );
    if raised.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    let data = json!({ "alarm": kind, "about": about, "text": alarm.text });
    events::append(tx, NewEvent { kind: "alarm.raised", data, ..NewEvent::default() }).await
}

/// One is over, unless it was before.
pub async fn end(tx: &mut PgConnection, subject: &Subject) -> sqlx::Result<()> {
    let Subject { kind, about } = subject;
    let ended = sqlx::query!(
        r#"DELETE FROM alarms WHERE kind = $1 AND about = $2
           RETURNING text, extract(epoch FROM swarm_now() - raised_at)::bigint AS "seconds!""#,
        kind.as_str(),
        about
    );
    let Some(ended) = ended.fetch_optional(&mut *tx).await? else { return Ok(()) };
    let data = json!({ "alarm": kind, "about": about, "text": ended.text, "seconds": ended.seconds });
    events::append(tx, NewEvent { kind: "alarm.ended", data, ..NewEvent::default() }).await
}
