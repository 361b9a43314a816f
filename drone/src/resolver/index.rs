//! Brings the index of a run's staging view: what the run may keep.

use crate::failure::Failure;
use crate::link::{CALL_LIMIT, CallError, Link, backoff, within};
use crate::stop::Stop;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::resolution::Resolution;
use swarm_protocol::state::FailureClass;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// How long the download may deliver nothing.
const STALL: Duration = Duration::from_mins(1);

/// Why the index is not there.
#[derive(Debug, thiserror::Error)]
enum Unbrought {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

/// Writes the index to `file`, repeating what may succeed later until `end`.
pub async fn bring(link: &Link, resolution: &Resolution, file: &Path, end: Instant) -> Result<(), Stop> {
    let mut waits = backoff();
    loop {
        let error = tokio::select! {
            () = link.draining.cancelled() => return Err(Stop::Cancelled),
            result = download(link, resolution, file) => match result {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        let again = Instant::now() + waits.next().unwrap_or(CALL_LIMIT);
        let hopeless = !matches!(&error, Unbrought::Call(error) if error.is_transient());
        if hopeless || again > end {
            let reason = format!("the index of the run's staging view cannot be brought: {error}");
            return Err(Failure::new(FailureClass::Infrastructure, reason).into());
        }
        tracing::debug!(run = %resolution.run, %error, "no index of the staging view; asking again");
        tokio::select! {
            () = link.draining.cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep_until(again) => {}
        }
    }
}

async fn download(link: &Link, resolution: &Resolution, file: &Path) -> Result<(), Unbrought> {
    let client = BinhostClient::new(&link.session().binhost_url, resolution.ticket.0.clone());
    let call = client.staging(&resolution.target, resolution.run, "Packages");
    let mut response = within(CALL_LIMIT, call).await?;
    let mut file = File::create(file).await?;
    while let Some(bytes) = within(STALL, async { response.chunk().await.map_err(ClientError::from) }).await?
    {
        file.write_all(&bytes).await?;
    }
    Ok(file.flush().await?)
}
