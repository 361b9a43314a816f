//! A toolchain that moves (PORTAGE.md 7): builds keep the compiler and the C library of the base root, so a plan with newer
//! ones needs a newer base root before anything profits from them.
//!
//! ```text
//! plan: newer than the base root ─▶ built with the older ─▶ promoted ─▶ definition with that toolchain
//!                                                                            │ drones install it in their base root
//! plan: older than what the base root was given ─▶ refused ─▶ … without it   └─▶ a run: what differs is built anew
//! ```
//!
//! **After the promotion, not within the run.** The run that moves the toolchain builds that, and whatever else is due, with
//! the older one, and keeps the rest: clients get what an update on a single Gentoo machine would give them, in the same
//! night. Only then is everything built anew, with the new toolchain in its root, while clients go on with a generation
//! that holds together. A first phase within the run would hold the night's updates back for as long as that takes, and
//! needs artifacts that no gate has seen in every later root. It would save the second build of what is due in that one
//! night; that is much only for a target's first run on a base root that is older than its tree.
//!
//! **No loop.** A definition's toolchain follows from the current generation: what the run behind it moved, or else what
//! that run was built with. Another run begins only after one whose plan had a newer version than its base root; drones prove
//! that what they are given is installed (`drone/src/epoch/toolchain.rs`), so with every such run a version rises. A rollback
//! takes the definition back with the generation. What is given is dropped when a plan turns out to be older (`base_ahead`),
//! or when its maker is distrusted: then drones build with their own.
//!
//! The packages come to the drones as the definition's bundles, so they stay for as long as the definition is wanted,
//! whatever becomes of their generation, and a binhost that is not public gives them to drones all the same.

use crate::app::App;
use crate::db::definitions::{self, New};
use crate::db::events::{self, NewEvent};
use crate::db::runs::{self, Open, RunError};
use crate::db::targets;
use crate::db::toolchain::{self, Toolchain};
use crate::machine::run::Transition;
use crate::maintenance;
use sqlx::PgConnection;
use swarm_protocol::definition::Definition;
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::id::{DefinitionId, RunId, TargetId};
use swarm_protocol::resolution::{Finding, FindingKind};
use tracing::info;

/// Clients see the set of `run`: if its plan moves the toolchain, another run begins, which builds with that. The target's
/// runs are locked by the caller.
pub async fn promoted(
    tx: &mut PgConnection,
    (target, name): (TargetId, &TargetName),
    open: &Open,
    run: RunId,
) -> Result<Option<RunId>, RunError> {
    let Some(toolchain) = toolchain::of_run(tx, run).await? else { return Ok(None) };
    let newest = define(tx, (target, name), &toolchain.wanted).await?;
    if toolchain.wanted == toolchain.built_with {
        return Ok(None);
    }
    if let Some(resolving) = open.resolving {
        runs::apply(tx, resolving, Transition::Supersede, Some("the toolchain has moved")).await?;
    }
    Ok(Some(runs::insert(tx, target, None, newest).await?))
}

/// An earlier set is current again. The target is locked by the caller.
pub async fn rolled_back(tx: &mut PgConnection, (target, name): (TargetId, &TargetName)) -> sqlx::Result<()> {
    let Some(run) = toolchain::current_run(tx, target).await? else { return Ok(()) };
    if let Some(toolchain) = toolchain::of_run(tx, run).await? {
        define(tx, (target, name), &toolchain.wanted).await?;
    }
    Ok(())
}

/// Artifacts were withdrawn: no base root is given one of them from now on.
pub async fn withdrawn(tx: &mut PgConnection) -> sqlx::Result<()> {
    for (target, name) in toolchain::withdrawn(tx).await? {
        targets::lock(tx, target).await?;
        define(tx, (target, &name), &[]).await?;
    }
    Ok(())
}

/// Portage has refused `run`, which has failed. If what its base root was given is newer than the plan's, a run without it
/// begins; a base root that is ahead by itself is for a person. The target's runs are locked by the caller.
pub async fn refused(
    tx: &mut PgConnection,
    (target, name): (TargetId, &TargetName),
    run: RunId,
    findings: &[Finding],
) -> sqlx::Result<Option<RunId>> {
    let Some(Toolchain { built_with, .. }) = toolchain::of_run(tx, run).await? else { return Ok(None) };
    if !findings.iter().any(|finding| is_ahead(finding, &built_with)) {
        return Ok(None);
    }
    let newest = define(tx, (target, name), &[]).await?;
    runs::insert(tx, target, None, newest).await.map(Some)
}

/// Whether the finding is that the plan has an older version than one of `given`.
fn is_ahead(finding: &Finding, given: &[Dependency]) -> bool {
    let planned = finding.atom.as_deref().filter(|_| finding.kind == FindingKind::BaseAhead);
    let Some(planned) = planned.and_then(|planned| planned.parse::<Cpv>().ok()) else { return false };
    let mut given = given.iter().map(|package| &package.cpv);
    given.any(|given| given.cp() == planned.cp() && given.compare_version(&planned).is_gt())
}

/// Makes the target's next definition, unless the newest has this toolchain; gives the newest then.
async fn define(
    tx: &mut PgConnection,
    (target, name): (TargetId, &TargetName),
    toolchain: &[Dependency],
) -> sqlx::Result<Option<DefinitionId>> {
    let Some(newest) = definitions::newest(tx, target).await? else { return Ok(None) };
    let Definition { id, number, configuration, repositories, toolchain: former } = newest.definition;
    if former == toolchain {
        return Ok(Some(id));
    }
    let workstation = newest.workstation;
    let (number, toolchain) = (number + 1, toolchain.to_vec());
    let cpvs: Vec<_> = toolchain.iter().map(|package| package.cpv.to_string()).collect();
    let next = New { number, workstation, configuration, repositories, toolchain };
    let made = definitions::insert(tx, target, next).await?;
    info!(target.name = %name, definition = number, toolchain = cpvs.join(" "), "a definition with another toolchain");
    let data = serde_json::json!({ "target": name, "definition": number, "toolchain": cpvs });
    events::append(tx, NewEvent { kind: "target.toolchain_moved", data, ..NewEvent::default() }).await?;
    Ok(Some(made.definition.id))
}

/// What was decided is written: the binhost keeps the packages for the drones, and whoever waits hears of it.
pub async fn tell(app: &App, successor: Option<RunId>) {
    let Some(run) = successor else { return };
    info!(%run, "a run builds with the toolchain of its target's newest definition");
    // Before a drone asks for them. Should it fail, the maintenance loop says it again, and so asks the drone.
    if let Err(error) = maintenance::retain_bundles(app).await {
        tracing::warn!(%error, "the binhost could not be told at once which packages drones need");
    }
    app.wake.all();
}
