//! One resolution, from the task to its report.
//!
//! A report is repeated until it is answered; the fence makes repetitions harmless (law 2). A resolution that the
//! orchestrator no longer knows is dropped: it has given the run to another drone, or to nobody.

use super::ask::{Answer, Portage, Question, directories};
use super::index::{self, Place};
use super::root;
use super::verdict::Verdict;
use super::wants::{self, Wants};
use crate::build::{Workshop, check_epoch, deadline};
use crate::link::{CALL_LIMIT, CallError, Link, backoff, within};
use crate::root::{AttemptDir, Foundation};
use crate::stop::Stop;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::client::ClientError;
use swarm_protocol::drone::Fence;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::SessionId;
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{Finding, Resolution};
use tokio::time::Instant;

/// How long a report may still take once the drone stops.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Resolves, and reports.
pub async fn run(shop: &Workshop, session: SessionId, resolution: &Resolution) {
    let (number, link) = (resolution.resolution, &shop.link);
    tracing::info!(resolution = %number, run = %resolution.run, target = %resolution.target, "resolving begins");
    let result = tokio::select! {
        biased;
        result = resolve(shop, resolution) => result,
        // Once Portage runs, it is killed and waited for; before that, nothing needs an end.
        () = stopping(link, STOP_LIMIT) => Err(Stop::Cancelled),
    };
    let fence = Fence { token: resolution.token, session };
    let reported = async {
        match Verdict::of(result, fence) {
            Verdict::Resolved(body) => answered(|| link.client.resolved(number, &body)).await,
            Verdict::Unresolved(body) => answered(|| link.client.unresolved(number, &body)).await,
        }
    };
    tokio::select! {
        result = reported => match result {
            Ok(()) => tracing::info!(resolution = %number, run = %resolution.run, "the resolution is reported"),
            Err(error) => tracing::warn!(resolution = %number, %error, "the report was refused; the resolution is dropped"),
        },
        () = stopping(link, STOP_LIMIT) => {
            tracing::warn!(resolution = %number, "the drone stops before its report was answered");
        }
    }
}

/// Returns `after` the drone was told to stop.
pub(crate) async fn stopping(link: &Link, after: Duration) {
    link.draining.cancelled().await;
    tokio::time::sleep(after).await;
}

async fn resolve(shop: &Workshop, resolution: &Resolution) -> Result<Answer, Stop> {
    let (config, deadline) = (&shop.link.config, deadline(resolution.limit_seconds));
    let foundation = check_epoch(&shop.epochs, resolution.epoch).await?;
    // Holds the index; each question has a root of its own.
    let dir = AttemptDir::create(&directories(config), &resolution.resolution.to_string())?;
    let packages = dir.packages().join("Packages");
    let place = Place::Staging(&resolution.target, resolution.run);
    index::bring(&shop.link, place, &resolution.ticket, &packages, deadline).await?;
    let desk = Desk { shop, resolution, foundation: &foundation, index: &packages, deadline };
    let answer = match desk.plan("world", &resolution.wants).await? {
        Answer::Plan(plan, remarks) => desk.with_wants(plan, remarks).await?,
        refused @ Answer::Refused(_) => refused,
    };
    tokio::task::spawn_blocking(move || drop(dir)).await?;
    // A repository that was synced meanwhile may have given some of its new ebuilds.
    check_epoch(&shop.epochs, resolution.epoch).await?;
    Ok(answer)
}

/// Where the questions of one resolution are put.
struct Desk<'a> {
    shop: &'a Workshop,
    resolution: &'a Resolution,
    foundation: &'a Foundation,
    index: &'a Path,
    deadline: Instant,
}

impl Desk<'_> {
    /// Asks what the world and these wants need. What is outdated is in the index no longer.
    async fn plan(&self, name: &str, wants: &[Cpv]) -> Result<Answer, Stop> {
        let Self { shop, resolution, foundation, index, deadline } = *self;
        let dir = directories(&shop.link.config);
        let dir = AttemptDir::create(&dir, &format!("{}-{name}", resolution.resolution))?;
        std::fs::copy(index, root::index_file(&dir)?)?;
        let (launcher, cancel) = (&shop.launcher, &shop.link.draining);
        let portage = Portage { foundation, launcher, dir: &dir, mounts: Vec::new(), deadline, cancel };
        let question =
            Question { world: &resolution.world, wants, mask: &resolution.mask, keys: &resolution.keys };
        let answer = portage.plan(question).await?;
        std::fs::copy(root::index_file(&dir)?, index)?;
        tokio::task::spawn_blocking(move || drop(dir)).await?;
        Ok(answer)
    }

    /// The plan with what workstations want beside it. One whose wishes do not go together with the rest does not keep
    /// the others from their packages: the plan stands without, and says so; the gate will decide.
    async fn with_wants(&self, plan: Plan, mut remarks: Vec<Finding>) -> Result<Answer, Stop> {
        let Self { shop, resolution, foundation, index, deadline } = *self;
        let Wants { mut wants, findings } =
            wants::ask(&shop.link, &shop.launcher, foundation, (resolution, index), deadline).await?;
        remarks.extend(findings);
        let planned: HashSet<_> = plan.packages.iter().map(|package| &package.cpv).collect();
        let more: Vec<_> = wants.iter().filter(|cpv| !planned.contains(cpv)).map(Cpv::to_string).collect();
        if more.is_empty() {
            return Ok(Answer::Plan(plan, remarks));
        }
        tracing::info!(wants = more.join(" "), "workstations want more than the world comes to from nothing");
        // All that they want: what one of them wants alone would else decide a `||` for the others.
        wants.extend(resolution.wants.iter().cloned());
        match self.plan("wants", &Vec::from_iter(wants)).await? {
            Answer::Plan(wider, more) => {
                // Of the narrower plan, only what workstations said still counts.
                let said = remarks.into_iter().filter(|remark| remark.workstation.is_some());
                Ok(Answer::Plan(wider, more.into_iter().chain(said).collect()))
            }
            Answer::Refused(why) => {
                remarks.extend(why);
                Ok(Answer::Plan(plan, remarks))
            }
        }
    }
}

/// Repeats a report until it is answered.
pub(crate) async fn answered<F>(call: impl Fn() -> F) -> Result<(), CallError>
where
    F: Future<Output = Result<(), ClientError>>,
{
    let mut waits = backoff();
    loop {
        match within(CALL_LIMIT, call()).await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "a report was not answered; repeating it");
                tokio::time::sleep(waits.next().unwrap_or(CALL_LIMIT)).await;
            }
            result => return result,
        }
    }
}
