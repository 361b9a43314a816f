//! The binhost as drones (upload, staging view) and the orchestrator (stage, prepare, promote) see it.

use super::{ClientError, Http, checked, json};
use crate::binhost::{
    Bundles, ClientSide, Current, Inherit, Missing, Prepare, Prepared, Promote, Ready, Stage, Staged,
};
use crate::digest::Digest;
use crate::distfile::Blake2b;
use crate::gentoo::TargetName;
use crate::id::{GenerationNumber, RunId};
use crate::kept::{Between, Diff, Kept};
use reqwest::{Body, Method, Response, header::CONTENT_LENGTH};

/// A client of one binhost with one ticket.
#[derive(Clone)]
pub struct BinhostClient(Http);

impl BinhostClient {
    /// A client of the binhost at `base` that shows `ticket`.
    #[must_use]
    pub fn new(base: &str, ticket: String) -> Self {
        Self(Http::new(base, Some(ticket)))
    }

    /// A client of the same binhost, over the same connections, that shows another ticket.
    #[must_use]
    pub fn with_ticket(&self, ticket: String) -> Self {
        Self(self.0.with_bearer(ticket))
    }

    /// Uploads `size` bytes that have the digest `built`. Repeating it is harmless.
    pub async fn upload(&self, built: Digest, size: u64, body: impl Into<Body>) -> Result<(), ClientError> {
        let request = self.0.request(Method::PUT, &format!("/api/v1/uploads/{built}"));
        checked(request.header(CONTENT_LENGTH, size).body(body)).await.map(drop)
    }

    /// Sends a bundle of `size` bytes. Repeating it is harmless.
    pub async fn upload_bundle(
        &self,
        bundle: Digest,
        size: u64,
        body: impl Into<Body>,
    ) -> Result<(), ClientError> {
        let request = self.0.request(Method::PUT, &format!("/api/v1/bundles/{bundle}"));
        checked(request.header(CONTENT_LENGTH, size).body(body)).await.map(drop)
    }

    /// A bundle's bytes.
    pub async fn bundle(&self, bundle: Digest) -> Result<Response, ClientError> {
        checked(self.0.request(Method::GET, &format!("/api/v1/bundles/{bundle}"))).await
    }

    /// Those of `bundles` that the binhost does not have; the others are good for another day.
    pub async fn missing_bundles(&self, bundles: Vec<Digest>) -> Result<Vec<Digest>, ClientError> {
        let answer: Bundles = self.0.post("/api/v1/bundles/missing", &Bundles { bundles }).await?;
        Ok(answer.bundles)
    }

    /// Says which bundles are needed.
    pub async fn retain_bundles(&self, bundles: Vec<Digest>) -> Result<(), ClientError> {
        let request = self.0.request(Method::POST, "/api/v1/bundles/retain");
        checked(request.json(&Bundles { bundles })).await.map(drop)
    }

    /// Sends a source archive of `size` bytes. Repeating it is harmless.
    pub async fn upload_distfile(
        &self,
        distfile: Blake2b,
        size: u64,
        body: impl Into<Body>,
    ) -> Result<(), ClientError> {
        let request = self.0.request(Method::PUT, &format!("/api/v1/distfiles/{distfile}"));
        checked(request.header(CONTENT_LENGTH, size).body(body)).await.map(drop)
    }

    /// A source archive's bytes, if the binhost has them.
    pub async fn distfile(&self, distfile: Blake2b) -> Result<Response, ClientError> {
        checked(self.0.request(Method::GET, &format!("/api/v1/distfiles/{distfile}"))).await
    }

    /// A file of a run's staging view: `Packages`, or an artifact by its path.
    pub async fn staging(
        &self,
        target: &TargetName,
        run: RunId,
        path: &str,
    ) -> Result<Response, ClientError> {
        checked(self.0.request(Method::GET, &format!("/staging/{target}/{run}/{path}"))).await
    }

    /// A file of a generation, whether clients see it or not: `Packages`, or an artifact by its path.
    pub async fn generation(
        &self,
        target: &TargetName,
        number: GenerationNumber,
        path: &str,
    ) -> Result<Response, ClientError> {
        checked(self.0.request(Method::GET, &format!("/generations/{target}/{number}/{path}"))).await
    }

    /// Validates an upload, fixes its path and makes it visible in the run's staging view.
    pub async fn stage(&self, target: &TargetName, run: RunId, stage: &Stage) -> Result<Staged, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/runs/{run}/stage"), stage).await
    }

    /// Makes artifacts of earlier runs visible in the run's staging view, in place of those of the last such call.
    pub async fn inherit(
        &self,
        target: &TargetName,
        run: RunId,
        inherit: &Inherit,
    ) -> Result<(), ClientError> {
        let path = format!("/api/v1/targets/{target}/runs/{run}/inherited");
        checked(self.0.request(Method::PUT, &path).json(inherit)).await.map(drop)
    }

    /// Ends a run's staging view for good: nothing can be staged for that run again.
    pub async fn drop_run(&self, target: &TargetName, run: RunId) -> Result<(), ClientError> {
        let path = format!("/api/v1/targets/{target}/runs/{run}");
        checked(self.0.request(Method::DELETE, &path)).await.map(drop)
    }

    /// Those of `artifacts` whose bytes the binhost no longer has.
    pub async fn missing(
        &self,
        target: &TargetName,
        artifacts: Vec<Digest>,
    ) -> Result<Vec<Digest>, ClientError> {
        let asked = Missing { artifacts };
        let answer: Missing = self.0.post(&format!("/api/v1/targets/{target}/missing"), &asked).await?;
        Ok(answer.artifacts)
    }

    /// Writes a generation that nobody sees yet.
    pub async fn prepare(
        &self,
        target: &TargetName,
        number: GenerationNumber,
        prepare: &Prepare,
    ) -> Result<Prepared, ClientError> {
        let path = format!("/api/v1/targets/{target}/generations/{number}");
        json(self.0.request(Method::PUT, &path).json(prepare)).await
    }

    /// Makes a prepared generation the current one.
    pub async fn promote(&self, target: &TargetName, promote: &Promote) -> Result<Current, ClientError> {
        self.0.post(&format!("/api/v1/targets/{target}/promote"), promote).await
    }

    /// Whether the binhost can take writes, and what works less well there.
    pub async fn ready(&self) -> Result<Ready, ClientError> {
        self.0.get("/readyz").await
    }

    /// What it says of itself to whoever sets up workstations.
    pub async fn client_side(&self) -> Result<ClientSide, ClientError> {
        self.0.get("/api/v1/client").await
    }

    /// Which generation is current.
    pub async fn current(&self, target: &TargetName) -> Result<Current, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/current")).await
    }

    /// The generations that are kept, by number.
    pub async fn kept(&self, target: &TargetName) -> Result<Vec<Kept>, ClientError> {
        self.0.get(&format!("/api/v1/targets/{target}/generations")).await
    }

    /// Pins a generation, or no longer.
    pub async fn pin(
        &self,
        target: &TargetName,
        number: GenerationNumber,
        pinned: bool,
    ) -> Result<Kept, ClientError> {
        self.0.pin(target, number, pinned).await
    }

    /// How two generations differ.
    pub async fn diff(&self, target: &TargetName, between: Between) -> Result<Diff, ClientError> {
        self.0.diff(target, between).await
    }
}
