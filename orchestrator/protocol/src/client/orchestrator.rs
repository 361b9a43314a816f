//! The orchestrator as drones and as people see it.

use super::{ClientError, Http, checked, json, segment};
use crate::admin::{
    Attempt, AttemptDetail, BundleAccess, BundleUpload, ClientSetup, DefinitionEntry, Deployed, Distrusted,
    Drone, DroneOrder, EndNightly, Events, Generation, LogPage, NewBundle, NewDefinition, NewJoinToken,
    NewNightly, NewRun, NewTarget, NewToken, Nightlies, Nightly, NotifyTest, NotifyTested, OfferBundles,
    Package, PackageDetail, Priority, PushedDefinition, Repair, Republish, Run, Status, Target, Token,
    TokenEntry, Why, Workstation, World,
};
use crate::drone::{
    ClaimAnswer, ClaimRequest, CloseSession, Complete, Completed, DefinitionsAnswer, DefinitionsRequest,
    Enrol, Enrolled, Fail, HandBack, Heartbeat, HeartbeatAnswer, LogChunk, OpenSession, Session, Start,
};
use crate::gate::{GateAnswer, GateRequest, Unjudged, Verdict};
use crate::gentoo::{TargetName, WorkstationName};
use crate::id::{AttemptId, GateId, GenerationNumber, NightlyId, PackageId, ResolutionId, RunId, TokenId};
use crate::kept::{Between, Diff, Kept};
use crate::resolution::{ResolveAnswer, ResolveRequest, Resolved, Unresolved};
use reqwest::Method;
use serde::Serialize;

/// A drone's client.
#[derive(Clone)]
pub struct DroneClient(Http);

impl DroneClient {
    /// A client of the orchestrator at `base` with the drone's own token; none before enrolment.
    #[must_use]
    pub fn new(base: &str, token: Option<String>) -> Self {
        Self(Http::new(base, token))
    }

    /// Trades a join token for the drone's own.
    pub async fn enrol(&self, enrol: &Enrol) -> Result<Enrolled, ClientError> {
        self.0.post("/api/v1/drone/enrol", enrol).await
    }

    /// Opens the process's session.
    pub async fn open_session(&self, open: &OpenSession) -> Result<Session, ClientError> {
        self.0.post("/api/v1/drone/sessions", open).await
    }

    /// Ends the session; whatever it still held goes back.
    pub async fn close_session(&self, close: &CloseSession) -> Result<(), ClientError> {
        self.report("/api/v1/drone/sessions/close", close).await
    }

    /// Says what is held, hears what is revoked.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, ClientError> {
        self.0.post("/api/v1/drone/heartbeat", heartbeat).await
    }

    /// Waits for definitions that it does not know.
    pub async fn definitions(&self, request: &DefinitionsRequest) -> Result<DefinitionsAnswer, ClientError> {
        self.0.post("/api/v1/drone/definitions", request).await
    }

    /// Waits for work.
    pub async fn claim(&self, request: &ClaimRequest) -> Result<ClaimAnswer, ClientError> {
        self.0.post("/api/v1/drone/claims", request).await
    }

    /// held → building.
    pub async fn start(&self, attempt: AttemptId, start: &Start) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/attempts/{attempt}/start"), start).await
    }

    /// Stores one chunk of the log.
    pub async fn log(&self, attempt: AttemptId, chunk: &LogChunk) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/attempts/{attempt}/log"), chunk).await
    }

    /// Asks that the uploaded artifact be accepted.
    pub async fn complete(&self, attempt: AttemptId, complete: &Complete) -> Result<Completed, ClientError> {
        self.0.post(&format!("/api/v1/drone/attempts/{attempt}/complete"), complete).await
    }

    /// Reports a failure.
    pub async fn fail(&self, attempt: AttemptId, fail: &Fail) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/attempts/{attempt}/fail"), fail).await
    }

    /// Gives an unfinished package back.
    pub async fn hand_back(&self, attempt: AttemptId, hand_back: &HandBack) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/attempts/{attempt}/hand-back"), hand_back).await
    }

    /// Waits for a run to resolve.
    pub async fn resolve(&self, request: &ResolveRequest) -> Result<ResolveAnswer, ClientError> {
        self.0.post("/api/v1/drone/resolutions", request).await
    }

    /// Answers with a plan.
    pub async fn resolved(&self, resolution: ResolutionId, resolved: &Resolved) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/resolutions/{resolution}/plan"), resolved).await
    }

    /// Answers that there is no plan.
    pub async fn unresolved(
        &self,
        resolution: ResolutionId,
        unresolved: &Unresolved,
    ) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/resolutions/{resolution}/fail"), unresolved).await
    }

    /// Waits for a generation to judge.
    pub async fn gate(&self, request: &GateRequest) -> Result<GateAnswer, ClientError> {
        self.0.post("/api/v1/drone/gates", request).await
    }

    /// Answers with a verdict.
    pub async fn judged(&self, gate: GateId, verdict: &Verdict) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/gates/{gate}/verdict"), verdict).await
    }

    /// Answers that Portage could not be asked.
    pub async fn unjudged(&self, gate: GateId, unjudged: &Unjudged) -> Result<(), ClientError> {
        self.report(&format!("/api/v1/drone/gates/{gate}/fail"), unjudged).await
    }

    async fn report(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        checked(self.0.request(Method::POST, path).json(body)).await.map(drop)
    }
}

