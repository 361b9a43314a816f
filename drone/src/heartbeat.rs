//! Heartbeats: what is held, every few seconds, whatever else the drone does; and what the answers order.
//!
//! This loop alone opens another session when the present one is over: whoever hears `stale_session` elsewhere asks for a
//! heartbeat and waits.

use crate::link::{CallError, Link, within};
use crate::machine;
use crate::session;
use std::time::Duration;
use swarm_protocol::Code;
use swarm_protocol::drone::Heartbeat;
use swarm_protocol::id::SessionId;

/// How long a heartbeat's answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two sessions, so that two drones of one name do not chase each other.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// Beats until the process ends; an error is one that no repetition can mend.
pub async fn run(link: &Link) -> anyhow::Result<()> {
    let mut silent = false;
    loop {
        match beat_once(link).await {
            Ok(()) if silent => {
                silent = false;
                tracing::info!("the orchestrator answers again");
            }
            Ok(()) => {}
            Err(error) if error.code() == Some(Code::StaleSession) => {
                tokio::time::sleep(REOPEN_PAUSE).await;
                link.reopened(session::reopen(&link.config, &link.client).await?);
                continue;
            }
            Err(error) if error.is_transient() => {
                if !silent {
                    tracing::warn!(%error, "the orchestrator does not answer; what is being built goes on");
                }
                silent = true;
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context("the orchestrator refuses heartbeats"));
            }
        }
        let pause = Duration::from_secs(link.session().heartbeat_seconds.clamp(1, 60).into());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.beat_wanted() => {}
        }
    }
}

/// One heartbeat, and what its answer orders.
pub async fn beat_once(link: &Link) -> Result<(), CallError> {
    let number = link.beat_begins();
    let heartbeat = message(link);
    let answer = within(LIMIT, link.client.heartbeat(&heartbeat)).await?;
    apply(link, heartbeat.session, answer);
    link.beat_ends(number);
    Ok(())
}

fn message(link: &Link) -> Heartbeat {
    let (session, settled_request, held) = {
        let desk = link.desk();
        (desk.session(), desk.settled(), desk.held().to_vec())
    };
    Heartbeat {
        session,
        // Outside the lock: it reads /proc.
        held: held.iter().map(|live| live.held()).collect(),
        settled_request,
        memory_free_bytes: machine::memory().1,
        disk_free_bytes: machine::disk_free(&link.config.state_dir),
        load: machine::load(),
        draining: link.draining.is_cancelled(),
        at: machine::clock(),
    }
}

/// An answer to a session that is over orders nothing.
fn apply(link: &Link, session: SessionId, answer: swarm_protocol::drone::HeartbeatAnswer) {
    let mut desk = link.desk();
    if desk.session() == session {
        desk.apply(session, answer);
    }
}
