//! Runs: begin, plan, move, count.

use super::events::{self, NewEvent};
use super::{succession, targets};
use crate::machine::run::{self, Transition};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::admin::{Counts, Resolver, Run};
use swarm_protocol::gentoo::{Cpv, TargetName, WorldAtom};
use swarm_protocol::id::{DefinitionId, EpochId, GenerationNumber, RunId, TargetId};
use swarm_protocol::resolution::Finding;
use swarm_protocol::state::RunState;

/// The target's runs that are not over, locked: the one that owns the queue, and the one that is being resolved.
#[derive(Debug, Default)]
pub struct Open {
    /// *building*, *frozen*, *validating* or *promoting*.
    pub current: Option<(RunId, RunState)>,
    /// *resolving*.
    pub resolving: Option<RunId>,
}

/// Locks the target's runs that are not over.
pub async fn lock_open(tx: &mut PgConnection, target: TargetId) -> sqlx::Result<Open> {
    targets::lock(&mut *tx, target).await?;
    let rows = sqlx::query!(
        r#"SELECT id AS "id: RunId", state AS "state: RunState" FROM runs
           WHERE target_id = $1 AND state IN ('resolving', 'building', 'frozen', 'validating', 'promoting')
           ORDER BY id FOR UPDATE"#,
        target.0
    )
    .fetch_all(tx)
    .await?;
    let mut open = Open::default();
    for row in rows {
        match row.state {
            RunState::Resolving => open.resolving = Some(row.id),
            state => open.current = Some((row.id, state)),
        }
    }
    Ok(open)
}

/// Begins a run of what the target and its workstations want.
pub async fn insert(
    tx: &mut PgConnection,
    target: TargetId,
    epoch: Option<EpochId>,
    definition: Option<DefinitionId>,
) -> sqlx::Result<RunId> {
    let predecessor = succession::predecessor(&mut *tx, target).await?;
    let run = sqlx::query_scalar!(
        r#"INSERT INTO runs (target_id, epoch_id, predecessor_id, definition_id, world)
           SELECT id, $2, $3, $4, ARRAY(
               SELECT unnest(world) COLLATE "C" AS atom UNION
               SELECT unnest(w.world) FROM workstations w WHERE w.target_id = t.id ORDER BY atom)
           FROM targets t WHERE id = $1 RETURNING id AS "id: RunId""#,
        target.0,
        epoch.map(|epoch| epoch.0),
        predecessor.map(|run| run.0),
        definition.map(|definition| definition.0)
    )
    .fetch_one(&mut *tx)
    .await?;
    events::append(tx, NewEvent { kind: "run.started", run: Some(run), ..NewEvent::default() }).await?;
    Ok(run)
}

/// What a run that the swarm begins by itself is begun for.
#[derive(Clone, Debug)]
pub struct Mending {
    /// The run that it mends.
    pub mends: Option<RunId>,
    /// What shall be installable beside the world.
    pub wants: Vec<Cpv>,
    /// What Portage shall not take.
    pub mask: Vec<Cpv>,
}

/// What `run` was begun for.
pub async fn mending(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Mending> {
    sqlx::query_as!(
        Mending,
        r#"SELECT mends_id AS "mends: RunId", wants AS "wants: Vec<Cpv>", mask AS "mask: Vec<Cpv>" FROM runs WHERE id = $1"#,
        run.0
    )
    .fetch_one(db)
    .await
}

/// Begins a run that mends another one of the target.
pub async fn insert_mending(
    tx: &mut PgConnection,
    target: TargetId,
    definition: Option<DefinitionId>,
    mending: &Mending,
) -> sqlx::Result<RunId> {
    let run = insert(&mut *tx, target, None, definition).await?;
    let lines = |cpvs: &[Cpv]| cpvs.iter().map(ToString::to_string).collect::<Vec<_>>();
    sqlx::query!(
        "UPDATE runs SET mends_id = $2, wants = $3, mask = $4 WHERE id = $1",
        run.0,
        mending.mends.map(|run| run.0),
        &lines(&mending.wants),
        &lines(&mending.mask)
    )
    .execute(tx)
    .await?;
    Ok(run)
}

/// Whether a drone resolved `run`, nothing of it but quarantined packages and those behind them is left, and no run was
/// begun for that yet.
pub async fn may_do_without(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM resolutions WHERE run_id = $1 AND outcome = 'planned')
              AND EXISTS (SELECT FROM packages WHERE run_id = $1 AND state = 'quarantined')
              AND NOT EXISTS (SELECT FROM packages WHERE run_id = $1 AND state IN ('needed', 'delegated'))
              AND NOT EXISTS (SELECT FROM runs WHERE mends_id = $1) AS "may!""#,
        run.0
    )
    .fetch_one(db)
    .await
}

