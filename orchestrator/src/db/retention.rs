//! What the binhost keeps, as far as Postgres has to know of it.

use super::events::{self, NewEvent};
use sqlx::{PgExecutor, PgPool};
use swarm_protocol::Digest;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, RunId, TargetId};

/// A run whose staging view nobody needs.
#[derive(Debug)]
pub struct Droppable {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
}

/// The oldest of them. A view is needed
///
/// * while its run is not over;
/// * while a run that is not over may keep what it received: its successor;
/// * while a later run may become its successor, by the rule of [`super::succession::predecessor`]. That a run no longer
///   can is for ever: packages go over to newer runs only;
/// * while an attempt is live that may have been claimed under it. Its package may have gone over to a successor, and
///   further to that one's, but its drone builds with this view.
pub async fn droppable(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Droppable>> {
    sqlx::query_as!(
        Droppable,
        r#"SELECT r.id AS "run: RunId", t.name AS "target: TargetName"
           FROM runs r JOIN targets t ON t.id = r.target_id
           WHERE r.view_dropped_at IS NULL AND r.ended_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM runs s WHERE s.predecessor_id = r.id AND s.ended_at IS NULL)
             AND (r.state = 'promoted'
                  OR r.id < (SELECT max(id) FROM runs WHERE target_id = r.target_id AND state = 'promoted')
                  OR NOT EXISTS (SELECT FROM packages WHERE run_id = r.id)
                  OR EXISTS (SELECT FROM runs n JOIN packages p ON p.run_id = n.id
                             WHERE n.target_id = r.target_id AND n.id > r.id AND n.state NOT IN ('resolving', 'promoted')))
             AND NOT EXISTS (
                 SELECT FROM runs o JOIN packages p ON p.run_id = o.id JOIN attempts a ON a.package_id = p.id
                 WHERE o.target_id = r.target_id AND a.phase <> 'ended' AND a.claimed_at <= r.ended_at)
           ORDER BY r.id LIMIT 100"#
    )
    .fetch_all(db)
    .await
}

/// The binhost has dropped a run's view.
pub async fn dropped(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE runs SET view_dropped_at = swarm_now() WHERE id = $1 AND view_dropped_at IS NULL",
        run.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// All targets: what the binhost keeps of each is asked for.
pub async fn targets(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(TargetId, TargetName)>> {
    let rows =
        sqlx::query!(r#"SELECT id AS "id: TargetId", name AS "name: TargetName" FROM targets ORDER BY id"#);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Marks the generations that the binhost no longer keeps: those that are over, and not among `kept`. Gives their
/// numbers.
pub async fn removed(
    db: &PgPool,
    target: TargetId,
    name: &TargetName,
    kept: &[GenerationNumber],
) -> sqlx::Result<Vec<GenerationNumber>> {
    let kept: Vec<_> = kept.iter().map(|number| number.0).collect();
    let mut tx = db.begin().await?;
    let removed = sqlx::query_scalar!(
        r#"UPDATE generations SET removed_at = swarm_now()
           WHERE target_id = $1 AND state IN ('retired', 'refused') AND removed_at IS NULL AND number <> ALL($2)
           RETURNING number AS "number: GenerationNumber""#,
        target.0,
        &kept
    )
    .fetch_all(&mut *tx)
    .await?;
    for number in &removed {
        let data = serde_json::json!({ "target": name, "number": number });
        events::append(&mut tx, NewEvent { kind: "generation.removed", data, ..NewEvent::default() }).await?;
    }
    tx.commit().await?;
    Ok(removed)
}

/// Marks artifacts whose bytes the binhost has lost, by their published digests; gives how many are new.
pub async fn lost(db: impl PgExecutor<'_>, target: &TargetName, digests: &[Digest]) -> sqlx::Result<u64> {
    let digests: Vec<_> = digests.iter().map(ToString::to_string).collect();
    let marked = sqlx::query!(
        "UPDATE artifacts SET lost_at = swarm_now()
         WHERE target_id = (SELECT id FROM targets WHERE name = $1) AND published = ANY($2) AND lost_at IS NULL",
        target.as_str(),
        &digests
    );
    Ok(marked.execute(db).await?.rows_affected())
}
