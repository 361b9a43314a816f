//! Which generation a workstation gets, and whether something is wrong with the nights that make them.

use super::super::run::verdict;
use crate::connection::Context;
use crate::failure::Failure;
use crate::names;
use crate::table::moment;
use chrono::{DateTime, Utc};
use serde::Serialize;
use swarm_protocol::admin::{ClientSetup, Generation, Nightlies, NightlyResult, Package, Run, TargetStatus};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{GenerationNumber, RunId};
use swarm_protocol::state::{GenerationState, RunState};

/// Where a generation comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Origin {
    /// The time by the swarm's clock.
    pub(super) now: Option<DateTime<Utc>>,
    /// The current generation.
    pub(super) generation: Option<GenerationNumber>,
    /// Since when it is.
    pub(super) promoted_at: Option<DateTime<Utc>>,
    /// The run that made it; none of a rollback.
    pub(super) run: Option<RunId>,
    /// Whether no later run has begun.
    pub(super) is_newest: bool,
    /// What a person should know.
    pub(super) attention: Vec<String>,
}

/// Asks the orchestrator. One that is not reached is no reason not to update: the binhost has all that emerge needs.
pub(super) async fn find(
    context: &Context,
    target: &TargetName,
) -> Result<(Origin, Option<ClientSetup>), Failure> {
    match asked(context, target).await {
        Ok((origin, setup)) => Ok((origin, Some(setup))),
        Err(failure) if failure.is_transient() => {
            let why = failure.sentence();
            let attention =
                format!("which generation this is, and why something is missing, is not known: {why}");
            Ok((Origin { attention: vec![attention], ..Origin::default() }, None))
        }
        Err(failure) => Err(failure),
    }
}

async fn asked(context: &Context, target: &TargetName) -> Result<(Origin, ClientSetup), Failure> {
    let client = &context.client;
    let status = names::of_target(context, target, client.status(Some(target))).await?;
    let setup = context.ask(client.client_setup(target)).await?;
    let generations = context.ask(client.generations(target)).await?;
    let runs = context.ask(client.runs(Some(target), false)).await?;
    let nightlies = context.ask(client.nightlies(target)).await?;
    Ok((origin(status.now, status.targets.first(), &generations, &runs, &nightlies), setup))
}

fn origin(
    now: DateTime<Utc>,
    target: Option<&TargetStatus>,
    generations: &[Generation],
    runs: &[Run],
    nightlies: &Nightlies,
) -> Origin {
    let current = generations.iter().find(|generation| generation.state == GenerationState::Current);
    let run = current.and_then(|current| current.run);
    // A rollback stands for itself: it was made later than every run before it.
    let later = runs.first().filter(|newest| run.is_some_and(|run| newest.id > run));
    let mut attention = Vec::new();
    attention.extend(later.filter(|later| later.state != RunState::Superseded).map(verdict));
    if let Some(due) = nightlies.due_at.filter(|due| *due < now) {
        attention.push(format!("the nightly update that was due by {} UTC has not come", moment(due)));
    }
    if let Some(last) = nightlies.nightlies.first().filter(|last| last.result == Some(NightlyResult::Failed))
    {
        let reason = last.reason.as_deref().unwrap_or("no reason is known");
        attention
            .push(format!("the last nightly update, of {} UTC, failed: {reason}", moment(last.started_at)));
    }
    if let Some(of) = current.and_then(|current| current.republishes) {
        attention.push(format!("it is a rollback to the set of generation {of}"));
    }
    Origin {
        now: Some(now),
        generation: target.and_then(|target| target.current),
        promoted_at: target.and_then(|target| target.promoted_at),
        run,
        is_newest: later.is_none(),
        attention,
    }
}

/// The packages of the target's newest run with a plan; nothing where that is not known.
pub(super) async fn packages(context: &Context, target: &TargetName) -> Vec<Package> {
    let runs = context.ask(context.client.runs(Some(target), false)).await.unwrap_or_default();
    let Some(run) = runs.iter().find(|run| run.counts.total > 0) else { return Vec::new() };
    context.ask(context.client.packages(run.id)).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn a_generation_of_the_newest_run_and_one_that_is_behind() {
        let now = sample::status().now;
        let status = &sample::status().targets[0];
        let generations = sample::generations();
        let nightlies = Nightlies { due_at: None, nightlies: vec![] };
        let of = |id| Run { id: RunId(id), ..sample::promoted() };
        let fresh = origin(now, Some(status), &generations, &[of(6), of(5)], &nightlies);
        assert_eq!(
            (fresh.run, fresh.is_newest, fresh.attention.len()),
            (Some(RunId(6)), true, 0),
            "{fresh:?}"
        );
        let failed = Run { id: RunId(8), ..sample::refused() };
        let behind = origin(now, Some(status), &generations, &[failed, of(6)], &sample::nightlies());
        assert!(!behind.is_newest);
        assert!(behind.attention[0].contains("Run 8 of amd64-v3 is failed"), "{behind:?}");
    }

    #[test]
    fn nights_that_are_missed_or_failed_are_told() {
        let mut nightlies = sample::nightlies();
        nightlies.nightlies.remove(0);
        let due = nightlies.due_at.unwrap();
        let said = |now| origin(now, None, &[], &[], &nightlies).attention.join("\n");
        let late = said(due + chrono::TimeDelta::hours(1));
        assert!(late.contains("has not come") && late.contains("emaint sync --auto failed"), "{late}");
        assert!(!said(due - chrono::TimeDelta::hours(1)).contains("has not come"));
    }
}
