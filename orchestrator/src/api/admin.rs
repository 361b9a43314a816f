//! Targets, drones, tokens, events: what people and scripts call.

use super::Shared;
use super::auth::{Admin, AdminBy, Viewer};
use super::enrol;
use super::error::ApiError;
use super::extract::{Json, Path, Query};
use crate::db::tokens::Revoked;
use crate::db::{drones, events, targets, tokens};
use crate::distrust::{self, Withdrawal};
use crate::machine::drone::Transition;
use crate::maintenance;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::Deserialize;
use swarm_protocol::Code;
use swarm_protocol::admin::{
    Deployed, Distrusted, Drone, DroneOrder, Events, NewJoinToken, NewTarget, NewToken, Target, Token,
    TokenEntry, World,
};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{RunId, TokenId};
use swarm_protocol::state::Role;

/// All targets.
pub async fn targets(State(app): State<Shared>, _: Viewer) -> Result<axum::Json<Vec<Target>>, ApiError> {
    Ok(axum::Json(targets::list(&app.db, None).await?))
}

/// Creates a target; one that is there already is answered as it is.
pub async fn create_target(
    State(app): State<Shared>,
    _: Admin,
    Json(new): Json<NewTarget>,
) -> Result<axum::Json<Target>, ApiError> {
    targets::insert(&app.db, &new.name, &new.world, &new.provided).await?;
    let target = targets::list(&app.db, Some(&new.name)).await?.pop();
    target.map(axum::Json).ok_or_else(|| ApiError::not_found("target"))
}

/// Replaces a target's world set, which runs that begin later resolve, and what its generations need not contain.
pub async fn set_world(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<TargetName>,
    Json(World { world, provided }): Json<World>,
) -> Result<axum::Json<Target>, ApiError> {
    let target = targets::id(&app.db, &name).await?.ok_or_else(|| ApiError::not_found("target"))?;
    targets::set_world(&app.db, target, &world, &provided).await?;
    let target = targets::list(&app.db, Some(&name)).await?.pop();
    target.map(axum::Json).ok_or_else(|| ApiError::not_found("target"))
}

/// All drones.
pub async fn drones(State(app): State<Shared>, _: Viewer) -> Result<axum::Json<Vec<Drone>>, ApiError> {
    Ok(axum::Json(drones::list(&app.db, None).await?))
}

/// Gives a drone an order. What it is already is no error.
pub async fn order_drone(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<String>,
    Json(order): Json<DroneOrder>,
) -> Result<axum::Json<Drone>, ApiError> {
    let id = drones::id(&app.db, &name).await?.ok_or_else(|| ApiError::not_found("drone"))?;
    let mut tx = app.db.begin().await?;
    match order {
        DroneOrder::Ground { seconds } => {
            if !drones::ground(&mut tx, id, seconds).await? {
                return Err(ApiError::new(Code::WrongState, "the drone drains; resume it before"));
            }
        }
        DroneOrder::Drain => drones::apply(&mut tx, id, Transition::Drain, 0, None).await.map(drop)?,
        DroneOrder::Resume => drones::apply(&mut tx, id, Transition::Resume, 0, None).await.map(drop)?,
        DroneOrder::Trust => drones::set_trusted(&mut tx, id, true).await?,
        DroneOrder::Approve => drones::approve(&mut tx, id).await?,
    }
    tx.commit().await?;
    if matches!(order, DroneOrder::Ground { .. } | DroneOrder::Drain) {
        maintenance::return_unstarted(&app, id).await?;
    }
    app.wake.all();
    let drone = drones::list(&app.db, Some(&name)).await?.pop();
    drone.map(axum::Json).ok_or_else(|| ApiError::not_found("drone"))
}

/// Notes what should run on a drone's machine, so that it shows when something else does.
pub async fn expect(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<String>,
    Json(expected): Json<Deployed>,
) -> Result<axum::Json<Drone>, ApiError> {
    let id = drones::id(&app.db, &name).await?.ok_or_else(|| ApiError::not_found("drone"))?;
    drones::expect(&app.db, id, &expected).await?;
    let drone = drones::list(&app.db, Some(&name)).await?.pop();
    drone.map(axum::Json).ok_or_else(|| ApiError::not_found("drone"))
}