/// The quarantined packages of `run`.
pub async fn quarantined(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Vec<Cpv>> {
    sqlx::query_scalar!(
        r#"SELECT cpv AS "cpv: Cpv" FROM packages WHERE run_id = $1 AND state = 'quarantined' ORDER BY cpv"#,
        run.0
    )
    .fetch_all(db)
    .await
}

/// A run that has no plan yet.
#[derive(Debug)]
pub struct Unplanned {
    /// Its target.
    pub target: TargetId,
    /// The target's name.
    pub name: TargetName,
    /// Its epoch, where it was begun with one.
    pub epoch: Option<EpochId>,
}

/// The run, whatever its state.
pub async fn unplanned(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Option<Unplanned>> {
    sqlx::query_as!(
        Unplanned,
        r#"SELECT t.id AS "target: TargetId", t.name AS "name: TargetName", r.epoch_id AS "epoch: EpochId"
           FROM runs r JOIN targets t ON t.id = r.target_id WHERE r.id = $1"#,
        run.0
    )
    .fetch_optional(db)
    .await
}

/// Fixes the epoch that the run's plan was made under.
pub async fn set_epoch(tx: &mut PgConnection, run: RunId, epoch: EpochId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE runs SET epoch_id = $2 WHERE id = $1", run.0, epoch.0).execute(tx).await?;
    Ok(())
}

/// Stores the `@system` that the run's plan was made with.
pub async fn set_system(tx: &mut PgConnection, run: RunId, system: &[WorldAtom]) -> sqlx::Result<()> {
    let lines: Vec<_> = system.iter().map(ToString::to_string).collect();
    sqlx::query!("UPDATE runs SET system = $2 WHERE id = $1", run.0, &lines).execute(tx).await?;
    Ok(())
}

/// Stores what a base root with the toolchain of the run's plan has of it, where the plan moves it.
pub async fn set_toolchain(tx: &mut PgConnection, run: RunId, toolchain: &[Cpv]) -> sqlx::Result<()> {
    let lines: Vec<_> = toolchain.iter().map(ToString::to_string).collect();
    sqlx::query!("UPDATE runs SET toolchain = $2 WHERE id = $1", run.0, &lines).execute(tx).await?;
    Ok(())
}

/// Stores what Portage refused or remarked, or for what the binhost refused the set.
pub async fn set_findings(tx: &mut PgConnection, run: RunId, findings: &[Finding]) -> sqlx::Result<()> {
    let findings = serde_json::to_value(findings).unwrap_or_default();
    sqlx::query!("UPDATE runs SET findings = $2 WHERE id = $1", run.0, findings).execute(tx).await?;
    Ok(())
}

/// Why a run stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none with that id.
    #[error("there is no such run")]
    NotFound,
    /// The machine refuses.
    #[error("a run that is {0} cannot do that")]
    State(RunState),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Applies a transition of the run machine: the only code that writes a run's state.
pub async fn apply(
    tx: &mut PgConnection,
    run: RunId,
    transition: Transition,
    reason: Option<&str>,
) -> Result<RunState, RunError> {
    let state =
        sqlx::query_scalar!(r#"SELECT state AS "state: RunState" FROM runs WHERE id = $1 FOR UPDATE"#, run.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(RunError::NotFound)?;
    let after = run::step(state, transition).ok_or(RunError::State(state))?;
    sqlx::query!(
        "UPDATE runs SET state = $2, reason = $3, ended_at = CASE WHEN $4 THEN swarm_now() END,
             blamed_since = CASE WHEN $5 THEN swarm_now() ELSE blamed_since END
         WHERE id = $1",
        run.0,
        after as RunState,
        reason,
        after.is_over(),
        transition == Transition::Thaw
    )
    .execute(&mut *tx)
    .await?;
    let data = reason.map_or(serde_json::Value::Null, |reason| serde_json::json!({ "reason": reason }));
    events::append(tx, NewEvent { kind: transition.event(), run: Some(run), data, ..NewEvent::default() })
        .await?;
    Ok(after)
}

/// A run's state, which its lock keeps.
pub async fn state(tx: &mut PgConnection, run: RunId) -> Result<RunState, RunError> {
    sqlx::query_scalar!(r#"SELECT state AS "state: RunState" FROM runs WHERE id = $1"#, run.0)
        .fetch_optional(tx)
        .await?
        .ok_or(RunError::NotFound)
}

/// Locks a run until the transaction ends: no report and no claim passes meanwhile.
pub async fn lock(tx: &mut PgConnection, run: RunId) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM runs WHERE id = $1 FOR UPDATE", run.0).fetch_optional(tx).await?;
    Ok(())
}

/// Runs in a state, oldest first.
pub async fn in_state(db: impl PgExecutor<'_>, state: RunState) -> sqlx::Result<Vec<RunId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: RunId" FROM runs WHERE state = $1 ORDER BY id"#,
        state as RunState
    )
    .fetch_all(db)
    .await
}

/// Which runs a person wants to see.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// This one.
    pub run: Option<RunId>,
    /// Those of this target.
    pub target: Option<&'a TargetName>,
    /// Only those that are not over.
    pub open: bool,
}

/// Whether there is such a run of the target.
pub async fn is_of(db: impl PgExecutor<'_>, run: RunId, target: &TargetName) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM runs r JOIN targets t ON t.id = r.target_id WHERE r.id = $1 AND t.name = $2) AS "is!""#,
        run.0,
        target.as_str()
    )
    .fetch_one(db)
    .await
}

