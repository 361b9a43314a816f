//! Definitions and workstations of targets: what `swarm target push` sends, and what is asked about it. Bundles go to the
//! binhost straight from the workstation; here they are only named.

use super::Shared;
use super::auth::{Admin, Viewer};
use super::error::ApiError;
use super::extract::{Json, Path};
use super::generations::passed_on;
use crate::app::App;
use crate::db::definitions::{self as table, Filter};
use crate::db::{self, targets, workstations};
use crate::definitions;
use axum::extract::State;
use axum::response::NoContent;
use swarm_protocol::Code;
use swarm_protocol::admin::{
    BundleAccess, BundleUpload, ClientSetup, DefinitionEntry, NewDefinition, OfferBundles, PushedDefinition,
    Workstation,
};
use swarm_protocol::binhost::ClientSide;
use swarm_protocol::gentoo::{TargetName, WorkstationName};
use swarm_protocol::id::TargetId;

/// How many bundles a push is made of at most.
const MOST_BUNDLES: usize = 256;

async fn target(app: &App, name: &TargetName) -> Result<TargetId, ApiError> {
    targets::id(&app.db, name).await?.ok_or_else(|| ApiError::not_found("target"))
}

/// Which bundles the binhost lacks, and a ticket for sending them.
pub async fn offer(
    State(app): State<Shared>,
    _: Admin,
    Json(OfferBundles { bundles }): Json<OfferBundles>,
) -> Result<axum::Json<BundleUpload>, ApiError> {
    if bundles.is_empty() || bundles.len() > MOST_BUNDLES {
        return Err(ApiError::new(Code::InvalidValue, format!("there are 1 to {MOST_BUNDLES} bundles")));
    }
    let largest = bundles.iter().map(|bundle| bundle.bytes).max();
    let digests: Vec<_> = bundles.iter().map(|bundle| bundle.digest).collect();
    let missing = definitions::missing_bundles(&app, digests.clone()).await?;
    let ticket = app.bundles_ticket(db::now(&app.db).await?, digests, largest);
    Ok(axum::Json(BundleUpload { binhost_url: app.drone_binhost_url.clone(), ticket, missing }))
}

/// Defines a target, and registers the workstation that it comes from.
pub async fn push(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<TargetName>,
    Json(new): Json<NewDefinition>,
) -> Result<axum::Json<PushedDefinition>, ApiError> {
    definitions::push(&app, &name, &new).await.map(axum::Json)
}

/// A target's definitions, newest first.
pub async fn history(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
) -> Result<axum::Json<Vec<DefinitionEntry>>, ApiError> {
    let target = target(&app, &name).await?;
    Ok(axum::Json(table::history(&app.db, target, None).await?))
}

/// A ticket for reading a definition's bundles. They may hold what a viewer should not see.
pub async fn ticket(
    State(app): State<Shared>,
    _: Admin,
    Path((name, number)): Path<(TargetName, i32)>,
) -> Result<axum::Json<BundleAccess>, ApiError> {
    let target = target(&app, &name).await?;
    let filter = Filter { target: Some(target), number: Some(number), ..Filter::default() };
    let (_, entry) =
        table::list(&app.db, &filter).await?.pop().ok_or_else(|| ApiError::not_found("definition"))?;
    let ticket = app.bundles_ticket(db::now(&app.db).await?, entry.definition.bundles(), None);
    Ok(axum::Json(BundleAccess { binhost_url: app.drone_binhost_url.clone(), ticket }))
}

/// What a workstation is set up with. The keys come by this way so that they need not be believed as they come from where
/// the packages come from.
pub async fn client(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
) -> Result<axum::Json<ClientSetup>, ApiError> {
    target(&app, &name).await?;
    let ClientSide { url, keys } = app.binhost().await?.client_side().await.map_err(passed_on)?;
    let base = url.unwrap_or_else(|| app.drone_binhost_url.clone());
    Ok(axum::Json(ClientSetup { sync_uri: format!("{}/binhost/{name}", base.trim_end_matches('/')), keys }))
}

/// A target's workstations, by name.
pub async fn workstations(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
) -> Result<axum::Json<Vec<Workstation>>, ApiError> {
    let target = target(&app, &name).await?;
    Ok(axum::Json(workstations::list(&app.db, target).await?))
}

/// Forgets a workstation. Runs that begin later no longer build what only it wants.
pub async fn forget(
    State(app): State<Shared>,
    _: Admin,
    Path((name, workstation)): Path<(TargetName, WorkstationName)>,
) -> Result<NoContent, ApiError> {
    let target = target(&app, &name).await?;
    if workstations::forget(&app.db, target, &workstation).await? {
        Ok(NoContent)
    } else {
        Err(ApiError::not_found("workstation"))
    }
}
