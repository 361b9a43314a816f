//! One resolution, from the task to its report.
//!
//! A report is repeated until it is answered; the fence makes repetitions harmless (law 2). A resolution that the
//! orchestrator no longer knows is dropped: it has given the run to another drone, or to nobody.

use super::ask::{Answer, Portage, Question, directories};
use super::index::{self, Place};
use super::root;
use super::verdict::Verdict;
use crate::build::{Workshop, check_epoch, deadline};
use crate::link::{CALL_LIMIT, CallError, Link, backoff, within};
use crate::root::AttemptDir;
use crate::stop::Stop;
use std::time::Duration;
use swarm_protocol::client::ClientError;
use swarm_protocol::drone::Fence;
use swarm_protocol::id::SessionId;
use swarm_protocol::resolution::Resolution;

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
    let dir = AttemptDir::create(&directories(config), &resolution.resolution.to_string())?;
    let place = Place::Staging(&resolution.target, resolution.run);
    index::bring(&shop.link, place, &resolution.ticket, &root::index_file(&dir)?, deadline).await?;
    let portage = Portage {
        foundation: &foundation,
        launcher: &shop.launcher,
        dir: &dir,
        mounts: Vec::new(),
        deadline,
        cancel: &shop.link.draining,
    };
    let question = Question {
        world: &resolution.world,
        wants: &resolution.wants,
        mask: &resolution.mask,
        keys: &resolution.keys,
    };
    let answer = portage.plan(question).await;
    tokio::task::spawn_blocking(move || drop(dir)).await?;
    let answer = answer?;
    // A repository that was synced meanwhile may have given some of its new ebuilds.
    check_epoch(&shop.epochs, resolution.epoch).await?;
    Ok(answer)
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