/// Believes a drone no longer, and withdraws what it made.
pub async fn distrust(
    State(app): State<Shared>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<axum::Json<Distrusted>, ApiError> {
    let id = drones::id(&app.db, &name).await?.ok_or_else(|| ApiError::not_found("drone"))?;
    let Withdrawal { artifacts, ended, published } = distrust::distrust(&app, id).await?;
    let drone = drones::list(&app.db, Some(&name)).await?.pop();
    let drone = drone.ok_or_else(|| ApiError::not_found("drone"))?;
    Ok(axum::Json(Distrusted { drone, withdrawn: artifacts, cancelled: ended, published }))
}

/// A week: how long a join token may be good at most.
const LONGEST_JOIN_SECONDS: u32 = 7 * 86_400;

/// Makes a join token.
pub async fn create_join_token(
    State(app): State<Shared>,
    _: Admin,
    Json(new): Json<NewJoinToken>,
) -> Result<axum::Json<Token>, ApiError> {
    if new.ttl_seconds == 0 || new.ttl_seconds > LONGEST_JOIN_SECONDS {
        return Err(ApiError::new(Code::InvalidValue, format!("ttl_seconds is 1 to {LONGEST_JOIN_SECONDS}")));
    }
    if let Some(name) = &new.name {
        enrol::check_name(name)?;
    } else if new.replaces {
        return Err(ApiError::new(
            Code::InvalidValue,
            "replaces needs the name of the drone whose place is taken",
        ));
    }
    if new.ask && new.replaces {
        let detail =
            "whoever lets a machine take a drone's place has let it in: ask and replaces exclude each other";
        return Err(ApiError::new(Code::InvalidValue, detail));
    }
    let token = generate("join")?;
    tokens::insert_join(&app.db, &token, &new).await?;
    Ok(axum::Json(Token { token }))
}

/// Makes an admin's or viewer's token.
pub async fn create_token(
    State(app): State<Shared>,
    _: Admin,
    Json(new): Json<NewToken>,
) -> Result<axum::Json<Token>, ApiError> {
    if new.role == Role::Drone {
        return Err(ApiError::new(Code::InvalidValue, "a drone gets its token by enrolment"));
    }
    if new.label.is_empty() || new.label.len() > 128 || new.label.contains('\0') {
        return Err(ApiError::new(Code::InvalidValue, "label has 1 to 128 bytes"));
    }
    let token = generate(new.role.as_str())?;
    let mut tx = app.db.begin().await?;
    tokens::create(&mut tx, &token, &new).await?;
    tx.commit().await?;
    Ok(axum::Json(Token { token }))
}

/// The tokens of people and scripts.
pub async fn tokens(
    State(app): State<Shared>,
    AdminBy(asking): AdminBy,
) -> Result<axum::Json<Vec<TokenEntry>>, ApiError> {
    Ok(axum::Json(tokens::list(&app.db, asking).await?))
}

/// Revokes one of them; one that is revoked already stays so.
pub async fn revoke_token(
    State(app): State<Shared>,
    AdminBy(asking): AdminBy,
    Path(token): Path<TokenId>,
) -> Result<NoContent, ApiError> {
    let mut tx = app.db.begin().await?;
    let revoked = tokens::revoke(&mut tx, token, asking).await?;
    tx.commit().await?;
    match revoked {
        Revoked::Done => Ok(NoContent),
        Revoked::Unknown => Err(ApiError::not_found("token of a person or a script")),
        Revoked::Asker => Err(ApiError::new(Code::Unauthenticated, "the token was revoked meanwhile")),
        Revoked::Own => Err(ApiError::new(
            Code::WrongState,
            "a token does not revoke itself, so that there is always an admin's left: make another one, \
             and revoke this one with that",
        )),
    }
}

fn generate(kind: &str) -> Result<String, ApiError> {
    tokens::generate(kind).map_err(|_| ApiError::new(Code::Internal, "the system gives no randomness"))
}

/// `?since=CURSOR&run=RUN`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    #[serde(default = "beginning")]
    since: String,
    run: Option<RunId>,
}

fn beginning() -> String {
    "0".to_owned()
}

/// The events after a cursor.
pub async fn events(
    State(app): State<Shared>,
    _: Viewer,
    Query(Since { since, run }): Query<Since>,
) -> Result<axum::Json<Events>, ApiError> {
    let cursor = if since == "now" {
        events::end(&app.db).await?
    } else {
        since.parse().map_err(|_| {
            ApiError::new(Code::InvalidValue, "since is 0, now, or the cursor of an earlier answer")
        })?
    };
    Ok(axum::Json(events::since(&app.db, &cursor, run).await?))
}
