//! A drone with scripted builds. All that speaks to the swarm is `build-drone`'s own: sessions, heartbeats, the desk,
//! reports, deliveries. Only the claim loop is short, and nothing is compiled.
//!
//! `chaos-drone CONFIG SCRIPT`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a drone that panics is started again"
)]

use anyhow::{Context, bail};
use build_drone::artifact::Artifact;
use build_drone::config::Config;
use build_drone::link::{Link, backoff};
use build_drone::live::Live;
use build_drone::log::BuildLog;
use build_drone::report::report;
use build_drone::stage::Stage;
use build_drone::{deliver, heartbeat, secret, session};
use secrecy::ExposeSecret;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use swarm_chaos::journal::{Entry, Journal, now};
use swarm_chaos::script::{Deed, Script, Temper};
use swarm_protocol::Digest;
use swarm_protocol::client::{BinhostClient, ClientError, DroneClient};
use swarm_protocol::drone::{Claim, ClaimRequest, Complete, Fail, Start};
use swarm_protocol::id::AttemptId;
use swarm_protocol::state::FailureClass;
use swarm_tests::gpkg;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Between two heartbeats that are noted: several within the grace time, and a journal that stays short.
const BETWEEN_BEATS: Duration = Duration::from_millis(400);

struct Drone {
    link: Arc<Link>,
    script: Script,
    journal: Journal,
    slot: Semaphore,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(config), Some(script)) = (arguments.next(), arguments.next()) else {
        bail!("usage: chaos-drone CONFIG SCRIPT");
    };
    let config = Config::load(Path::new(&config), |_| None)?;
    let script: Script = serde_json::from_slice(&std::fs::read(script)?)?;
    let token = secret::read(&config.token_file)?;
    let client = DroneClient::new(&config.orchestrator_url, Some(token.expose_secret().to_owned()));
    let session = session::open(&config, &client).await?;
    std::fs::create_dir_all(&config.state_dir)?;
    let link = Link::new(config, client, session);
    let journal = Journal::open(&script.journal)?;
    let drone = Arc::new(Drone { link, script, journal, slot: Semaphore::new(1) });
    tokio::select! {
        result = heartbeat::run(&drone.link) => result.context("the heart stopped"),
        result = drone.claims() => result.context("the claims ended"),
        () = drone.watch_heart() => Ok(()),
    }
}

impl Drone {
    /// Notes heartbeats: what was held before and after one is what the swarm has heard of.
    async fn watch_heart(&self) {
        loop {
            let (asked, before) = (now(), self.held());
            self.link.fresh_beat().await;
            let after = self.held();
            let held = before.into_iter().filter(|attempt| after.contains(attempt)).collect();
            self.journal.note(&Entry::Beat { asked, answered: now(), held });
            tokio::time::sleep(BETWEEN_BEATS).await;
        }
    }

    fn held(&self) -> Vec<AttemptId> {
        self.link.desk().held().iter().map(|live| live.attempt()).collect()
    }

