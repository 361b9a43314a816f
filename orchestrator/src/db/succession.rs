//! What earlier runs leave to a new plan: see [`crate::succession`].

use crate::succession::{Estate, Former, Leaves};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};
use swarm_protocol::Digest;
use swarm_protocol::gentoo::{Cpv, RepoName, Slot, UseFlag};
use swarm_protocol::id::{ArtifactId, BuildId, EpochId, PackageId, ResolutionId, RunId, TargetId};
use swarm_protocol::plan::{BuildKey, PlannedPackage};

/// The run whose packages a new run of the target may take over: the newest that had a plan, if none of the target's
/// was promoted since. A cancelled one counts: what it received is as good as it was.
pub async fn predecessor(tx: &mut PgConnection, target: TargetId) -> sqlx::Result<Option<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RunId" FROM runs r
           WHERE r.target_id = $1 AND r.state NOT IN ('resolving', 'promoted')
             AND r.id > COALESCE((SELECT max(id) FROM runs WHERE target_id = $1 AND state = 'promoted'), 0)
             AND EXISTS (SELECT FROM packages p WHERE p.run_id = r.id)
           ORDER BY r.id DESC LIMIT 1"#,
        target.0
    )
    .fetch_optional(tx)
    .await
}

/// An artifact that a run may keep.
#[derive(Debug)]
pub struct Offer {
    /// Its row.
    pub id: ArtifactId,
    /// Its cpv.
    pub cpv: Cpv,
    /// Its BUILD_ID.
    pub build_id: BuildId,
    /// The digest of its published file.
    pub published: Digest,
    /// What it was built from, where that is known.
    pub build_key: Option<BuildKey>,
}

/// What `run` may keep under `epoch`: what the newest generation has whose set is known (the current one, unless a lost
/// database had made it), and what the predecessor has received, as far as
/// it may live together with what is built under that epoch.
pub async fn offers(tx: &mut PgConnection, run: RunId, epoch: EpochId) -> sqlx::Result<Vec<Offer>> {
    sqlx::query_as!(
        Offer,
        r#"SELECT f.id AS "id: ArtifactId", f.cpv AS "cpv: Cpv", f.build_id AS "build_id: BuildId",
                  f.published AS "published: Digest", f.build_key AS "build_key: BuildKey"
           FROM artifacts f JOIN epochs e ON e.id = f.epoch_id
           WHERE e.compat = (SELECT compat FROM epochs WHERE id = $2) AND f.withdrawn_at IS NULL AND f.lost_at IS NULL
             AND f.id IN (
               SELECT a.artifact_id FROM generation_artifacts a JOIN generations g ON g.id = a.generation_id
               WHERE g.id = (SELECT id FROM generations WHERE target_id = (SELECT target_id FROM runs WHERE id = $1)
                               AND promoted_at IS NOT NULL AND learned_at IS NULL ORDER BY number DESC LIMIT 1)
               UNION SELECT p.artifact_id FROM packages p
               WHERE p.run_id = (SELECT predecessor_id FROM runs WHERE id = $1) AND p.artifact_id IS NOT NULL AND p.stage = 0)
           ORDER BY f.id"#,
        run.0,
        epoch.0
    )
    .fetch_all(tx)
    .await
}

/// What earlier runs leave to `run` under `epoch`.
pub async fn estate(tx: &mut PgConnection, run: RunId, epoch: EpochId) -> sqlx::Result<Estate> {
    let offered = offers(tx, run, epoch).await?;
    let offered = offered.into_iter().map(|offer| ((offer.cpv, offer.build_id), offer.id)).collect();
    let mut former = former(tx, run, epoch).await?;
    former.extend(quarantined(tx, run).await?);
    Ok(Estate { offered, former })
}

/// Packages of the predecessor and of the run behind that generation, if they were planned under `epoch`. Rows
/// themselves are left only by the predecessor.
async fn former(tx: &mut PgConnection, run: RunId, epoch: EpochId) -> sqlx::Result<Vec<Former>> {
    let rows = sqlx::query_as!(
        Row,
        r#"WITH earlier AS (
               SELECT o.id, o.id = r.predecessor_id AS leaves_rows FROM runs r JOIN runs o ON o.target_id = r.target_id
               WHERE r.id = $1 AND o.epoch_id = $2 AND o.id <> r.id
                 AND (o.id = r.predecessor_id OR o.id IN (
                      SELECT run_id FROM generations g WHERE g.target_id = r.target_id
                        AND promoted_at IS NOT NULL AND learned_at IS NULL ORDER BY number DESC LIMIT 1)))
           SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.slot AS "slot: Slot",
                  p.repository AS "repository: RepoName", p.use_flags AS "use_flags: Vec<UseFlag>",
                  p.build_key AS "build_key: BuildKey",
                  f.id AS "artifact?: ArtifactId"
           FROM earlier e JOIN packages p ON p.run_id = e.id
                LEFT JOIN artifacts f ON f.id = p.artifact_id AND f.withdrawn_at IS NULL AND f.lost_at IS NULL
           WHERE p.stage = 0 AND (f.id IS NOT NULL OR (e.leaves_rows AND p.attempts > 0 AND p.artifact_id IS NULL))
           ORDER BY p.run_id DESC, p.id"#,
        run.0,
        epoch.0
    )
    .fetch_all(&mut *tx)
    .await?;
    left(tx, rows, |row| row.artifact.map_or(Leaves::Row, Leaves::Artifact)).await
}

