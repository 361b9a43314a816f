//! Publishing an earlier generation's set again (law 9). The row is the intent, as with the generations that runs make:
//! *preparing*, then *prepared*, then *current*, each written so that any orchestrator can go on from it.

use super::events::{self, NewEvent};
use super::generations::{self, Becoming};
use super::runs;
use sqlx::{PgConnection, PgExecutor, PgPool};
use swarm_protocol::admin::Republish;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{GenerationId, GenerationNumber, RunId, TargetId};
use swarm_protocol::state::{GenerationState, RunState};

/// Why a set is not published again.
#[derive(Debug, thiserror::Error)]
pub enum RepublishError {
    /// There is no generation of that number.
    #[error("there is no generation {0}")]
    NotFound(GenerationNumber),
    /// The binhost keeps it no longer.
    #[error("the binhost no longer keeps generation {0}")]
    Removed(GenerationNumber),
    /// It cannot be done now, or not to this generation.
    #[error("{0}")]
    Refused(String),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn refused<T>(why: impl Into<String>) -> Result<T, RepublishError> {
    Err(RepublishError::Refused(why.into()))
}

/// The package whose ebuild forbids downgrades (PORTAGE.md 5).
const C_LIBRARY: &str = "sys-libs/glibc";

/// Writes the intent: a generation in *preparing*.
pub async fn begin(
    tx: &mut PgConnection,
    target: TargetId,
    order: Republish,
) -> Result<GenerationNumber, RepublishError> {
    // The target's row and its runs are locked: no run can become a generation meanwhile, and none begins to.
    let open = runs::lock_open(tx, target).await?;
    if let Some((run, state @ (RunState::Validating | RunState::Promoting))) = open.current {
        return refused(format!("run {run} is {state}: wait until its generation is current"));
    }
    if let Some(number) = under_way(&mut *tx, target).await? {
        return refused(format!("generation {number} is on its way to being current"));
    }
    let Some(current) = current(&mut *tx, target).await? else {
        return refused("there is no current generation yet");
    };
    let of = match order.of {
        Some(number) => original(tx, target, number).await?,
        None => match before(&mut *tx, target, current.original).await? {
            Some(number) => number,
            None => return refused("there is no generation before the current one"),
        },
    };
    if of == current.original {
        return refused(format!("generation {} has that set already, and is current", current.number));
    }
    if !order.force {
        judge(tx, target, of, current.number).await?;
    }
    insert(tx, target, of).await
}

/// What clients see, and the generation whose set it is.
struct Current {
    number: GenerationNumber,
    original: GenerationNumber,
}

async fn current(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Option<Current>> {
    sqlx::query_as!(
        Current,
        r#"SELECT number AS "number: GenerationNumber", COALESCE(republishes, number) AS "original!: GenerationNumber"
           FROM generations WHERE target_id = $1 AND state = 'current'"#,
        target.0
    )
    .fetch_optional(db)
    .await
}

/// The republished generation that is on its way.
async fn under_way(db: impl PgExecutor<'_>, target: TargetId) -> sqlx::Result<Option<GenerationNumber>> {
    sqlx::query_scalar!(
        r#"SELECT number AS "number: GenerationNumber" FROM generations
           WHERE target_id = $1 AND run_id IS NULL AND state IN ('preparing', 'prepared')"#,
        target.0
    )
    .fetch_optional(db)
    .await
}

/// Whether the target of `run` has a republished generation on its way. The caller holds the run's lock.
pub async fn holds_up(tx: &mut PgConnection, run: RunId) -> sqlx::Result<bool> {
    let target = sqlx::query_scalar!(r#"SELECT target_id AS "id: TargetId" FROM runs WHERE id = $1"#, run.0);
    let target = target.fetch_one(&mut *tx).await?;
    Ok(under_way(tx, target).await?.is_some())
}

/// The generation that first had the set of the named one, which clients must have seen.
async fn original(
    tx: &mut PgConnection,
    target: TargetId,
    number: GenerationNumber,
) -> Result<GenerationNumber, RepublishError> {
    let row = sqlx::query!(
        r#"SELECT COALESCE(republishes, number) AS "original!: GenerationNumber", state AS "state: GenerationState",
                  promoted_at IS NOT NULL AS "promoted!", removed_at IS NOT NULL AS "removed!",
                  learned_at IS NOT NULL AS "learned!"
           FROM generations WHERE target_id = $1 AND number = $2"#,
        target.0,
        number.0
    );
    match row.fetch_optional(tx).await? {
        None => Err(RepublishError::NotFound(number)),
        Some(row) if row.removed => Err(RepublishError::Removed(number)),
        Some(row) if row.learned => refused(format!(
            "what generation {number} contains is not known: the database that it was made with was lost"
        )),
        Some(row) if row.promoted => Ok(row.original),
        Some(row) => refused(format!("generation {number} is {}, and never was current", row.state)),
    }
}

/// The newest generation before `number` that brought a set of its own, and is kept.
async fn before(
    db: impl PgExecutor<'_>,
    target: TargetId,
    number: GenerationNumber,
) -> sqlx::Result<Option<GenerationNumber>> {
    sqlx::query_scalar!(
        r#"SELECT number AS "number: GenerationNumber" FROM generations
           WHERE target_id = $1 AND number < $2 AND run_id IS NOT NULL AND promoted_at IS NOT NULL
             AND removed_at IS NULL
           ORDER BY number DESC LIMIT 1"#,
        target.0,
        number.0
    )
    .fetch_optional(db)
    .await
}

/// What only a person may decide: artifacts that were withdrawn, and a C library that no workstation would install.
async fn judge(
    tx: &mut PgConnection,
    target: TargetId,
    of: GenerationNumber,
    current: GenerationNumber,
) -> Result<(), RepublishError> {
    let contents = contents(&mut *tx, target, of).await?;
    let withdrawn: Vec<_> =
        contents.iter().filter(|(_, withdrawn)| *withdrawn).map(|(cpv, _)| cpv.to_string()).collect();
    if !withdrawn.is_empty() {
        let names = withdrawn.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        return refused(format!(
            "generation {of} has {} withdrawn artifacts ({names}{}); force publishes them all the same",
            withdrawn.len(),
            if withdrawn.len() > 5 { ", …" } else { "" }
        ));
    }
    let library = |contents: &[(Cpv, bool)]| {
        let cpvs = contents.iter().map(|(cpv, _)| cpv).filter(|cpv| cpv.cp() == C_LIBRARY);
        cpvs.max_by(|a, b| a.compare_version(b)).cloned()
    };
    let now = library(&self::contents(&mut *tx, target, current).await?);
    match (now, library(&contents)) {
        (Some(now), Some(then)) if then.compare_version(&now).is_lt() => refused(format!(
            "generation {of} has {then}, but its ebuild refuses to replace {now}, which clients may have; \
             force publishes it all the same"
        )),
        _ => Ok(()),
    }
}

/// The cpvs of a generation, and which of its artifacts are withdrawn.
async fn contents(
    db: impl PgExecutor<'_>,
    target: TargetId,
    number: GenerationNumber,
) -> sqlx::Result<Vec<(Cpv, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT f.cpv AS "cpv: Cpv", f.withdrawn_at IS NOT NULL AS "withdrawn!"
           FROM generations g JOIN generation_artifacts a ON a.generation_id = g.id JOIN artifacts f ON f.id = a.artifact_id
           WHERE g.target_id = $1 AND g.number = $2 ORDER BY f.cpv"#,
        target.0,
        number.0
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.cpv, row.withdrawn)).collect())
}

