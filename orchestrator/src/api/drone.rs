//! What drones call.

use super::Shared;
use super::auth::{Drone, Trusted};
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::app::App;
use crate::db::sessions::{self, Opened};
use crate::db::transition::{Applied, Note, Subject};
use crate::db::{drones, logs};
use crate::machine::package::{Step, Transition};
use crate::{claim, definitions, gate, heartbeat, maintenance, poll, receive, resolve};
use axum::extract::State;
use axum::response::NoContent;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use swarm_protocol::drone::{
    ClaimAnswer, ClaimRequest, CloseSession, Complete, Completed, Completion, DefinitionsAnswer,
    DefinitionsRequest, Fail, HandBack, Heartbeat, HeartbeatAnswer, LogChunk, OpenSession, Session, Start,
    Usage, is_span,
};
use swarm_protocol::gate::{GateAnswer, GateRequest, Unjudged, Verdict};
use swarm_protocol::id::{AttemptId, DroneId, GateId, ResolutionId};
use swarm_protocol::resolution::{Finding, ResolveAnswer, ResolveRequest, Resolved, Unresolved};
use swarm_protocol::{Code, PROTOCOL_VERSION};

/// How much of a reason and of an excerpt is kept, in characters.
const REASON: usize = 1_000;
const EXCERPT: usize = 8_000;
/// How many findings are kept, and how much of what Portage says about each.
const FINDINGS: usize = 100;
const DETAIL: usize = 4_000;
/// How many missing packages a gate may name: as many as a generation has.
const MISSING: usize = 50_000;
/// How many epochs a drone holds at most.
const EPOCHS: usize = 64;

fn clip(text: &str, characters: usize) -> String {
    // Postgres stores no NUL.
    text.chars().filter(|&character| character != '\0').take(characters).collect()
}

fn clip_findings(findings: &mut Vec<Finding>) {
    findings.truncate(FINDINGS);
    for finding in findings {
        finding.detail = clip(&finding.detail, DETAIL);
        finding.atom = finding.atom.as_deref().map(|atom| clip(atom, REASON));
        finding.wanted_by.truncate(FINDINGS);
        finding.workstation = finding.workstation.as_deref().map(|name| clip(name, REASON));
        for name in &mut finding.wanted_by {
            *name = clip(name, REASON);
        }
    }
}

fn by(drone: DroneId) -> Note<'static> {
    Note { speaker: Some(drone), ..Note::default() }
}

/// What a drone of any version says that it opens a session.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct AnyVersion(#[schemars(with = "OpenSession")] serde_json::Value);

/// Opens the process's session; what the former one held goes back at once.
pub async fn open_session(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Json(AnyVersion(body)): Json<AnyVersion>,
) -> Result<axum::Json<Session>, ApiError> {
    let open = of_our_version(body)?;
    if open.cores == 0 || open.memory_bytes == 0 || open.version.len() > 128 || open.version.contains('\0') {
        return Err(ApiError::new(
            Code::InvalidValue,
            "cores and memory_bytes are above 0, version is a short text",
        ));
    }
    let mut tx = app.db.begin().await?;
    let opened = sessions::open(&mut tx, drone, &open).await?;
    tx.commit().await?;
    let session = match opened {
        Opened::Open(session) => session,
        Opened::Over => {
            return Err(ApiError::new(Code::StaleSession, "this session was ended by a later one"));
        }
        Opened::OtherMachine => {
            return Err(ApiError::new(
                Code::Forbidden,
                "the machine is not the one that was enrolled as this drone",
            ));
        }
    };
    maintenance::end_orphans(&app).await?;
    let name = drones::name(&app.db, drone).await?;
    Ok(axum::Json(Session {
        session,
        name,
        heartbeat_seconds: app.times.heartbeat_seconds,
        binhost_url: app.drone_binhost_url.clone(),
    }))
}

/// A request of another version may have other fields, so that its version is looked at before them.
fn of_our_version(body: serde_json::Value) -> Result<OpenSession, ApiError> {
    let ours = u64::from(PROTOCOL_VERSION);
    let theirs = body.get("protocol").and_then(serde_json::Value::as_u64);
    if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
        let older = if theirs < ours { "drone" } else { "orchestrator" };
        let detail =
            format!("this orchestrator speaks protocol {ours}, the drone {theirs}: update the {older}");
        return Err(ApiError::new(Code::ProtocolVersion, detail));
    }
    serde_json::from_value(body).map_err(|error| {
        ApiError::new(Code::InvalidBody, format!("the body is not what this call takes: {error}"))
    })
}

