//! Who leads: the holder of an advisory lock, which Postgres frees when the holder's connection ends.

use crate::app::App;
use crate::db::overdue::Listened;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};
use std::time::Instant;
use tracing::warn;

/// The advisory lock's key: "swarm" and a 1, in ASCII.
const LOCK: i64 = 0x0073_7761_726d_0001;

/// How far Postgres's clock and ours may drift apart between two turns before it counts as a jump.
const JUMP: TimeDelta = TimeDelta::seconds(5);

/// The leader's office, held as long as its connection lives.
pub(super) struct Office {
    connection: PgConnection,
    /// Since when silence counts, by Postgres's clock.
    listening_since: DateTime<Utc>,
    /// The last turn, by both clocks.
    last: (DateTime<Utc>, Instant),
}

impl Office {
    /// Takes office if nobody holds it.
    pub(super) async fn take(app: &App) -> sqlx::Result<Option<Self>> {
        let mut connection = app.db.acquire().await?.detach();
        let taken = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "taken!""#, LOCK)
            .fetch_one(&mut connection)
            .await?;
        if !taken {
            connection.close().await?;
            return Ok(None);
        }
        let now = crate::db::now(&mut connection).await?;
        Ok(Some(Self { connection, listening_since: now, last: (now, Instant::now()) }))
    }

    /// Checks that the office is still held, and watches the clocks.
    pub(super) async fn hold(&mut self, app: &App) -> sqlx::Result<()> {
        let now = crate::db::now(&mut self.connection).await?;
        let (then, instant) = self.last;
        let expected = then + instant.elapsed();
        // A turn that came much later than due was stopped in between, with everything that would have listened.
        let late = TimeDelta::seconds(i64::from(app.times.maintenance_seconds) * 2) + JUMP;
        if (now - expected).abs() > JUMP || now - then > late {
            warn!("the clocks jumped or this process stood still; silence is judged anew from now");
            self.listening_since = now;
        }
        self.last = (now, Instant::now());
        Ok(())
    }

    /// What silence is judged by in this turn. A clock that jumps after it was read has no part in it.
    pub(super) const fn listened(&self) -> Listened {
        Listened { since: self.listening_since, as_of: self.last.0 }
    }
}