async fn insert(
    tx: &mut PgConnection,
    target: TargetId,
    of: GenerationNumber,
) -> Result<GenerationNumber, RepublishError> {
    let number = sqlx::query_scalar!(
        r#"WITH new AS (
               INSERT INTO generations (target_id, republishes, number, expects)
               SELECT $1, $2, (SELECT max(number) FROM generations WHERE target_id = $1) + 1,
                      (SELECT number FROM generations WHERE target_id = $1 AND state = 'current')
               RETURNING id, number
           ), copied AS (
               INSERT INTO generation_artifacts (generation_id, artifact_id)
               SELECT new.id, a.artifact_id FROM new, generation_artifacts a JOIN generations g ON g.id = a.generation_id
               WHERE g.target_id = $1 AND g.number = $2)
           SELECT number AS "number: GenerationNumber" FROM new"#,
        target.0,
        of.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let name =
        sqlx::query_scalar!("SELECT name FROM targets WHERE id = $1", target.0).fetch_one(&mut *tx).await?;
    let data = serde_json::json!({ "target": name, "number": number, "of": of });
    events::append(tx, NewEvent { kind: "generation.republishing", data, ..NewEvent::default() }).await?;
    Ok(number)
}

/// The generations on their way, of all targets, and how far they are.
pub async fn all_under_way(db: &PgPool) -> sqlx::Result<Vec<(GenerationState, Becoming)>> {
    let rows = sqlx::query!(
        r#"SELECT g.id AS "id: GenerationId", g.state AS "state: GenerationState", t.name AS "target: TargetName",
                  g.number AS "number: GenerationNumber", g.expects AS "expects: GenerationNumber"
           FROM generations g JOIN targets t ON t.id = g.target_id
           WHERE g.run_id IS NULL AND g.state IN ('preparing', 'prepared') ORDER BY g.id"#
    )
    .fetch_all(db)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let content = generations::content(db, row.id).await?;
        let (id, target, number, expects) = (row.id, row.target, row.number, row.expects);
        all.push((row.state, Becoming { id, target, number, expects, content }));
    }
    Ok(all)
}

/// preparing → prepared: the intent to switch. `false`: another orchestrator was faster.
pub async fn prepared(db: impl PgExecutor<'_>, generation: GenerationId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE generations SET state = 'prepared' WHERE id = $1 AND state = 'preparing'",
        generation.0
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// prepared → current; the former current one retires. `false`: another orchestrator was faster.
pub async fn promoted(tx: &mut PgConnection, becoming: &Becoming) -> sqlx::Result<bool> {
    if !is_under_way(tx, becoming.id).await? {
        return Ok(false);
    }
    generations::make_current(tx, None, becoming).await?;
    Ok(true)
}

/// The binhost refused.
pub async fn refuse(tx: &mut PgConnection, becoming: &Becoming, reason: &str) -> sqlx::Result<()> {
    if !is_under_way(tx, becoming.id).await? {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE generations SET state = 'refused', reason = $2 WHERE id = $1",
        becoming.id.0,
        reason
    )
    .execute(&mut *tx)
    .await?;
    let data = serde_json::json!({ "target": becoming.target, "number": becoming.number, "reason": reason });
    events::append(tx, NewEvent { kind: "generation.refused", data, ..NewEvent::default() }).await
}

async fn is_under_way(tx: &mut PgConnection, generation: GenerationId) -> sqlx::Result<bool> {
    let state = sqlx::query_scalar!(
        r#"SELECT state AS "state: GenerationState" FROM generations WHERE id = $1 FOR UPDATE"#,
        generation.0
    );
    let state = state.fetch_one(tx).await?;
    Ok(matches!(state, GenerationState::Preparing | GenerationState::Prepared))
}
