//! Runs that the swarm begins by itself to mend another one, once: what a gate found to be missing is built, and where
//! the policy says so, quarantined packages give way to their older versions (PORTAGE.md 8). And in place of one that was
//! over already, which only a restored database does not know.

use crate::app::App;
use crate::config::Quarantined;
use crate::db::runs::{self, Mending, Open, RunError};
use crate::db::transition::ApplyError;
use crate::definitions;
use crate::machine::run::Transition;
use crate::maintenance;
use sqlx::PgConnection;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{RunId, TargetId};
use swarm_protocol::state::RunState;
use tracing::{info, warn};

/// Begins a successor of a run that a gate refused, to build what workstations would have to compile. None: nothing is
/// missing, the run was such a one itself, or a newer one is on its way. The target's runs are locked by the caller.
pub async fn missing(
    tx: &mut PgConnection,
    (target, open): (TargetId, &Open),
    run: RunId,
    missing: &[Cpv],
) -> sqlx::Result<Option<RunId>> {
    if missing.is_empty() || open.resolving.is_some() {
        return Ok(None);
    }
    let mending = runs::mending(&mut *tx, run).await?;
    if mending.mends.is_some() {
        return Ok(None);
    }
    let successor = Mending { mends: Some(run), wants: missing.to_vec(), ..mending };
    begin(tx, target, &successor).await.map(Some)
}

/// Begins a successor of every frozen run that only quarantined packages hold up, and that may do without them.
pub async fn older(app: &App) -> sqlx::Result<()> {
    if app.gate.quarantined == Quarantined::Hold {
        return Ok(());
    }
    for run in runs::in_state(&app.db, RunState::Frozen).await? {
        let mut tx = app.db.begin().await?;
        let Some(unplanned) = runs::unplanned(&mut *tx, run).await? else { continue };
        let open = runs::lock_open(&mut tx, unplanned.target).await?;
        let frozen = open.current == Some((run, RunState::Frozen));
        if !frozen || open.resolving.is_some() || !runs::may_do_without(&mut *tx, run).await? {
            continue;
        }
        let mut mending = runs::mending(&mut *tx, run).await?;
        let quarantined = runs::quarantined(&mut *tx, run).await?;
        mending.mask.extend(quarantined);
        let mending = Mending { mends: Some(run), ..mending };
        let successor = begin(&mut tx, unplanned.target, &mending).await?;
        tx.commit().await?;
        info!(%run, %successor, "a successor shall do without what is quarantined");
        app.wake.all();
    }
    Ok(())
}

/// Ends a run that the binhost says is over, and begins another one in its place: the database was restored from a dump that
/// is older than the run's end. What it received, the other one may keep.
pub async fn overtaken(app: &App, run: RunId, why: &str) -> Result<(), ApplyError> {
    let mut tx = app.db.begin().await?;
    let Some(unplanned) = runs::unplanned(&mut *tx, run).await? else { return Ok(()) };
    let open = runs::lock_open(&mut tx, unplanned.target).await?;
    if !matches!(open.current, Some((current, RunState::Building | RunState::Frozen)) if current == run) {
        return Ok(());
    }
    let reason = format!("the binhost says: {why}");
    match runs::apply(&mut tx, run, Transition::Cancel, Some(&reason)).await {
        Ok(_) => {}
        Err(RunError::Database(error)) => return Err(error.into()),
        // It is locked, and was in a state that this is for.
        Err(_) => return Ok(()),
    }
    if open.resolving.is_none() {
        let anew = Mending { mends: None, wants: vec![], mask: vec![] };
        let successor = begin(&mut tx, unplanned.target, &anew).await?;
        warn!(%run, %successor, why, "a run was over already; another one takes its place");
    }
    tx.commit().await?;
    maintenance::end_orphans(app).await?;
    app.wake.all();
    Ok(())
}

async fn begin(tx: &mut PgConnection, target: TargetId, mending: &Mending) -> sqlx::Result<RunId> {
    let definition = definitions::of_new_run(&mut *tx, target, None).await?;
    runs::insert_mending(tx, target, definition, mending).await
}
