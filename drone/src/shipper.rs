//! Sends a build's log while it grows, and tells when all of it is there.

use crate::link::Link;
use crate::live::Live;
use crate::log::{BuildLog, CHUNK, Length};
use crate::report::{Unreported, report};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::drone::LogChunk;
use swarm_protocol::id::AttemptId;
use tokio::sync::watch;

/// A chunk is sent when it is full, or this long after its first byte.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was sent. A regained attempt has a log of its own, so that one begins again.
struct Sent {
    attempt: AttemptId,
    offset: u64,
    sequence: i32,
}

/// Sends `log` until it is closed and all of it was accepted.
pub async fn ship(link: &Link, live: &Live, log: &Arc<BuildLog>) -> Result<(), Unreported> {
    let mut lengths = log.lengths();
    let mut sent = Sent { attempt: live.attempt(), offset: 0, sequence: 0 };
    loop {
        let length = wait(&mut lengths, sent.offset).await;
        if length.closed && length.bytes <= sent.offset && live.attempt() == sent.attempt {
            return Ok(());
        }
        send_once(link, live, log, &mut sent).await?;
    }
}

/// Waits until a chunk should be sent.
async fn wait(lengths: &mut watch::Receiver<Length>, offset: u64) -> Length {
    // The sender lives in the log, which the caller holds.
    let _ = lengths.wait_for(|length| length.closed || length.bytes > offset).await;
    let full = lengths.wait_for(|length| length.closed || length.bytes >= offset.saturating_add(CHUNK));
    let _ = tokio::time::timeout(PATIENCE, full).await;
    *lengths.borrow()
}

async fn send_once(link: &Link, live: &Live, log: &Arc<BuildLog>, sent: &mut Sent) -> Result<(), Unreported> {
    if live.attempt() != sent.attempt {
        *sent = Sent { attempt: live.attempt(), offset: 0, sequence: 0 };
    }
    let chunk = match log.chunk(sent.offset) {
        Ok(chunk) if chunk.raw > 0 => chunk,
        Ok(_) => return Ok(()),
        Err(error) => {
            tracing::warn!(attempt = %sent.attempt, %error, "the log cannot be read; its end is not sent");
            sent.offset = u64::MAX;
            return Ok(());
        }
    };
    let zstd_base64 = BASE64_STANDARD.encode(&chunk.zstd);
    let (attempt, sequence) = (sent.attempt, sent.sequence);
    let accepted = report(link, live, |client, identity| {
        let body = LogChunk { fence: identity.fence(), sequence, zstd_base64: zstd_base64.clone() };
        // Under another identity this chunk would have another number: nothing is sent, and we begin again.
        let same = identity.claim.attempt == attempt;
        async move { if same { client.log(attempt, &body).await } else { Ok(()) } }
    });
    match accepted.await {
        Ok(()) if live.attempt() == attempt => {
            sent.offset += chunk.raw;
            sent.sequence += 1;
            Ok(())
        }
        Ok(()) => Ok(()),
        Err(Unreported::Refused(error)) => {
            tracing::warn!(%attempt, %error, "the orchestrator refuses the log; its rest is not sent");
            sent.offset = u64::MAX;
            Ok(())
        }
        Err(error) => Err(error),
    }
}