    async fn claims(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut attempts = JoinSet::new();
        let mut waits = backoff();
        loop {
            let free = (1 + usize::from(self.script.lookahead)).saturating_sub(attempts.len());
            let claimed = tokio::select! {
                Some(ended) = attempts.join_next() => {
                    ended.context("an attempt panicked")?;
                    continue;
                }
                claimed = self.claim(u16::try_from(free)?), if free > 0 => claimed,
            };
            match claimed {
                Ok(claims) => {
                    waits = backoff();
                    for live in claims {
                        let drone = self.clone();
                        attempts.spawn(async move { drone.attempt(&live).await });
                    }
                }
                Err(error) if error.is_transient() => {
                    tokio::time::sleep(waits.next().unwrap_or_default().min(Duration::from_secs(2))).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn claim(&self, want: u16) -> Result<Vec<Arc<Live>>, build_drone::link::CallError> {
        let (session, request) = {
            let desk = self.link.desk();
            (desk.session(), desk.settled() + 1)
        };
        let request = ClaimRequest {
            session,
            request,
            want,
            // As if it began all of it at once: drones that hold much are robbed more often.
            ahead: 0,
            epochs: vec![self.script.epoch.digest()],
            memory_free_bytes: 4 << 30,
            disk_free_bytes: 100 << 30,
            wait_seconds: 5,
        };
        if self.script.temper == Temper::Stutters {
            // Nobody listens to the first answer.
            let (client, twin) = (self.link.client.clone(), request.clone());
            tokio::spawn(async move { drop(client.claim(&twin).await) });
        }
        let call = self.link.long_poll(session, self.link.client.claim(&request));
        // A cut cable says nothing.
        let limit = Duration::from_secs(10);
        let Ok(answer) = tokio::time::timeout(limit, call).await else {
            return Err(build_drone::link::CallError::Silence(limit));
        };
        let claims = answer?.map(|answer| answer.claims).unwrap_or_default();
        Ok(self.link.desk().settle(session, request.request, claims))
    }

    async fn attempt(&self, live: &Arc<Live>) {
        let claim = live.identity().claim.clone();
        let how = self.build(live, &claim).await.unwrap_or_else(|error| format!("{error:#}"));
        let attempt = live.attempt();
        self.link.forget(live);
        self.journal.note(&Entry::Ended { at: now(), attempt, how });
    }

    async fn build(&self, live: &Live, claim: &Claim) -> anyhow::Result<String> {
        self.collect(live, claim).await;
        live.enter(Stage::Waiting);
        let _slot = tokio::select! {
            slot = self.slot.acquire() => slot?,
            () = live.token().cancelled() => return Ok("cancelled while it waited".to_owned()),
        };
        self.twice(live, |client, identity| async move {
            client.start(identity.claim.attempt, &Start { fence: identity.fence() }).await
        })
        .await?;
        let spoilt = self.script.spoilt.exists();
        let (takes, deed) = self.script.deed(&claim.cpv, claim.attempt, spoilt);
        live.enter(Stage::Building);
        tokio::select! {
            () = tokio::time::sleep(takes) => {}
            () = live.token().cancelled() => return Ok("cancelled while it built".to_owned()),
        }
        if self.script.disk_full.exists() {
            return self.fail(live, FailureClass::Infrastructure, "no space left on device").await;
        }
        if spoilt && self.script.temper == Temper::Lies {
            self.pose_as_another(live).await;
        }
        let bytes = match deed {
            Deed::Failure => return self.fail(live, FailureClass::Package, "error: it is spoilt").await,
            Deed::OtherSlot => gpkg::package_with(claim, &[("SLOT", "99")]),
            Deed::Garbage => vec![7; 5000],
            Deed::Good | Deed::Phantom => gpkg::package(claim),
        };
        let path = self.link.config.state_dir.join(format!("{}.gpkg.tar", claim.package));
        std::fs::write(&path, &bytes)?;
        let artifact = Artifact { path: path.clone(), size: bytes.len() as u64, digest: Digest::of(&bytes) };
        let log = BuildLog::create(&path.with_extension("log"), 1 << 20)?;
        let mut uploading = Duration::ZERO;
        if deed != Deed::Phantom {
            uploading = deliver::upload(&self.link, live, &artifact, &log)
                .await
                .map_err(|stop| anyhow::anyhow!("{stop:?}"))?;
        }
        let twin = self.script.temper == Temper::Stutters;
        if twin {
            let (identity, client) = (live.identity(), self.link.client.clone());
            let body = Complete {
                fence: identity.fence(),
                built: artifact.digest,
                size: artifact.size,
                upload_seconds: None,
                usage: None,
            };
            tokio::spawn(async move { drop(client.complete(identity.claim.attempt, &body).await) });
        }
        let completed = deliver::complete(&self.link, live, &artifact, uploading, None).await;
        let completed = completed.map_err(|stop| anyhow::anyhow!("{stop:?}"))?;
        Ok(format!("{:?} {:?}", completed.result, completed.reason))
    }

    /// All of the closure is in the staging view, as soon as a claim names it (DESIGN 8).
    async fn collect(&self, live: &Live, claim: &Claim) {
        live.enter(Stage::Collecting);
        let binhost = BinhostClient::new(&self.link.session().binhost_url, claim.ticket.0.clone());
        for dependency in &claim.closure {
            let read = async {
                binhost
                    .staging(&claim.target, claim.run, &dependency.path)
                    .await?
                    .bytes()
                    .await
                    .map_err(ClientError::from)
            };
            match tokio::time::timeout(Duration::from_secs(5), read).await {
                Ok(Ok(bytes)) if Digest::of(&bytes) != dependency.published => self.violation(format!(
                    "{} of attempt {}: {} has other bytes than were promised",
                    claim.cpv, claim.attempt, dependency.path
                )),
                Ok(Err(error)) if !error.is_transient() => self.violation(format!(
                    "{} of attempt {}: {} is not staged: {error}",
                    claim.cpv, claim.attempt, dependency.path
                )),
                // The binhost is away; this build compiles nothing and needs nothing.
                _ => {}
            }
        }
    }

    /// Makes a report; one that stutters makes it once more.
    async fn twice<F: Future<Output = Result<(), ClientError>>>(
        &self,
        live: &Live,
        call: impl Fn(DroneClient, Arc<build_drone::live::Identity>) -> F,
    ) -> anyhow::Result<()> {
        report(&self.link, live, &call).await?;
        if self.script.temper == Temper::Stutters {
            report(&self.link, live, &call).await?;
        }
        Ok(())
    }

    async fn fail(&self, live: &Live, class: FailureClass, reason: &str) -> anyhow::Result<String> {
        self.twice(live, |client, identity| async move {
            let body = Fail {
                fence: identity.fence(),
                class,
                reason: reason.to_owned(),
                excerpt: String::new(),
                out_of_memory: false,
                usage: None,
            };
            client.fail(identity.claim.attempt, &body).await
        })
        .await?;
        Ok(format!("failed: {class}"))
    }

    /// Reports for attempts that are not its own, and must not be heard.
    async fn pose_as_another(&self, live: &Live) {
        let identity = live.identity();
        for attempt in [identity.claim.attempt.0 - 1, identity.claim.attempt.0 + 1].map(AttemptId) {
            let start = Start { fence: identity.fence() };
            let call = self.link.client.start(attempt, &start);
            if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(5), call).await {
                self.violation(format!("a report for attempt {attempt} was heard from another's drone"));
            }
        }
    }

    fn violation(&self, what: String) {
        self.journal.note(&Entry::Violation { what });
    }
}