/// Ends the session; what it still held goes back.
pub async fn close_session(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Json(close): Json<CloseSession>,
) -> Result<NoContent, ApiError> {
    let mut tx = app.db.begin().await?;
    let closed = sessions::close(&mut tx, drone, close.session).await?;
    tx.commit().await?;
    if closed {
        maintenance::end_orphans(&app).await?;
    }
    Ok(NoContent)
}

/// Says what is held, hears what is revoked.
pub async fn heartbeat(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Json(beat): Json<Heartbeat>,
) -> Result<axum::Json<HeartbeatAnswer>, ApiError> {
    if beat.held.len() > 256 || !beat.load.is_finite() {
        return Err(ApiError::new(Code::InvalidValue, "at most 256 attempts are held, and load is a number"));
    }
    heartbeat::serve(&app, drone, beat).await.map(axum::Json)
}

/// Waits for definitions that the drone does not know.
pub async fn definitions(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Json(mut request): Json<DefinitionsRequest>,
) -> Result<axum::Json<DefinitionsAnswer>, ApiError> {
    if request.known.len() > 10_000 || request.unbrought.len() > 10_000 {
        return Err(ApiError::new(Code::InvalidValue, "at most 10000 definitions are known, or unbrought"));
    }
    for unbrought in &mut request.unbrought {
        unbrought.reason = clip(&unbrought.reason, REASON);
    }
    definitions::serve(&app, drone, &request).await.map(axum::Json)
}

/// Waits for work.
pub async fn claim(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Json(request): Json<ClaimRequest>,
) -> Result<axum::Json<ClaimAnswer>, ApiError> {
    if request.want == 0 || request.want > 64 || request.epochs.len() > 64 || request.request < 1 {
        return Err(ApiError::new(
            Code::InvalidValue,
            "want is 1 to 64, request counts from 1, and there are at most 64 epochs",
        ));
    }
    if request.wait_seconds > poll::LONGEST_WAIT_SECONDS {
        return Err(ApiError::new(
            Code::InvalidValue,
            format!("wait_seconds is {} at most", poll::LONGEST_WAIT_SECONDS),
        ));
    }
    claim::serve(&app, drone, &request).await.map(axum::Json)
}

/// held → building.
pub async fn start(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Path(attempt): Path<AttemptId>,
    Json(start): Json<Start>,
) -> Result<NoContent, ApiError> {
    app.apply(Subject::Attempt(attempt), &Transition::Start { fence: start.fence }, by(drone)).await?;
    Ok(NoContent)
}

/// Stores one chunk of the log.
pub async fn log(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Path(attempt): Path<AttemptId>,
    Json(chunk): Json<LogChunk>,
) -> Result<NoContent, ApiError> {
    let zstd = BASE64_STANDARD
        .decode(&chunk.zstd_base64)
        .map_err(|_| ApiError::new(Code::InvalidValue, "zstd_base64 is no base64"))?;
    if chunk.sequence < 0 {
        return Err(ApiError::new(Code::InvalidValue, "sequence counts from 0"));
    }
    if logs::insert(&app.db, attempt, drone, chunk.fence, chunk.sequence, &zstd).await? {
        Ok(NoContent)
    } else {
        Err(ApiError::new(Code::StaleReport, "attempt, token and session do not belong together"))
    }
}

/// Refuses numbers that cannot be.
fn sane(usage: Option<&Usage>) -> Result<Option<&Usage>, ApiError> {
    match usage {
        Some(usage) if !usage.is_sane() => Err(ApiError::new(
            Code::InvalidValue,
            "usage: seconds and bytes are not negative, and not beyond all bounds",
        )),
        usage => Ok(usage),
    }
}

