//! A scripted drone: the real protocol without Portage.

use crate::gpkg;
use crate::swarm::Swarm;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_protocol::client::{AdminClient, BinhostClient, ClientError, DroneClient};
use swarm_protocol::drone::{
    Claim, ClaimRequest, Complete, Completed, Completion, Enrol, Fail, Fence, Heartbeat, HeartbeatAnswer,
    Held, OpenSession, Start,
};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gate::{Gate, GateRequest, Unjudged, Verdict};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, DefinitionId, RunId, SessionId, SessionNonce};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{
    Finding, FindingKind, HeldEpoch, Resolution, ResolveRequest, Resolved, Unresolved,
};
use swarm_protocol::state::{FailureClass, RunState};
use swarm_protocol::ticket::SignedTicket;
use swarm_protocol::{Digest, PROTOCOL_VERSION};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

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
    definition: Option<DefinitionId>,
    epoch: Epoch,
    binhost_url: String,
    rhythm: Duration,
    memory_bytes: u64,
    requests: AtomicI64,
    settled: AtomicI64,
    held: Mutex<Vec<AttemptId>>,
}

/// Keeps a drone's heart beating until it is dropped.
pub struct Heart(JoinHandle<()>);

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ScriptedDrone {
    /// Enrols a new drone and opens its first session.
    pub async fn join(swarm: &Swarm, name: &str, epoch: &Epoch) -> Self {
        Self::join_by(swarm, name, epoch, swarm.join_token().await).await
    }

    /// The same by this join token.
    pub async fn join_by(swarm: &Swarm, name: &str, epoch: &Epoch, join_token: String) -> Self {
        let token = Self::enrol(swarm, name, join_token).await;
        Self::open(swarm, name, token, epoch).await
    }

    /// The same for a machine with so much memory.
    pub async fn join_with(swarm: &Swarm, name: &str, epoch: &Epoch, memory_bytes: u64) -> Self {
        let token = Self::enrol(swarm, name, swarm.join_token().await).await;
        Self::open_with(swarm, name, token, epoch, memory_bytes).await
    }

    async fn enrol(swarm: &Swarm, name: &str, join_token: String) -> String {
        let enrol = Enrol {
            join_token,
            name: name.to_owned(),
            machine_id: format!("machine of {name}"),
            host_key: None,
        };
        DroneClient::new(&swarm.url(), None).enrol(&enrol).await.unwrap().token
    }

    /// Opens a session, as a restarted drone does.
    pub async fn open(swarm: &Swarm, name: &str, token: String, epoch: &Epoch) -> Self {
        Self::open_with(swarm, name, token, epoch, 8 << 30).await
    }

    async fn open_with(swarm: &Swarm, name: &str, token: String, epoch: &Epoch, memory_bytes: u64) -> Self {
        let client = DroneClient::new(&swarm.url(), Some(token.clone()));
        let request = OpenSession { memory_bytes, ..Self::session_request(name) };
        let opened = client.open_session(&request).await.unwrap();
        let drone = Self {
            client,
            session: opened.session,
            name: name.to_owned(),
            token,
            definition: None,
            epoch: epoch.clone(),
            binhost_url: opened.binhost_url,
            rhythm: Duration::from_secs(opened.heartbeat_seconds.into()),
            memory_bytes,
            requests: AtomicI64::new(0),
            settled: AtomicI64::new(0),
            held: Mutex::default(),
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
            program: None,
            configuration: None,
        }
    }

    /// One heartbeat that lists `held`.
    pub async fn beat(&self, held: &[&Claim]) -> Result<HeartbeatAnswer, ClientError> {
        self.beat_listing(held.iter().map(|claim| claim.attempt).collect()).await
    }

    /// Beats for as long as the answer lives, at the rhythm that the session asks for, listing what the drone holds.
    #[must_use]
    pub fn heart(self: &Arc<Self>) -> Heart {
        let drone = self.clone();
        Heart(tokio::spawn(async move {
            loop {
                let held = drone.held.lock().unwrap().clone();
                // The orchestrator may be away; the next beat tells.
                let _ = drone.beat_listing(held).await;
                tokio::time::sleep(drone.rhythm).await;
            }
        }))
    }

    /// One heartbeat that lists attempts.
    pub async fn beat_listing(&self, held: Vec<AttemptId>) -> Result<HeartbeatAnswer, ClientError> {
        self.client.heartbeat(&self.heartbeat(held)).await
    }

    /// A heartbeat, to be sent now or later.
    #[must_use]
    pub fn heartbeat(&self, held: Vec<AttemptId>) -> Heartbeat {
        let held = held.into_iter().map(|attempt| Held { attempt, progress: 1, phase: None }).collect();
        Heartbeat {
            session: self.session,
            held,
            settled_request: self.settled.load(Ordering::Relaxed),
            memory_free_bytes: 4 << 30,
            disk_free_bytes: 100 << 30,
            load: 0.5,
            draining: false,
            at: None,
        }
    }

    /// The next claim request.
    #[must_use]
    pub fn claim_request(&self, wait_seconds: u16) -> ClaimRequest {
        ClaimRequest {
            session: self.session,
            request: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            want: 1,
            ahead: 0,
            epochs: vec![self.epoch.digest()],
            memory_free_bytes: self.memory_bytes / 2,
            disk_free_bytes: 100 << 30,
            wait_seconds,
        }
    }

    /// Claims one package, waiting for at most `wait_seconds`.
    pub async fn claim(&self, wait_seconds: u16) -> Option<Claim> {
        let request = self.claim_request(wait_seconds);
        let claim = self.client.claim(&request).await.unwrap().claims.pop();
        self.held.lock().unwrap().extend(claim.as_ref().map(|claim| claim.attempt));
        self.settled.store(request.request, Ordering::Relaxed);
        claim
    }

    /// Claims two packages, and starts the first: the second is held ahead.
    pub async fn claim_ahead(&self) -> (Claim, Claim) {
        let mut claims = Vec::new();
        while claims.len() < 2 {
            let request = ClaimRequest { want: 2, ..self.claim_request(30) };
            claims.splice(0..0, self.client.claim(&request).await.unwrap().claims);
        }
        let (second, first) = (claims.pop().unwrap(), claims.pop().unwrap());
        self.start(&first).await.unwrap();
        (first, second)
    }

    /// No longer lists the claim.
    pub fn forget(&self, claim: &Claim) {
        self.held.lock().unwrap().retain(|attempt| *attempt != claim.attempt);
    }

    /// Waits for a run to resolve, for at most `wait_seconds`.
    pub async fn resolve(&self, wait_seconds: u16) -> Option<Resolution> {
        self.client.resolve(&self.resolve_request(wait_seconds)).await.unwrap().resolution
    }

    /// Asks for a run to resolve under the drone's epoch.
    #[must_use]
    pub fn resolve_request(&self, wait_seconds: u16) -> ResolveRequest {
        let epochs = vec![HeldEpoch { definition: self.definition, epoch: self.epoch.clone() }];
        ResolveRequest { session: self.session, epochs, wait_seconds }
    }

    /// From now on it holds a definition's epoch in place of its own.
    #[must_use]
    pub fn under(self, definition: DefinitionId, epoch: &Epoch) -> Self {
        Self { definition: Some(definition), epoch: epoch.clone(), ..self }
    }

    /// Answers a resolution with a plan.
    pub async fn resolved(&self, resolution: &Resolution, plan: Plan) -> Result<(), ClientError> {
        let fence = Fence { token: resolution.token, session: self.session };
        self.client.resolved(resolution.resolution, &Resolved { fence, plan, findings: vec![] }).await
    }

    /// Answers that there is no plan.
    pub async fn unresolved(&self, resolution: &Resolution, class: FailureClass) -> Result<(), ClientError> {
        let fence = Fence { token: resolution.token, session: self.session };
        let finding = Finding {
            kind: FindingKind::Masked,
            atom: Some("test/masked".to_owned()),
            wanted_by: vec!["@world".to_owned()],
            workstation: None,
            detail: "masked by: ~amd64 keyword".to_owned(),
        };
        let reason = "Portage cannot resolve the world set".to_owned();
        let unresolved = Unresolved { fence, class, reason, findings: vec![finding] };
        self.client.unresolved(resolution.resolution, &unresolved).await
    }

    /// Waits for a generation to judge, for at most `wait_seconds`.
    pub async fn gate(&self, wait_seconds: u16) -> Option<Gate> {
        let request = GateRequest { session: self.session, epochs: vec![self.epoch.digest()], wait_seconds };
        self.client.gate(&request).await.unwrap().gate
    }

    /// Answers a gate: it passes where nothing is found.
    pub async fn judged(
        &self,
        gate: &Gate,
        findings: Vec<Finding>,
        missing: &[&str],
    ) -> Result<(), ClientError> {
        let fence = Fence { token: gate.token, session: self.session };
        let missing = missing.iter().map(|cpv| cpv.parse().unwrap()).collect();
        self.client.judged(gate.gate, &Verdict { fence, findings, missing }).await
    }

    /// Answers that Portage could not be asked.
    pub async fn unjudged(&self, gate: &Gate) -> Result<(), ClientError> {
        let fence = Fence { token: gate.token, session: self.session };
        self.client.unjudged(gate.gate, &Unjudged { fence, reason: "no space left".to_owned() }).await
    }

    /// A file of a run's staging view, as a ticket's bearer sees it.
    pub async fn staged(&self, target: &TargetName, run: RunId, ticket: &SignedTicket, path: &str) -> String {
        let binhost = BinhostClient::new(&self.binhost_url, ticket.0.clone());
        binhost.staging(target, run, path).await.unwrap().text().await.unwrap()
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
        let binhost = BinhostClient::new(&self.binhost_url, claim.ticket.0.clone());
        let began = Instant::now();
        binhost.upload(built, size, bytes).await.unwrap();
        let upload_seconds = Some(began.elapsed().as_secs_f64());
        Complete { fence: self.fence(claim), built, size, upload_seconds, usage: None }
    }

    /// Asks that an upload be accepted.
    pub async fn complete(&self, claim: &Claim, complete: &Complete) -> Result<Completed, ClientError> {
        self.client.complete(claim.attempt, complete).await
    }

    /// The report that a build failed.
    #[must_use]
    pub fn failure(&self, claim: &Claim, class: FailureClass) -> Fail {
        Fail {
            fence: self.fence(claim),
            class,
            reason: "gcc said no".to_owned(),
            excerpt: "error: no".to_owned(),
            out_of_memory: false,
            usage: None,
        }
    }

    /// Fails a claimed package.
    pub async fn fail(&self, claim: &Claim, class: FailureClass) {
        self.client.fail(claim.attempt, &self.failure(claim, class)).await.unwrap();
        self.forget(claim);
    }

    /// Starts a claimed package, and fails it with what a compiler says.
    pub async fn fail_to_compile(&self, claim: &Claim) {
        self.start(claim).await.unwrap();
        let (reason, excerpt) = ("compile failed".to_owned(), "x.c:7: error".to_owned());
        let report = Fail { reason, excerpt, ..self.failure(claim, FailureClass::Package) };
        self.client.fail(claim.attempt, &report).await.unwrap();
        self.forget(claim);
    }

    /// The same drone, which from now on speaks to the orchestrator at `url`.
    #[must_use]
    pub fn at(self, url: &str) -> Self {
        Self { client: DroneClient::new(url, Some(self.token.clone())), ..self }
    }

    /// Builds a claimed package from start to end.
    pub async fn build(&self, claim: &Claim) {
        self.start(claim).await.unwrap();
        self.build_started(claim).await;
    }

    /// Builds what it is given until the run has nothing left to build.
    pub async fn build_run(&self, admin: &AdminClient, run: RunId) {
        let held = self.held.lock().unwrap().clone();
        self.beat_listing(held).await.unwrap();
        let built = async {
            while admin.run(run).await.unwrap().state == RunState::Building {
                if let Some(claim) = self.claim(1).await {
                    self.build(&claim).await;
                }
            }
        };
        timeout(Duration::from_mins(2), built).await.unwrap_or_else(|_| panic!("run {run} is not built"));
    }

    /// Builds to the end what it has started.
    pub async fn build_started(&self, claim: &Claim) {
        let complete = self.upload(claim).await;
        let completed = self.complete(claim, &complete).await.unwrap();
        assert_eq!(completed.result, Completion::Received, "{:?}", completed.reason);
        self.forget(claim);
    }
}