/// A person's or script's client.
#[derive(Clone)]
pub struct AdminClient(Http);

impl AdminClient {
    /// A client of the orchestrator at `base` with an admin's or viewer's token.
    #[must_use]
    pub fn new(base: &str, token: String) -> Self {
        Self(Http::new(base, Some(token)))
    }

    /// Creates a target.
    pub async fn create_target(&self, target: &NewTarget) -> Result<Target, ClientError> {
        self.0.post("/api/v1/targets", target).await
    }

    /// Replaces a target's world set.
    pub async fn set_world(&self, target: &TargetName, world: &World) -> Result<Target, ClientError> {
        let request = self.0.request(Method::PUT, &format!("/api/v1/targets/{target}/world"));
        json(request.json(world)).await
    }

    /// A nightly update begins.
    pub async fn begin_nightly(&self, target: &TargetName, new: &NewNightly) -> Result<Nightly, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/nightlies"), new).await
    }

    /// It is over.
    pub async fn end_nightly(&self, nightly: NightlyId, end: &EndNightly) -> Result<Nightly, ClientError> {
        self.0.post(&format!("/api/v1/nightlies/{nightly}/end"), end).await
    }

    /// A target's nightly updates.
    pub async fn nightlies(&self, target: &TargetName) -> Result<Nightlies, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/nightlies")).await
    }

    /// None is expected any more.
    pub async fn expect_no_nightly(&self, target: &TargetName) -> Result<(), ClientError> {
        let path = format!("/api/v1/targets/{target}/nightlies");
        checked(self.0.request(Method::DELETE, &path)).await.map(drop)
    }

    /// All targets.
    pub async fn targets(&self) -> Result<Vec<Target>, ClientError> {
        self.0.get("/api/v1/targets").await
    }

    /// Which of these bundles are still to be sent, and where to.
    pub async fn offer_bundles(&self, bundles: Vec<NewBundle>) -> Result<BundleUpload, ClientError> {
        self.0.post("/api/v1/bundles", &OfferBundles { bundles }).await
    }

    /// Defines a target, and registers the workstation that it was pushed from.
    pub async fn push_definition(
        &self,
        target: &TargetName,
        push: &NewDefinition,
    ) -> Result<PushedDefinition, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/definitions"), push).await
    }

    /// A target's definitions, newest first.
    pub async fn definitions(&self, target: &TargetName) -> Result<Vec<DefinitionEntry>, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/definitions")).await
    }

    /// How the bundles of a definition are read.
    pub async fn read_definition(
        &self,
        target: &TargetName,
        number: i32,
    ) -> Result<BundleAccess, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/definitions/{number}/ticket"), &()).await
    }

    /// A target's workstations, by name.
    pub async fn workstations(&self, target: &TargetName) -> Result<Vec<Workstation>, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/workstations")).await
    }

    /// Forgets a workstation: what it wants is no longer built.
    pub async fn forget_workstation(
        &self,
        target: &TargetName,
        name: &WorkstationName,
    ) -> Result<(), ClientError> {
        let path = format!("/api/v1/targets/{target}/workstations/{name}");
        checked(self.0.request(Method::DELETE, &path)).await.map(drop)
    }

    /// What a workstation is set up with to install from a target's generations.
    pub async fn client_setup(&self, target: &TargetName) -> Result<ClientSetup, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/client")).await
    }

    /// Begins a run.
    pub async fn start_run(&self, target: &TargetName, run: &NewRun) -> Result<Run, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/runs"), run).await
    }

    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Run, ClientError> {
        self.0.get(&format!("/api/v1/runs/{run}")).await
    }

    /// The newest runs, newest first: all, or a target's, or those that are not over.
    pub async fn runs(&self, target: Option<&TargetName>, open: bool) -> Result<Vec<Run>, ClientError> {
        let mut request = self.0.request(Method::GET, "/api/v1/runs");
        if let Some(target) = target {
            request = request.query(&[("target", target.as_str())]);
        }
        if open {
            request = request.query(&[("state", "open")]);
        }
        json(request).await
    }

    /// Cancels a run.
    pub async fn cancel_run(&self, run: RunId) -> Result<Run, ClientError> {
        self.0.post(&format!("/api/v1/runs/{run}/cancel"), &()).await
    }

    /// Lets a frozen run go on.
    pub async fn thaw_run(&self, run: RunId) -> Result<Run, ClientError> {
        self.0.post(&format!("/api/v1/runs/{run}/thaw"), &()).await
    }

    /// The packages of a run, by rank.
    pub async fn packages(&self, run: RunId) -> Result<Vec<Package>, ClientError> {
        self.0.get(&format!("/api/v1/runs/{run}/packages")).await
    }

    /// One attempt.
    pub async fn attempt(&self, attempt: AttemptId) -> Result<AttemptDetail, ClientError> {
        self.0.get(&format!("/api/v1/attempts/{attempt}")).await
    }

    /// The attempts at a package, oldest first.
    pub async fn attempts(&self, package: PackageId) -> Result<Vec<Attempt>, ClientError> {
        self.0.get(&format!("/api/v1/packages/{package}/attempts")).await
    }

    /// A package with its surroundings.
    pub async fn package(&self, package: PackageId) -> Result<PackageDetail, ClientError> {
        self.0.get(&format!("/api/v1/packages/{package}")).await
    }

    /// Why a package is not being built.
    pub async fn why_package(&self, package: PackageId) -> Result<Why, ClientError> {
        self.0.get(&format!("/api/v1/packages/{package}/why")).await
    }

    /// Why a drone has no work.
    pub async fn why_drone(&self, name: &str) -> Result<Why, ClientError> {
        self.0.get(&format!("/api/v1/drones/{}/why", segment(name))).await
    }

    /// Releases a quarantined package.
    pub async fn release(&self, package: PackageId) -> Result<Package, ClientError> {
        self.0.post(&format!("/api/v1/packages/{package}/release"), &()).await
    }

    /// Ends the pause after a package's last failure.
    pub async fn retry(&self, package: PackageId) -> Result<Package, ClientError> {
        self.0.post(&format!("/api/v1/packages/{package}/retry"), &()).await
    }

    /// Gives a package a priority.
    pub async fn prioritise(&self, package: PackageId, priority: i16) -> Result<Package, ClientError> {
        let request = self.0.request(Method::PUT, &format!("/api/v1/packages/{package}/priority"));
        json(request.json(&Priority { priority })).await
    }

    /// The log of an attempt, as the build wrote it.
    pub async fn log(&self, attempt: AttemptId) -> Result<Vec<u8>, ClientError> {
        Ok(self.log_since(attempt, 0).await?.text)
    }

    /// The log of an attempt from a cursor on; 0 is its beginning.
    pub async fn log_since(&self, attempt: AttemptId, since: i32) -> Result<LogPage, ClientError> {
        let request = self.0.request(Method::GET, &format!("/api/v1/attempts/{attempt}/log"));
        let response = checked(request.query(&[("since", since)])).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let cursor = header(LogPage::CURSOR).and_then(|cursor| cursor.parse().ok()).unwrap_or(since);
        let ended = header(LogPage::ENDED) == Some("true");
        Ok(LogPage { text: response.bytes().await?.to_vec(), cursor, ended })
    }

    /// The swarm at a glance; of one target, where it is named.
    pub async fn status(&self, target: Option<&TargetName>) -> Result<Status, ClientError> {
        let request = self.0.request(Method::GET, "/api/v1/status");
        json(match target {
            Some(target) => request.query(&[("target", target.as_str())]),
            None => request,
        })
        .await
    }

    /// Sends a test message to where people are told.
    pub async fn test_notify(&self, test: &NotifyTest) -> Result<Vec<NotifyTested>, ClientError> {
        self.0.post("/api/v1/notify/test", test).await
    }

    /// All drones.
    pub async fn drones(&self) -> Result<Vec<Drone>, ClientError> {
        self.0.get("/api/v1/drones").await
    }

    /// Gives a drone an order.
    pub async fn order_drone(&self, name: &str, order: DroneOrder) -> Result<Drone, ClientError> {
        json(self.0.request(Method::PATCH, &format!("/api/v1/drones/{}", segment(name))).json(&order)).await
    }

    /// Says what should run on a drone's machine.
    pub async fn expect_of_drone(&self, name: &str, expected: &Deployed) -> Result<Drone, ClientError> {
        let path = format!("/api/v1/drones/{}/expected", segment(name));
        json(self.0.request(Method::PUT, &path).json(expected)).await
    }

    /// The newest repairs, newest first; of one drone, where it is named.
    pub async fn repairs(&self, drone: Option<&str>) -> Result<Vec<Repair>, ClientError> {
        let request = self.0.request(Method::GET, "/api/v1/repairs");
        json(match drone {
            Some(drone) => request.query(&[("drone", drone)]),
            None => request,
        })
        .await
    }

    /// Confirms the reboot of a drone's machine that waits for a person.
    pub async fn confirm_repair(&self, drone: &str) -> Result<Repair, ClientError> {
        self.0.post(&format!("/api/v1/drones/{}/repair/confirm", segment(drone)), &()).await
    }

    /// Believes a drone no longer, and withdraws what it made.
    pub async fn distrust(&self, name: &str) -> Result<Distrusted, ClientError> {
        self.0.post(&format!("/api/v1/drones/{}/distrust", segment(name)), &()).await
    }

    /// The generations of a target, newest first.
    pub async fn generations(&self, target: &TargetName) -> Result<Vec<Generation>, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/generations")).await
    }

    /// Publishes an earlier generation's set again.
    pub async fn republish(
        &self,
        target: &TargetName,
        republish: &Republish,
    ) -> Result<Generation, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/generations"), republish).await
    }

    /// Keeps a generation for good, or leaves it to retention again.
    pub async fn pin_generation(
        &self,
        target: &TargetName,
        number: GenerationNumber,
        pinned: bool,
    ) -> Result<Kept, ClientError> {
        self.0.pin(target, number, pinned).await
    }

    /// How two generations differ.
    pub async fn diff_generations(&self, target: &TargetName, between: Between) -> Result<Diff, ClientError> {
        self.0.diff(target, between).await
    }

    /// Makes a join token.
    pub async fn create_join_token(&self, token: &NewJoinToken) -> Result<Token, ClientError> {
        self.0.post("/api/v1/join-tokens", token).await
    }

    /// Makes an admin's or viewer's token.
    pub async fn create_token(&self, token: &NewToken) -> Result<Token, ClientError> {
        self.0.post("/api/v1/tokens", token).await
    }

    /// The tokens of people and scripts that are good.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, ClientError> {
        self.0.get("/api/v1/tokens").await
    }

    /// Revokes one of them; it may be repeated.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), ClientError> {
        checked(self.0.request(Method::DELETE, &format!("/api/v1/tokens/{token}"))).await.map(drop)
    }

    /// The events after a cursor; `0` is the beginning, `now` the end.
    pub async fn events(&self, since: &str) -> Result<Events, ClientError> {
        json(self.0.request(Method::GET, "/api/v1/events").query(&[("since", since)])).await
    }

    /// Those of one run.
    pub async fn events_of(&self, run: RunId, since: &str) -> Result<Events, ClientError> {
        let request = self.0.request(Method::GET, "/api/v1/events").query(&[("since", since)]);
        json(request.query(&[("run", run.0)])).await
    }
}
