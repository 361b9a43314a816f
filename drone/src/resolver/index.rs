//! Brings an index from the binhost: of a run's staging view, which lists what the run may keep, or of a generation.

use crate::failure::Failure;
use crate::link::{CALL_LIMIT, CallError, Link, backoff, within};
use crate::stop::Stop;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::state::FailureClass;
use swarm_protocol::ticket::SignedTicket;
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

/// Where an index, or a package, is at the binhost.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In a run's staging view.
    Staging(&'a TargetName, RunId),
    /// In a generation.
    Generation(&'a TargetName, GenerationNumber),
    /// Among the bundles; the path is its name for people.
    Bundle(Digest),
}

/// Writes the index to `file`, repeating what may succeed later until `end`.
pub async fn bring(
    link: &Link,
    place: Place<'_>,
    ticket: &SignedTicket,
    file: &Path,
    end: Instant,
) -> Result<(), Stop> {
    bring_file(link, place, ticket, "Packages", file, end).await
}

/// The same of any file.
pub async fn bring_file(
    link: &Link,
    place: Place<'_>,
    ticket: &SignedTicket,
    path: &str,
    file: &Path,
    end: Instant,
) -> Result<(), Stop> {
    let mut waits = backoff();
    loop {
        let error = tokio::select! {
            () = link.draining.cancelled() => return Err(Stop::Cancelled),
            result = download(link, place, ticket, path, file) => match result {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        let again = Instant::now() + waits.next().unwrap_or(CALL_LIMIT);
        let hopeless = !matches!(&error, Unbrought::Call(error) if error.is_transient());
        if hopeless || again > end {
            let reason = format!("{path} cannot be brought from the binhost: {error}");
            return Err(Failure::new(FailureClass::Infrastructure, reason).into());
        }
        tracing::debug!(path, ?place, %error, "no answer of the binhost; asking again");
        tokio::select! {
            () = link.draining.cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep_until(again) => {}
        }
    }
}

async fn download(
    link: &Link,
    place: Place<'_>,
    ticket: &SignedTicket,
    path: &str,
    file: &Path,
) -> Result<(), Unbrought> {
    let client = BinhostClient::new(&link.session().binhost_url, ticket.0.clone());
    let call = async {
        match place {
            Place::Staging(target, run) => client.staging(target, run, path).await,
            Place::Generation(target, number) => client.generation(target, number, path).await,
            Place::Bundle(bundle) => client.bundle(bundle).await,
        }
    };
    let mut response = within(CALL_LIMIT, call).await?;
    let mut file = File::create(file).await?;
    while let Some(bytes) = within(STALL, async { response.chunk().await.map_err(ClientError::from) }).await?
    {
        file.write_all(&bytes).await?;
    }
    Ok(file.flush().await?)
}
