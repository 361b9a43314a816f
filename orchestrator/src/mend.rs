//! Runs that the swarm begins by itself to mend another one, once: what a gate found to be missing is built, and where
//! the policy says so, quarantined packages give way to their older versions (PORTAGE.md 8).

use crate::app::App;
use crate::config::Quarantined;
use crate::db::runs::{self, Mending, Open};
use crate::definitions;
use sqlx::PgConnection;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{RunId, TargetId};
use swarm_protocol::state::RunState;
use tracing::info;

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

async fn begin(tx: &mut PgConnection, target: TargetId, mending: &Mending) -> sqlx::Result<RunId> {
    let definition = definitions::of_new_run(&mut *tx, target, None).await?;
    runs::insert_mending(tx, target, definition, mending).await
}
