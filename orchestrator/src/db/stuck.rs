//! Runs that stand still while everything seems well: nobody is there who could go on with them (law 12).

use crate::alarms::{Alarm, Kind};
use sqlx::PgExecutor;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;

/// How long a run may wait before it is worth a sentence, in seconds: for somebody who resolves it, and for somebody who
/// builds what is ready.
const UNRESOLVED_SECONDS: f64 = 60.0;
const UNBUILT_SECONDS: f64 = 300.0;

/// An alarm for each run that nobody resolves.
pub async fn unresolved(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", t.name AS "target: TargetName",
                  EXISTS (SELECT FROM drones WHERE trusted AND state IN ('online', 'grounded')) AS "somebody!"
           FROM runs r JOIN targets t ON t.id = r.target_id
           WHERE r.state = 'resolving'
             AND NOT EXISTS (SELECT FROM resolutions o WHERE o.run_id = r.id AND o.outcome IS NULL)
             AND GREATEST(r.created_at, (SELECT max(o.ended_at) FROM resolutions o WHERE o.run_id = r.id))
                 < swarm_now() - make_interval(secs => $1)
           ORDER BY r.id"#,
        UNRESOLVED_SECONDS
    );
    let alarms = rows.fetch_all(db).await?.into_iter().map(|row| {
        let why = if row.somebody {
            "the trusted drones that are online do not take it: are they of its epoch?"
        } else {
            "no trusted drone is online"
        };
        let text = format!("run {} of {} is not being resolved: {why}", row.id, row.target);
        Alarm::new(Kind::Unresolved, row.id.to_string(), text)
    });
    Ok(alarms.collect())
}

/// An alarm for each run that waits for a person.
pub async fn frozen(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", t.name AS "target: TargetName", COALESCE(r.reason, 'it failed') AS "reason!"
           FROM runs r JOIN targets t ON t.id = r.target_id WHERE r.state = 'frozen' ORDER BY r.id"#
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    let alarms = rows.map(|row| {
        let text = format!("run {} of {} is frozen: {}", row.id, row.target, row.reason);
        Alarm::new(Kind::Frozen, row.id.to_string(), text)
    });
    Ok(alarms.collect())
}

/// An alarm for each run of which nothing is built although packages are ready.
pub async fn unbuilt(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Alarm>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", t.name AS "target: TargetName"
           FROM runs r JOIN targets t ON t.id = r.target_id
           WHERE r.state = 'building'
             AND EXISTS (SELECT FROM packages p WHERE p.run_id = r.id AND p.state = 'needed' AND p.unmet = 0
                         AND COALESCE(p.not_before < swarm_now(), true))
             AND NOT EXISTS (SELECT FROM packages p WHERE p.run_id = r.id AND p.state = 'delegated')
             AND GREATEST(r.created_at, (SELECT max(a.ended_at) FROM packages p JOIN attempts a ON a.package_id = p.id
                                         WHERE p.run_id = r.id)) < swarm_now() - make_interval(secs => $1)
           ORDER BY r.id"#,
        UNBUILT_SECONDS
    );
    let alarms = rows.fetch_all(db).await?.into_iter().map(|row| {
        let (run, target) = (row.id, row.target);
        let text = format!(
            "run {run} of {target} has ready packages that nobody builds: is a drone of its epoch online?"
        );
        Alarm::new(Kind::Unbuilt, run.to_string(), text)
    });
    Ok(alarms.collect())
}
