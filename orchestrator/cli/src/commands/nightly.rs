//! `swarm nightly`: the nightly update as one call, for cron. `swarm nightlies`: how the last ones went.
//!
//! It says that it has begun before it does anything else, so the orchestrator notices when it does not come (law 12); how it
//! ends is told in any case but a `kill -9`, after which the next one says that this one has vanished.

use super::{run, target};
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, raw};
use crate::table::{between, left, moment, or_dash, right, table};
use crate::{names, patience, workstation};
use clap::Args;
use std::process::Stdio;
use std::time::Duration;
use swarm_protocol::admin::{EndNightly, NewNightly, NewRun, Nightlies, Nightly, NightlyResult, Run};
use swarm_protocol::gentoo::TargetName;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at a run that is waited for.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) const EXAMPLES: &str = "Examples:
  swarm nightly desktop                     # on the workstation: sync, push, begin a run
  swarm nightly desktop --wait              # and follow it to its end
  swarm nightly desktop --no-sync --no-push # on another machine: only begin a run";

/// What a nightly update does.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The target.
    pub(crate) target: TargetName,
    /// Do not sync the repositories before (emaint sync --auto).
    #[arg(long)]
    no_sync: bool,
    /// Do not push this workstation before (swarm target push).
    #[arg(long)]
    no_push: bool,
    /// Wait until the run is promoted (exit code 0), frozen (3) or over otherwise (4).
    #[arg(long)]
    wait: bool,
    /// In how many hours the next one comes; the orchestrator alarms when it does not.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    every: u32,
}

/// Which nightly updates.
#[derive(Args, Debug)]
pub(crate) struct Listed {
    /// The target.
    target: TargetName,
    /// From now on expect none: its cron entry was taken away on purpose.
    #[arg(long)]
    expect_none: bool,
}

/// Updates.
pub(crate) async fn update(context: &Context, what: &Update) -> Result<Exit, Failure> {
    let new = NewNightly { host: host(), period_seconds: what.every * 3600 };
    let begun = context.client.begin_nightly(&what.target, &new);
    let nightly = names::of_target(context, &what.target, begun).await?;
    tell(context, &format!("STARTED: nightly update {} of {} on {}", nightly.id, what.target, new.host))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = steps(context, what) => outcome,
        _ = terminate.recv() => Err(Failure::internal("it was stopped by a signal")),
        result = tokio::signal::ctrl_c() => {
            result?;
            Err(Failure::internal("it was interrupted"))
        }
    };
    let (exit, end) = match &outcome {
        Ok((run, exit @ Exit::Ok)) => {
            (*exit, EndNightly { result: NightlyResult::Succeeded, reason: None, run: Some(run.id) })
        }
        Ok((run, exit)) => {
            let reason = Some(run::verdict(run));
            (*exit, EndNightly { result: NightlyResult::Failed, reason, run: Some(run.id) })
        }
        Err(failure) => {
            let reason = Some(failure.sentence());
            (Exit::Failed, EndNightly { result: NightlyResult::Failed, reason, run: None })
        }
    };
    let ended = patience::ask(context, async || context.client.end_nightly(nightly.id, &end).await).await?;
    let (run, _) = outcome?;
    context.output.show(&ended, |ended| format!("{} {}", verdict(ended), run::verdict(&run)))?;
    Ok(exit)
}

/// Syncs, pushes, begins a run, and waits for it where that is wanted.
async fn steps(context: &Context, what: &Update) -> Result<(Run, Exit), Failure> {
    if !what.no_sync {
        tell(context, "syncing the repositories")?;
        sync().await?;
    }
    if !what.no_push {
        let told = target::push_this(context, &what.target).await?;
        tell(context, told.trim_end())?;
    }
    let new = NewRun { epoch: None, plan: None };
    let mut run = context.ask(context.client.start_run(&what.target, &new)).await?;
    if !what.wait {
        return Ok((run, Exit::Ok));
    }
    tell(context, &run::verdict(&run))?;
    loop {
        if let Some(exit) = Exit::of_run(run.state) {
            return Ok((run, exit));
        }
        tokio::time::sleep(LOOK).await;
        run = patience::ask(context, async || context.client.run(run.id).await).await?;
    }
}

/// Portage syncs those repositories whose `auto-sync` says so (portage(5)).
async fn sync() -> Result<(), Failure> {
    let mut command = Command::new("emaint");
    command.args(["sync", "--auto"]).stdin(Stdio::null()).kill_on_drop(true);
    // What it says belongs into the log; standard output is this command's own.
    command.stdout(std::io::stderr());
    let status = command.status().await;
    let status = status.map_err(|error| Failure::internal(format!("cannot run emaint: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::internal(format!("emaint sync --auto failed: {status}")))
}

fn host() -> String {
    workstation::host_name().map_or_else(|_| "a host without a name".to_owned(), |name| name.to_string())
}

/// A line of the log, for people; scripts get one document at the end.
fn tell(context: &Context, text: &str) -> Result<(), Failure> {
    if context.output.is_json() {
        output::say(text);
        return Ok(());
    }
    raw(format!("{}\n", output::printable(text)).as_bytes())
}

/// Lists.
pub(crate) async fn list(context: &Context, which: &Listed) -> Result<Exit, Failure> {
    let client = &context.client;
    if which.expect_none {
        names::of_target(context, &which.target, client.expect_no_nightly(&which.target)).await?;
    }
    let all = names::of_target(context, &which.target, client.nightlies(&which.target)).await?;
    context.output.show(&all, |all| listed(&which.target, all))?;
    Ok(Exit::Ok)
}

fn verdict(nightly: &Nightly) -> String {
    let word = nightly.result.map_or("is on its way", NightlyResult::as_str);
    format!("ENDED: nightly update {} of {} {word}.", nightly.id, nightly.target)
}

fn listed(target: &TargetName, all: &Nightlies) -> String {
    let columns = [
        right("nightly"),
        left("host"),
        left("began (UTC)"),
        right("took"),
        left("result"),
        right("run"),
        left("reason"),
    ];
    let rows = all.nightlies.iter().map(|nightly| {
        [
            nightly.id.to_string(),
            nightly.host.clone(),
            moment(nightly.started_at),
            between(Some(nightly.started_at), nightly.ended_at),
            nightly.result.map_or("on its way", NightlyResult::as_str).to_owned(),
            or_dash(nightly.run),
            nightly.reason.clone().unwrap_or_default(),
        ]
    });
    let none =
        format!("There was no nightly update of {target} yet; `swarm nightly {target}` is one, for cron.");
    let due = match all.due_at {
        Some(due) => format!("The next one has to begin before {} UTC.", moment(due)),
        None => "None is expected.".to_owned(),
    };
    format!("{}\n{due}", table(columns, &none, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn nightlies_in_a_table() {
        let all = sample::nightlies();
        insta::assert_snapshot!(listed(&"desktop".parse().unwrap(), &all));
        let none = Nightlies { due_at: None, nightlies: vec![] };
        insta::assert_snapshot!("no_nightlies", listed(&"desktop".parse().unwrap(), &none));
    }
}
