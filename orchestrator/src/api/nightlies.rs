//! Nightly updates: `swarm nightly` says that one begins and ends, `/readyz` says that one did not come.

use super::Shared;
use super::answer::Created;
use super::auth::{Admin, Viewer};
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::app::App;
use crate::db::{nightlies, runs, targets};
use axum::extract::State;
use axum::response::NoContent;
use swarm_protocol::Code;
use swarm_protocol::admin::{EndNightly, NewNightly, Nightlies, Nightly, NightlyResult};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{NightlyId, TargetId};

/// What a period may be, in seconds.
const PERIODS: std::ops::RangeInclusive<u32> = 60..=366 * 86_400;

async fn target(app: &App, name: &TargetName) -> Result<TargetId, ApiError> {
    targets::id(&app.db, name).await?.ok_or_else(|| ApiError::not_found("target"))
}

async fn one(app: &App, id: NightlyId) -> Result<Nightly, ApiError> {
    nightlies::one(&app.db, id).await?.ok_or_else(|| ApiError::not_found("nightly update"))
}

/// A target's nightly updates, and when the next one is due.
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    Path(name): Path<TargetName>,
) -> Result<axum::Json<Nightlies>, ApiError> {
    let target = target(&app, &name).await?;
    let due_at = nightlies::due(&app.db, target).await?;
    Ok(axum::Json(Nightlies { due_at, nightlies: nightlies::list(&app.db, target).await? }))
}

/// One begins.
pub async fn begin(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<TargetName>,
    Json(new): Json<NewNightly>,
) -> Result<Created<Nightly>, ApiError> {
    if !PERIODS.contains(&new.period_seconds) {
        let detail = format!("period_seconds is {} to {}", PERIODS.start(), PERIODS.end());
        return Err(ApiError::new(Code::InvalidValue, detail));
    }
    if !(1..=255).contains(&new.host.chars().count()) || new.host.chars().any(char::is_control) {
        return Err(ApiError::new(Code::InvalidValue, "host is 1 to 255 printable characters"));
    }
    let target = target(&app, &name).await?;
    let mut tx = app.db.begin().await?;
    let begun = nightlies::begin(&mut tx, target, &new).await?.map_err(|running| {
        let since = running.started_at.format("%F %T");
        let detail =
            format!("a nightly update of {name} is on its way, on {} since {since} UTC", running.host);
        ApiError::new(Code::Conflict, detail)
    })?;
    tx.commit().await?;
    Ok(Created(one(&app, begun).await?))
}

/// One is over.
pub async fn end(
    State(app): State<Shared>,
    _: Admin,
    Path(id): Path<NightlyId>,
    Json(end): Json<EndNightly>,
) -> Result<axum::Json<Nightly>, ApiError> {
    if end.result == NightlyResult::Vanished {
        return Err(ApiError::new(Code::InvalidValue, "result is succeeded or failed"));
    }
    let before = one(&app, id).await?;
    if let Some(run) = end.run
        && !runs::is_of(&app.db, run, &before.target).await?
    {
        return Err(ApiError::new(Code::InvalidValue, format!("run {run} is none of {}", before.target)));
    }
    let mut tx = app.db.begin().await?;
    let ended = nightlies::end(&mut tx, id, &end).await?;
    tx.commit().await?;
    let now = one(&app, id).await?;
    if !ended && now.result != Some(end.result) {
        return Err(ApiError::new(Code::WrongState, "it has ended otherwise"));
    }
    Ok(axum::Json(now))
}

/// From now on none is expected, so that none is missed; the next one that begins is followed by others again.
pub async fn expect_none(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<TargetName>,
) -> Result<NoContent, ApiError> {
    nightlies::expect_none(&app.db, target(&app, &name).await?).await?;
    Ok(NoContent)
}
