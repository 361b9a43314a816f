//! Heartbeats: gathered for a moment, written together, answered one by one (laws 4 and 6).

use crate::api::error::ApiError;
use crate::app::App;
use crate::claim;
use crate::db::pulse::{self, Beat};
use crate::db::transition::{Applied, ApplyError, Note, Subject};
use crate::db::{self, drones};
use crate::machine;
use crate::machine::package::Transition;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::drone::{Heartbeat, HeartbeatAnswer, Regained};
use swarm_protocol::id::{AttemptId, DroneId, SessionId};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::{info, warn};

/// How long a batch is gathered after its first heartbeat.
const GATHER: Duration = Duration::from_millis(20);
/// How many heartbeats are written together.
const BATCH: usize = 512;

type Entry = (Beat, oneshot::Sender<Result<Written, sqlx::Error>>);

/// What the batch found out about one heartbeat.
#[derive(Debug)]
struct Written {
    current: bool,
    /// Of the whole batch, shared by its answers.
    live: Arc<HashSet<AttemptId>>,
}

/// The queue into the writer.
pub struct Heartbeats {
    sender: mpsc::Sender<Entry>,
    receiver: Mutex<mpsc::Receiver<Entry>>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(4 * BATCH);
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

/// Writes batches until the process stops.
pub async fn write_batches(app: &App) {
    let mut receiver = app.heartbeats.receiver.lock().await;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            () = app.stop.cancelled() => return,
            entry = receiver.recv() => batch.extend(entry),
        }
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(entry) = receiver.try_recv()
        {
            batch.push(entry);
        }
        write(app, batch).await;
    }
}

async fn write(app: &App, batch: Vec<Entry>) {
    let (beats, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    match write_pulses(app, &beats).await {
        Ok((current, live)) => {
            let live = Arc::new(live);
            for ((_, beat), answer) in beats.iter().zip(answers) {
                let written = Written { current: current.contains(&beat.session), live: live.clone() };
                // Whoever asked may have gone away.
                let _ = answer.send(Ok(written));
            }
        }
        Err(error) => {
            warn!(%error, heartbeats = beats.len(), "heartbeats could not be written");
            for answer in answers {
                let _ = answer.send(Err(sqlx::Error::WorkerCrashed));
            }
        }
    }
}

async fn write_pulses(app: &App, beats: &[Beat]) -> sqlx::Result<(HashSet<SessionId>, HashSet<AttemptId>)> {
    Ok((pulse::drones(&app.db, beats).await?, pulse::attempts(&app.db, beats).await?))
}

/// Serves one heartbeat.
pub async fn serve(app: &App, drone: DroneId, beat: Heartbeat) -> Result<HeartbeatAnswer, ApiError> {
    let (sender, receiver) = oneshot::channel();
    let unavailable = || ApiError::new(Code::Unavailable, "heartbeats cannot be written at the moment");
    app.heartbeats.sender.send(((drone, beat.clone()), sender)).await.map_err(|_| unavailable())?;
    let written = receiver.await.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
    if !written.current {
        contest(app, drone, beat.session).await?;
        return Err(ApiError::new(Code::StaleSession, "this session is not the drone's current one"));
    }
    hear(app, drone).await?;
    let mut answer = HeartbeatAnswer::default();
    for held in beat.held.iter().filter(|held| !written.live.contains(&held.attempt)) {
        match regain(app, held.attempt, beat.session).await? {
            Some(regained) => answer.regained.push(regained),
            None => answer.revoked.push(held.attempt),
        }
    }
    for attempt in pulse::unlisted(&app.db, &beat).await? {
        let note = Note { reason: Some("its drone no longer lists it"), ..Note::default() };
        match app.apply(Subject::Attempt(attempt), &Transition::Lose, note).await {
            // Meanwhile something else ended it.
            Ok(_) | Err(ApplyError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer)
}

/// A session that was replaced and still speaks is an alarm: somebody runs the drone twice, or copied its token.
async fn contest(app: &App, drone: DroneId, session: SessionId) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let first = db::sessions::contest(&mut tx, drone, session).await?;
    tx.commit().await?;
    if first {
        warn!(drone.id = %drone, %session, "two processes speak for one drone");
    }
    Ok(())
}

/// offline → online.
async fn hear(app: &App, drone: DroneId) -> sqlx::Result<()> {
    for drone in pulse::returned(&app.db, &[drone]).await? {
        let mut tx = app.db.begin().await?;
        let heard = drones::apply(&mut tx, drone, machine::drone::Transition::Hear, 0, None).await?;
        tx.commit().await?;
        if heard {
            info!(drone.id = %drone, "a drone is online");
            app.wake.all();
        }
    }
    Ok(())
}

/// Gives a reclaimed attempt's package back to the drone that never stopped building it (law 4). A drone that missed
/// the answer lists the former attempt again, and is told the same again: what counts is the build's newest attempt.
async fn regain(app: &App, listed: AttemptId, session: SessionId) -> Result<Option<Regained>, ApiError> {
    let attempt = match db::claims::newest(&app.db, listed, session).await? {
        None => return Ok(None),
        Some((newest, true)) => newest,
        Some((newest, false)) => {
            let note = Note { claimant: Some((session, 0)), ..Note::default() };
            match app.apply(Subject::Attempt(newest), &Transition::Regain { session }, note).await {
                Ok(Applied { begun: Some(begun), .. }) => begun,
                Ok(_) | Err(ApplyError::Refused(_) | ApplyError::NotFound) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let claims = claim::messages(app, &[attempt]).await?;
    info!(attempt = %attempt, attempt.former = %listed, "a returning drone goes on with its build");
    Ok(claims.into_iter().next().map(|given| Regained { former: listed, claim: given.claim }))
}
