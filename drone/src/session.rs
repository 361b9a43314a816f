//! Sessions: one per start of this process, and another when the orchestrator no longer knows it (law 6).

use crate::config::Config;
use crate::link::{CALL_LIMIT, CallError, backoff, within};
use crate::machine;
use anyhow::{Context, bail};
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::{OpenSession, Session};
use swarm_protocol::id::SessionNonce;
use swarm_protocol::{Code, PROTOCOL_VERSION, VERSION};

/// Opens a session, however long it takes until the orchestrator answers. The nonce is made once, so that a repetition
/// opens no second one. What no repetition can mend is an error.
pub async fn open(config: &Config, client: &DroneClient) -> anyhow::Result<Session> {
    let open = OpenSession {
        protocol: PROTOCOL_VERSION,
        version: VERSION.to_owned(),
        nonce: SessionNonce::random(),
        machine_id: machine::id(&config.machine_id_file)?,
        cores: config.cores(),
        memory_bytes: machine::memory().0,
    };
    for wait in backoff() {
        match within(CALL_LIMIT, client.open_session(&open)).await {
            Ok(session) => {
                tracing::info!(session = %session.session, drone.name = session.name, "session opened");
                return Ok(session);
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, retry.seconds = wait.as_secs_f32(), "the orchestrator opens no session yet");
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(explained(error)),
        }
    }
    bail!("the back-off ended")
}

fn explained(error: CallError) -> anyhow::Error {
    let advice = match error.code() {
        Some(Code::ProtocolVersion) => format!(
            "the orchestrator does not speak this drone's protocol version {PROTOCOL_VERSION}; update the older of the two"
        ),
        Some(Code::Unauthenticated | Code::Forbidden) => {
            "the orchestrator does not know this drone's token; enrol it: build-drone enrol".to_owned()
        }
        _ => "the orchestrator refuses the session".to_owned(),
    };
    anyhow::Error::new(error).context(advice)
}

/// Opens a session in place of one that the orchestrator says is over.
pub async fn reopen(config: &Config, client: &DroneClient) -> anyhow::Result<Session> {
    tracing::warn!(
        "the orchestrator says that this session is over; does another process use this drone's name?"
    );
    open(config, client).await.context("cannot open another session")
}