/// A row of an earlier run, as it was planned there.
struct Row {
    id: PackageId,
    cpv: Cpv,
    slot: Slot,
    repository: RepoName,
    use_flags: Vec<UseFlag>,
    build_key: Option<BuildKey>,
    artifact: Option<ArtifactId>,
}

/// The rows with what they waited for.
async fn left(
    tx: &mut PgConnection,
    rows: Vec<Row>,
    leaves: impl Fn(&Row) -> Leaves,
) -> sqlx::Result<Vec<Former>> {
    let ids: Vec<_> = rows.iter().map(|row| row.id.0).collect();
    let mut waits = waits(tx, &ids).await?;
    let former = rows.into_iter().map(|row| Former {
        id: row.id,
        waits: waits.remove(&row.id).unwrap_or_default(),
        leaves: leaves(&row),
        planned: PlannedPackage {
            cpv: row.cpv,
            slot: row.slot,
            repository: row.repository,
            use_flags: row.use_flags,
            keep: None,
            key: row.build_key,
            about: None,
            estimate_seconds: None,
        },
    });
    Ok(former.collect())
}

/// How many runs of the target a quarantine is looked for in. With each run that plans its package it goes on into that one.
pub(super) const REMEMBERED: i64 = 20;

/// The quarantined packages of earlier runs, as far as none of the later ones has the package. Those of the predecessor come
/// under any epoch here.
async fn quarantined(tx: &mut PgConnection, run: RunId) -> sqlx::Result<Vec<Former>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.id AS "id: PackageId", p.cpv AS "cpv: Cpv", p.slot AS "slot: Slot",
                  p.repository AS "repository: RepoName", p.use_flags AS "use_flags: Vec<UseFlag>",
                  p.build_key AS "build_key: BuildKey", p.artifact_id AS "artifact: ArtifactId"
           FROM packages p JOIN runs r ON r.id = $1
           WHERE p.state = 'quarantined' AND p.stage = 0 AND p.run_id = ANY(ARRAY(
                   SELECT o.id FROM runs o WHERE o.target_id = r.target_id AND o.id < r.id ORDER BY o.id DESC LIMIT $2))
             AND NOT EXISTS (
                   SELECT FROM packages q JOIN runs o ON o.id = q.run_id
                   WHERE o.target_id = r.target_id AND q.run_id > p.run_id AND q.cpv = p.cpv AND q.artifact_id IS NOT NULL)
           ORDER BY p.run_id DESC, p.id"#,
        run.0,
        REMEMBERED
    )
    .fetch_all(&mut *tx)
    .await?;
    left(tx, rows, |_| Leaves::Quarantine).await
}

type Waits = HashMap<PackageId, BTreeMap<Cpv, Option<ArtifactId>>>;

async fn waits(tx: &mut PgConnection, packages: &[i64]) -> sqlx::Result<Waits> {
    let rows = sqlx::query!(
        r#"SELECT w.package_id AS "package: PackageId", p.cpv AS "cpv: Cpv", p.artifact_id AS "artifact: ArtifactId"
           FROM waits w JOIN packages p ON p.id = w.on_package_id WHERE w.package_id = ANY($1)"#,
        packages
    )
    .fetch_all(tx)
    .await?;
    let mut waits = Waits::new();
    for row in rows {
        waits.entry(row.package).or_default().insert(row.cpv, row.artifact);
    }
    Ok(waits)
}

/// The published digests of artifacts.
pub async fn published(tx: &mut PgConnection, artifacts: &[ArtifactId]) -> sqlx::Result<Vec<Digest>> {
    let ids: Vec<_> = artifacts.iter().map(|artifact| artifact.0).collect();
    sqlx::query_scalar!(
        r#"SELECT published AS "published: Digest" FROM artifacts WHERE id = ANY($1) ORDER BY id"#,
        &ids
    )
    .fetch_all(tx)
    .await
}

/// Those of `artifacts` that were there when the resolution was handed out, so that Portage has seen them.
pub async fn offered_to(
    tx: &mut PgConnection,
    resolution: ResolutionId,
    artifacts: &[ArtifactId],
) -> sqlx::Result<Vec<Cpv>> {
    let ids: Vec<_> = artifacts.iter().map(|artifact| artifact.0).collect();
    sqlx::query_scalar!(
        r#"SELECT cpv AS "cpv: Cpv" FROM artifacts
           WHERE id = ANY($2) AND received_at < (SELECT began_at FROM resolutions WHERE id = $1) ORDER BY cpv"#,
        resolution.0,
        &ids
    )
    .fetch_all(tx)
    .await
}
