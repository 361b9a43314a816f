//! Source archives on their way to the binhost: what this drone brought from upstream, its peers shall find there.
//!
//! No build waits for that, and nothing depends on it: an offer that cannot be made, or is lost when the drone stops, costs
//! another drone a question to upstream.

use crate::build::Workshop;
use crate::link::{CALL_LIMIT, backoff, within};
use std::convert::Infallible;
use std::time::Duration;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::distfile::Blake2b;
use swarm_protocol::ticket::SignedTicket;
use tokio::fs::File;
use tokio::sync::mpsc;

/// Offers that may wait; a package has rarely more than a dozen archives.
const WAITING: usize = 256;
/// How often an offer is made in vain.
const TRIES: usize = 3;

/// An archive in the drone's cache.
#[derive(Debug)]
pub struct Offer {
    /// What it is.
    pub digest: Blake2b,
    /// Its bytes.
    pub size: u64,
    /// Allows to send it.
    pub ticket: SignedTicket,
}

/// Where offers are made.
#[derive(Debug)]
pub struct Offers(mpsc::Sender<Offer>);

/// What becomes of them.
#[derive(Debug)]
pub struct Waiting(mpsc::Receiver<Offer>);

/// The two ends.
#[must_use]
pub fn channel() -> (Offers, Waiting) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Offers(sender), Waiting(receiver))
}

impl Offers {
    /// Makes an offer. Where too many wait already, it is not made.
    pub fn make(&self, offer: Offer) {
        if let Err(error) = self.0.try_send(offer) {
            tracing::debug!(%error, "a source archive is not offered");
        }
    }
}

/// Sends one archive after the other.
pub async fn run(shop: &Workshop, mut waiting: Waiting) -> Infallible {
    loop {
        match waiting.0.recv().await {
            Some(offer) => send(shop, &offer).await,
            // The workshop has the other end, and outlives this.
            None => std::future::pending().await,
        }
    }
}

async fn send(shop: &Workshop, offer: &Offer) {
    let Offer { digest, size, ticket } = offer;
    let client = BinhostClient::new(&shop.link.session().binhost_url, ticket.0.clone());
    for pause in backoff().take(TRIES) {
        // It may have been pruned.
        let Ok(file) = File::open(shop.archives.path(*digest)).await else { return };
        // Slower than 64 KiB/s is as good as broken.
        let limit = CALL_LIMIT + Duration::from_secs(size / (64 << 10));
        match within(limit, client.upload_distfile(*digest, *size, file)).await {
            Ok(()) => {
                tracing::info!(distfile.digest = %digest, distfile.bytes = size, "a source archive is the swarm's");
                return;
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(distfile.digest = %digest, %error, "a source archive was not taken; once more");
            }
            Err(error) => {
                tracing::warn!(distfile.digest = %digest, %error, "the binhost does not take a source archive");
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
    tracing::warn!(distfile.digest = %digest, "the binhost could not be given a source archive");
}