/// The newest 100 runs that pass the filter, newest first.
pub async fn list(db: impl PgExecutor<'_> + Copy, filter: &Filter<'_>) -> sqlx::Result<Vec<Run>> {
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id: RunId", t.name AS "target: TargetName", r.state AS "state: RunState",
                  e.digest AS "epoch?: Digest", g.number AS "generation?: GenerationNumber", r.reason, r.created_at,
                  r.ended_at, r.findings AS "findings: Json<Vec<Finding>>", d.name AS "resolver?", n.number AS "definition?",
                  r.mask AS "mask: Vec<Cpv>", r.mends_id AS "mends: RunId",
                  o.began_at AS "resolving_since?"
           FROM runs r JOIN targets t ON t.id = r.target_id LEFT JOIN epochs e ON e.id = r.epoch_id
                LEFT JOIN generations g ON g.run_id = r.id AND g.promoted_at IS NOT NULL
                LEFT JOIN definitions n ON n.id = r.definition_id
                LEFT JOIN resolutions o ON o.run_id = r.id AND o.outcome IS NULL LEFT JOIN drones d ON d.id = o.drone_id
           WHERE r.id = COALESCE($1, r.id) AND t.name = COALESCE($2, t.name)
             AND (NOT $3 OR r.state IN ('resolving', 'building', 'frozen', 'validating', 'promoting'))
           ORDER BY r.id DESC LIMIT 100"#,
        filter.run.map(|run| run.0),
        filter.target.map(TargetName::as_str),
        filter.open
    )
    .fetch_all(db)
    .await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        runs.push(Run {
            id: row.id,
            target: row.target,
            state: row.state,
            epoch: row.epoch,
            definition: row.definition,
            without: row.mask,
            mends: row.mends,
            generation: row.generation,
            reason: row.reason,
            findings: row.findings.0,
            resolver: row.resolver.zip(row.resolving_since).map(|(drone, since)| Resolver { drone, since }),
            created_at: row.created_at,
            ended_at: row.ended_at,
            counts: counts(db, row.id).await?,
        });
    }
    Ok(runs)
}

/// True while a package of the run is being built or may yet be: asked at every turn, so it counts nothing.
pub async fn has_work(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM packages WHERE run_id = $1 AND state IN ('needed', 'delegated')) AS "work!""#,
        run.0
    )
    .fetch_one(db)
    .await
}

/// A run's packages by state, its attempts by outcome.
pub async fn counts(db: impl PgExecutor<'_>, run: RunId) -> sqlx::Result<Counts> {
    sqlx::query_as!(
        Counts,
        r#"SELECT count(p.id) AS "total!",
                  count(*) FILTER (WHERE p.state = 'needed') AS "needed!",
                  count(*) FILTER (WHERE p.state = 'needed' AND p.unmet = 0) AS "ready!",
                  count(*) FILTER (WHERE p.state = 'delegated') AS "delegated!",
                  count(*) FILTER (WHERE p.state = 'received') AS "received!",
                  count(*) FILTER (WHERE m.package_id <> p.id) AS "kept!",
                  count(*) FILTER (WHERE p.state = 'blocked') AS "blocked!",
                  count(*) FILTER (WHERE p.state = 'quarantined') AS "quarantined!",
                  a.attempted AS "attempted!", a.succeeded AS "succeeded!", a.failed AS "failed!"
           FROM (SELECT count(*) FILTER (WHERE t.started_at IS NOT NULL) AS attempted,
                        count(*) FILTER (WHERE t.outcome = 'received') AS succeeded,
                        count(*) FILTER (WHERE t.outcome = 'failed') AS failed
                 FROM packages q JOIN attempts t ON t.package_id = q.id WHERE q.run_id = $1) a
                LEFT JOIN packages p ON p.run_id = $1
                LEFT JOIN artifacts f ON f.id = p.artifact_id LEFT JOIN attempts m ON m.id = f.attempt_id
           GROUP BY a.attempted, a.succeeded, a.failed"#,
        run.0
    )
    .fetch_one(db)
    .await
}
