//! Sessions: one per start of this process, and another when the orchestrator no longer knows it (law 6).

use crate::config::Config;
use crate::link::{CALL_LIMIT, CallError, backoff, within};
use crate::machine;
use anyhow::Context;
use std::time::Duration;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::{OpenSession, Session};
use swarm_protocol::id::SessionNonce;
use swarm_protocol::{Code, PROTOCOL_VERSION, VERSION};

/// Between two tries where the orchestrator speaks another version of the protocol.
const OTHER_VERSION: Duration = Duration::from_mins(5);

/// Opens a session, however long it takes until the orchestrator answers. The nonce is made once, so that a repetition
/// opens no second one. What no repetition can mend is an error.
pub async fn open(config: &Config, client: &DroneClient) -> anyhow::Result<Session> {
    open_again_after(config, client, OTHER_VERSION).await
}

/// The same, with another pause between two tries where the orchestrator speaks another version of the protocol.
pub async fn open_again_after(
    config: &Config,
    client: &DroneClient,
    other_version: Duration,
) -> anyhow::Result<Session> {
    let open = OpenSession {
        protocol: PROTOCOL_VERSION,
        version: VERSION.to_owned(),
        nonce: SessionNonce::random(),
        machine_id: machine::id(&config.machine_id_file)?,
        cores: config.cores(),
        memory_bytes: machine::memory().0,
        program: tokio::task::spawn_blocking(machine::program).await?,
        configuration: config.digest,
    };
    let mut waits = backoff();
    loop {
        let wait = match within(CALL_LIMIT, client.open_session(&open)).await {
            Ok(session) => {
                tracing::info!(session = %session.session, drone.name = session.name, "session opened");
                return Ok(session);
            }
            Err(error) if error.is_transient() => {
                let wait = waits.next().unwrap_or(CALL_LIMIT);
                tracing::warn!(%error, retry.seconds = wait.as_secs_f32(), "the orchestrator opens no session yet");
                wait
            }
            // An update of the one or the other mends it. Ending would only have us started again at once.
            Err(error) if error.code() == Some(Code::ProtocolVersion) => {
                let retry = other_version.as_secs();
                tracing::error!(%error, retry.seconds = retry, "the orchestrator is of another version");
                other_version
            }
            Err(error) => return Err(explained(error)),
        };
        tokio::time::sleep(wait).await;
    }
}

fn explained(error: CallError) -> anyhow::Error {
    let advice = match error.code() {
        Some(Code::Unauthenticated | Code::Forbidden) => {
            "the orchestrator does not know this drone's token; enrol it: build-drone enrol"
        }
        _ => "the orchestrator refuses the session",
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
