//! A scripted drone: the real protocol without Portage.

use crate::gpkg;
use crate::swarm::Swarm;
use std::sync::atomic::{AtomicI64, Ordering};
use swarm_protocol::client::{BinhostClient, ClientError, DroneClient};
use swarm_protocol::drone::{
    Claim, ClaimRequest, Complete, Completed, Enrol, Fence, Heartbeat, HeartbeatAnswer, Held, OpenSession,
    Start,
};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::id::{SessionId, SessionNonce};
use swarm_protocol::{Digest, PROTOCOL_VERSION};

/// A drone with an open session.
pub struct ScriptedDrone {
    /// Its client.
    pub client: DroneClient,
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub name: String,
    /// Its bearer token.
    pub token: String,
    epochs: Vec<Digest>,
    binhost_url: String,
    requests: AtomicI64,
}

impl ScriptedDrone {
    /// Enrols a new drone and opens its first session.
    pub async fn join(swarm: &Swarm, name: &str, epoch: &Epoch) -> Self {
        let enrol = Enrol {
            join_token: swarm.join_token().await,
            name: name.to_owned(),
            machine_id: format!("machine of {name}"),
        };
        let enrolled = DroneClient::new(&swarm.url(), None).enrol(&enrol).await.unwrap();
        Self::open(swarm, name, enrolled.token, epoch).await
    }

    /// Opens a session, as a restarted drone does.
    pub async fn open(swarm: &Swarm, name: &str, token: String, epoch: &Epoch) -> Self {
        let client = DroneClient::new(&swarm.url(), Some(token.clone()));
        let opened = client.open_session(&Self::session_request(name)).await.unwrap();
        let drone = Self {
            client,
            session: opened.session,
            name: name.to_owned(),
            token,
            epochs: vec![epoch.digest()],
            binhost_url: opened.binhost_url,
            requests: AtomicI64::new(0),
        };
        drone.beat(&[]).await.unwrap();
        drone
    }

    /// What a fresh process of the drone says.
    #[must_use]
    pub fn session_request(name: &str) -> OpenSession {
        OpenSession {
            protocol: PROTOCOL_VERSION,
            version: "scripted".to_owned(),
            nonce: SessionNonce::random(),
            machine_id: format!("machine of {name}"),
            cores: 2,
            memory_bytes: 8 << 30,
        }
    }

    /// One heartbeat that lists `held`.
    pub async fn beat(&self, held: &[&Claim]) -> Result<HeartbeatAnswer, ClientError> {
        let held =
            held.iter().map(|claim| Held { attempt: claim.attempt, progress: 1, phase: None }).collect();
        let beat = Heartbeat {
            session: self.session,
            held,
            settled_request: self.requests.load(Ordering::Relaxed),
            memory_free_bytes: 4 << 30,
            disk_free_bytes: 100 << 30,
            load: 0.5,
            draining: false,
        };
        self.client.heartbeat(&beat).await
    }

    /// The next claim request.
    #[must_use]
    pub fn claim_request(&self, wait_seconds: u16) -> ClaimRequest {
        ClaimRequest {
            session: self.session,
            request: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            want: 1,
            epochs: self.epochs.clone(),
            memory_free_bytes: 4 << 30,
            disk_free_bytes: 100 << 30,
            wait_seconds,
        }
    }

    /// Claims one package, waiting for at most `wait_seconds`.
    pub async fn claim(&self, wait_seconds: u16) -> Option<Claim> {
        self.client.claim(&self.claim_request(wait_seconds)).await.unwrap().claims.pop()
    }

    /// The fence of a claim's reports.
    #[must_use]
    pub fn fence(&self, claim: &Claim) -> Fence {
        Fence { token: claim.token, session: self.session }
    }

    /// held → building.
    pub async fn start(&self, claim: &Claim) -> Result<(), ClientError> {
        self.client.start(claim.attempt, &Start { fence: self.fence(claim) }).await
    }

    /// Uploads the package that the claim asks for.
    pub async fn upload(&self, claim: &Claim) -> Complete {
        self.upload_bytes(claim, gpkg::package(claim)).await
    }

    /// Uploads any bytes.
    pub async fn upload_bytes(&self, claim: &Claim, bytes: Vec<u8>) -> Complete {
        let (built, size) = (Digest::of(&bytes), bytes.len() as u64);
        let binhost = BinhostClient::new(&self.binhost_url, claim.ticket.clone());
        binhost.upload(built, size, bytes).await.unwrap();
        Complete { fence: self.fence(claim), built, size }
    }

    /// Asks that an upload be accepted.
    pub async fn complete(&self, claim: &Claim, complete: &Complete) -> Result<Completed, ClientError> {
        self.client.complete(claim.attempt, complete).await
    }

    /// Builds a claimed package from start to end.
    pub async fn build(&self, claim: &Claim) -> Completed {
        self.start(claim).await.unwrap();
        let complete = self.upload(claim).await;
        self.complete(claim, &complete).await.unwrap()
    }
}
