//! What the receive sequence reads.

use sqlx::{PgExecutor, PgPool};
use swarm_protocol::Digest;
use swarm_protocol::binhost::{Expected, Stage};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::{Cpv, RepoName, Slot, TargetName, UseFlag};
use swarm_protocol::id::{AttemptId, BuildId, PackageId, RunId};
use swarm_protocol::state::Outcome;

/// An attempt whose artifact waits to be staged.
#[derive(Debug)]
pub struct Accepting {
    /// The run's target.
    pub target: TargetName,
    /// The run.
    pub run: RunId,
    /// What the binhost is asked.
    pub stage: Stage,
}

/// The attempt, if it is in *accepting*.
pub async fn accepting(db: &PgPool, attempt: AttemptId) -> sqlx::Result<Option<Accepting>> {
    let row = sqlx::query!(
        r#"SELECT t.name AS "target: TargetName", p.run_id AS "run: RunId", p.id AS "package: PackageId",
                  a.built AS "built!: Digest", a.build_id AS "build_id: BuildId", p.cpv AS "cpv: Cpv",
                  p.slot AS "slot: Slot", p.repository AS "repository: RepoName",
                  p.use_flags AS "use_flags: Vec<UseFlag>", e.content AS "epoch: sqlx::types::Json<Epoch>"
           FROM attempts a JOIN packages p ON p.id = a.package_id JOIN runs r ON r.id = p.run_id
                JOIN targets t ON t.id = r.target_id JOIN epochs e ON e.id = r.epoch_id
           WHERE a.id = $1 AND a.phase = 'accepting'"#,
        attempt.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Accepting {
        target: row.target,
        run: row.run,
        stage: Stage {
            package: row.package,
            attempt,
            built: row.built,
            expected: Expected {
                cpv: row.cpv,
                slot: row.slot,
                repository: row.repository,
                use_flags: row.use_flags,
                build_id: row.build_id,
                chost: row.epoch.0.compat.chost,
                flags: row.epoch.0.compat.flags,
            },
        },
    }))
}

/// How an attempt ended, and why.
pub async fn outcome(
    db: impl PgExecutor<'_>,
    attempt: AttemptId,
) -> sqlx::Result<Option<(Outcome, Option<String>)>> {
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!: Outcome", reason FROM attempts WHERE id = $1 AND phase = 'ended'"#,
        attempt.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.outcome, row.reason)))
}

/// Attempts that have been in *accepting* for longer than `seconds`.
pub async fn waiting(db: impl PgExecutor<'_>, seconds: f64) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: AttemptId" FROM attempts
           WHERE phase = 'accepting' AND completed_at < swarm_now() - make_interval(secs => $1) ORDER BY id"#,
        seconds
    )
    .fetch_all(db)
    .await
}
