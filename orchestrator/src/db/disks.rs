//! Disks that are nearly full.

use crate::alarms::{Alarm, Kind};
use sqlx::PgExecutor;

/// An alarm for each drone that can be heard and has less than `bytes` free where it builds.
pub async fn low(db: impl PgExecutor<'_>, bytes: u64) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        "SELECT d.name, p.disk_free_bytes FROM drones d JOIN drone_pulse p ON p.drone_id = d.id
         WHERE d.state <> 'offline' AND p.disk_free_bytes < $1 ORDER BY d.name",
        i64::try_from(bytes).unwrap_or(i64::MAX)
    );
    let alarm = |name: String, free: i64| {
        let text =
            format!("the disk of drone {name} is nearly full: {} MiB are free where it builds", free >> 20);
        Alarm::new(Kind::Disk, name, text)
    };
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| alarm(row.name, row.disk_free_bytes)).collect())
}
