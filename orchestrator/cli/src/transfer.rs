//! Bundles on their way between this machine and the binhost.

use crate::connection::Context;
use crate::failure::Failure;
use crate::workstation::Packed;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;
use swarm_bundle::{Limits, unpack};
use swarm_protocol::Digest;
use swarm_protocol::admin::{BundleAccess, NewBundle};
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::definition::Bundle;

/// How long a transfer may stand still.
const STALL: Duration = Duration::from_mins(1);
/// How long the binhost may take to store what it has received.
const STORED: Duration = Duration::from_mins(30);

/// Sends what the binhost lacks; how many bytes that were.
pub(crate) async fn send(context: &Context, trees: &[&Packed]) -> Result<u64, Failure> {
    let offered = trees.iter().map(|tree| NewBundle { digest: tree.bundle.bundle, bytes: tree.bundle.bytes });
    let upload = context.ask(context.client.offer_bundles(offered.collect())).await?;
    let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
    let mut sent = 0;
    for tree in trees.iter().filter(|tree| upload.missing.contains(&tree.bundle.bundle)) {
        let Bundle { bundle, bytes, .. } = tree.bundle;
        let file = tokio::fs::File::open(tree.archive.path()).await.map_err(|error| lost(&error))?;
        match tokio::time::timeout(STORED, binhost.upload_bundle(bundle, bytes, file)).await {
            Ok(stored) => stored.map_err(|error| of_binhost(&upload.binhost_url, error))?,
            Err(_) => return Err(slow(&upload.binhost_url)),
        }
        sent += bytes;
    }
    Ok(sent)
}

/// Fetches a bundle, and unpacks it into the new directory `into`.
pub(crate) async fn fetch(
    access: &BundleAccess,
    bundle: &Bundle,
    limits: Limits,
    into: &Path,
) -> Result<(), Failure> {
    let url = &access.binhost_url;
    let binhost = BinhostClient::new(url, access.ticket.0.clone());
    let answer = tokio::time::timeout(STALL, binhost.bundle(bundle.bundle)).await.map_err(|_| slow(url))?;
    let mut answer = answer.map_err(|error| of_binhost(url, error))?;
    let mut archive = tempfile::tempfile().map_err(|error| lost(&error))?;
    let mut hasher = blake3::Hasher::new();
    loop {
        let piece = tokio::time::timeout(STALL, answer.chunk()).await.map_err(|_| slow(url))?;
        let Some(piece) = piece.map_err(|error| of_binhost(url, error.into()))? else { break };
        hasher.update(&piece);
        archive.write_all(&piece).map_err(|error| lost(&error))?;
    }
    archive.rewind().map_err(|error| lost(&error))?;
    let content = unpacked(archive, into, limits)?;
    if Digest::from(hasher.finalize()) != bundle.bundle || content != bundle.content {
        return Err(Failure::internal(format!("what {url} gave is not the bundle {}", bundle.bundle)));
    }
    Ok(())
}

fn unpacked(archive: File, into: &Path, limits: Limits) -> Result<Digest, Failure> {
    let wrong = |error| Failure::usage(format!("cannot unpack into {}: {error}", into.display()));
    unpack(archive, into, limits).map_err(wrong)
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::internal(format!("a temporary file failed: {error}"))
}

fn slow(url: &str) -> Failure {
    Failure::unavailable(format!(
        "the binhost at {url} does not answer; repeat it: what has arrived stays there"
    ))
}

/// The binhost is not where `--url` says.
fn of_binhost(url: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Transport(_) => {
            Failure::unavailable(format!("the binhost at {url} was not reached: {error}"))
        }
        error => error.into(),
    }
}