/// building → accepting → received, as far as it goes now.
pub async fn complete(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Path(attempt): Path<AttemptId>,
    Json(complete): Json<Complete>,
) -> Result<axum::Json<Completed>, ApiError> {
    let Complete { fence, built, size, upload_seconds, usage } = complete;
    if upload_seconds.is_some_and(|seconds| !is_span(seconds)) {
        return Err(ApiError::new(
            Code::InvalidValue,
            "upload_seconds is not negative, and shorter than a century",
        ));
    }
    let note = Note { built_bytes: Some(size), usage: sane(usage.as_ref())?, ..by(drone) };
    let applied = app.apply(Subject::Attempt(attempt), &Transition::Complete { fence, built }, note).await?;
    measure(&app, &applied, true, usage.as_ref());
    if let (Step::Change(_), Some(seconds)) = (applied.step, upload_seconds) {
        app.metrics.upload(seconds);
    }
    match receive::drive(&app, attempt).await {
        Ok(completed) => Ok(axum::Json(completed)),
        // The artifact is ours now; what failed here, the sweep repeats.
        Err(crate::db::transition::ApplyError::Database(error)) => {
            tracing::warn!(%attempt, %error, "a completion waits for the sweep");
            Ok(axum::Json(Completed { result: Completion::Accepting, reason: None }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Waits for a run to resolve.
pub async fn resolve(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Json(request): Json<ResolveRequest>,
) -> Result<axum::Json<ResolveAnswer>, ApiError> {
    definitions::check_held(&app, &request.epochs).await?;
    Ok(axum::Json(resolve::serve(&app, drone, &request).await?))
}

/// The plan of a run: it enters the queue.
pub async fn resolved(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Path(resolution): Path<ResolutionId>,
    Json(mut report): Json<Resolved>,
) -> Result<NoContent, ApiError> {
    clip_findings(&mut report.findings);
    resolve::resolved(&app, drone, resolution, &report).await?;
    Ok(NoContent)
}

/// There is no plan: Portage refuses, or could not be asked.
pub async fn unresolved(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Path(resolution): Path<ResolutionId>,
    Json(mut report): Json<Unresolved>,
) -> Result<NoContent, ApiError> {
    report.reason = clip(&report.reason, REASON);
    clip_findings(&mut report.findings);
    resolve::unresolved(&app, drone, resolution, &report).await?;
    Ok(NoContent)
}

/// Waits for a generation to judge.
pub async fn gate(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Json(request): Json<GateRequest>,
) -> Result<axum::Json<GateAnswer>, ApiError> {
    if request.epochs.len() > EPOCHS {
        return Err(ApiError::new(Code::InvalidValue, format!("there are at most {EPOCHS} epochs")));
    }
    Ok(axum::Json(gate::serve(&app, drone, &request).await?))
}

/// What Portage would do with a generation: it is promoted, or refused.
pub async fn judged(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Path(gate): Path<GateId>,
    Json(mut verdict): Json<Verdict>,
) -> Result<NoContent, ApiError> {
    clip_findings(&mut verdict.findings);
    verdict.missing.truncate(MISSING);
    gate::judged(&app, drone, gate, &verdict).await?;
    Ok(NoContent)
}

/// Portage could not be asked about a generation.
pub async fn unjudged(
    State(app): State<Shared>,
    Trusted(drone): Trusted,
    Path(gate): Path<GateId>,
    Json(mut report): Json<Unjudged>,
) -> Result<NoContent, ApiError> {
    report.reason = clip(&report.reason, REASON);
    gate::unjudged(&app, drone, gate, &report).await?;
    Ok(NoContent)
}

/// The attempt failed; the retry rule judges it.
pub async fn fail(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Path(attempt): Path<AttemptId>,
    Json(fail): Json<Fail>,
) -> Result<NoContent, ApiError> {
    let (reason, excerpt) = (clip(&fail.reason, REASON), clip(&fail.excerpt, EXCERPT));
    let usage = sane(fail.usage.as_ref())?;
    let note = Note {
        reason: Some(&reason),
        excerpt: Some(&excerpt),
        out_of_memory: fail.out_of_memory,
        usage,
        ..by(drone)
    };
    let transition = Transition::Fail { fence: fail.fence, class: fail.class };
    let applied = app.apply(Subject::Attempt(attempt), &transition, note).await?;
    measure(&app, &applied, false, usage);
    Ok(NoContent)
}

/// Counts a build that ended, at its first report.
fn measure(app: &App, applied: &Applied, completed: bool, usage: Option<&Usage>) {
    if let (Step::Change(_), Some(usage)) = (applied.step, usage) {
        app.metrics.build(completed, usage.build_seconds);
    }
}

/// The drone stops and gives its package back.
pub async fn hand_back(
    State(app): State<Shared>,
    Drone(drone): Drone,
    Path(attempt): Path<AttemptId>,
    Json(hand_back): Json<HandBack>,
) -> Result<NoContent, ApiError> {
    let reason = clip(&hand_back.reason, REASON);
    let note = Note { reason: Some(&reason), ..by(drone) };
    app.apply(Subject::Attempt(attempt), &Transition::HandBack { fence: hand_back.fence }, note).await?;
    Ok(NoContent)
}
