//! `swarm run`.

use super::watch;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{
    between, count, fields, indented, left, moment, or_dash, right, short, success_rate, table,
};
use crate::{input, names};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;
use swarm_protocol::admin::{Counts, NewRun, Run};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;
use swarm_protocol::resolution::{Finding, FindingKind};
use swarm_protocol::state::RunState;

/// What can be done with runs.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Begin a run of a target's world set, which a trusted drone resolves; it takes the place of the open one.
    #[command(after_help = START_EXAMPLES)]
    Start(Start),
    /// List the newest runs, newest first.
    List(Which),
    /// Show a run.
    Show {
        /// The run's id.
        run: RunId,
    },
    /// Follow a run until it is promoted (exit code 0), frozen (3) or over otherwise (4).
    ///
    /// On a terminal bars show how far it is and what each drone does; else each change is a line, with --json the run
    /// as a line of JSON. A restart of the orchestrator does not end it.
    Watch {
        /// The run's id.
        run: RunId,
    },
    /// Let a frozen run go on.
    Thaw {
        /// The run's id.
        run: RunId,
    },
    /// Cancel a run; its builds end with it.
    Cancel {
        /// The run's id.
        run: RunId,
    },
}

const START_EXAMPLES: &str = "Examples:
  swarm run start desktop --wait
  build-drone epoch --json | swarm run start desktop --epoch - --plan plan.json";

/// Which runs.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Only those of this target.
    #[arg(long)]
    target: Option<TargetName>,
    /// Only those that are not over.
    #[arg(long)]
    open: bool,
}

/// How a run begins.
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The target.
    target: TargetName,
    /// The epoch, as `build-drone epoch --json` prints it; that of the drone that resolves the run, where absent. - is
    /// standard input.
    #[arg(long, value_name = "FILE")]
    epoch: Option<PathBuf>,
    /// The plan; without one, a trusted drone resolves the target's world set. - is standard input.
    #[arg(long, value_name = "FILE", requires = "epoch")]
    plan: Option<PathBuf>,
    /// Then follow the run, as `swarm run watch` does.
    #[arg(long)]
    wait: bool,
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Context { client, output, .. } = context;
    match command {
        Command::Start(start) => return begin(context, start).await,
        Command::Watch { run } => return watch::watch(context, *run).await,
        Command::List(which) => {
            let runs = context.ask(client.runs(which.target.as_ref(), which.open)).await?;
            output.show(&runs, |runs| listed(runs))?;
        }
        Command::Show { run } => output.show(&context.ask(client.run(*run)).await?, shown)?,
        Command::Thaw { run } => output.show(&context.ask(client.thaw_run(*run)).await?, verdict)?,
        Command::Cancel { run } => output.show(&context.ask(client.cancel_run(*run)).await?, verdict)?,
    }
    Ok(Exit::Ok)
}

async fn begin(context: &Context, start: &Start) -> Result<Exit, Failure> {
    if start.epoch.as_deref().is_some_and(input::is_stdin)
        && start.plan.as_deref().is_some_and(input::is_stdin)
    {
        return Err(Failure::usage("standard input cannot be both the epoch and the plan"));
    }
    let new = NewRun {
        epoch: match &start.epoch {
            Some(path) => Some(epoch(&input::read(path)?).map_err(|why| unusable(path, "epoch", &why))?),
            None => None,
        },
        plan: match &start.plan {
            Some(path) => Some(json(&input::read(path)?).map_err(|why| unusable(path, "plan", &why))?),
            None => None,
        },
    };
    let begun = context.client.start_run(&start.target, &new);
    let run = names::of_target(context, &start.target, begun).await?;
    if start.wait {
        return watch::watch(context, run.id).await;
    }
    context.output.show(&run, verdict)?;
    Ok(Exit::Ok)
}

fn unusable(path: &Path, what: &str, why: &str) -> Failure {
    Failure::usage(format!("{} is no {what}: {why}", input::named(path)))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What `build-drone epoch --json` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    digest: Digest,
    epoch: Epoch,
}

/// An epoch, alone or with its digest beside it.
fn epoch(text: &str) -> Result<Epoch, String> {
    let value: serde_json::Value = json(text)?;
    if value.get("epoch").is_none() {
        return json(text);
    }
    let Described { digest, epoch } = json(text)?;
    if epoch.digest() != digest {
        return Err(format!("its digest is {}, not the {digest} that it names", epoch.digest()));
    }
    Ok(epoch)
}

fn listed(runs: &[Run]) -> String {
    let columns = [
        right("run"),
        left("target"),
        left("state"),
        right("received"),
        right("of"),
        left("began (UTC)"),
        right("took"),
        right("generation"),
    ];
    let rows = runs.iter().map(|run| {
        [
            run.id.to_string(),
            run.target.to_string(),
            run.state.to_string(),
            run.counts.received.to_string(),
            run.counts.total.to_string(),
            moment(run.created_at),
            between(Some(run.created_at), run.ended_at),
            or_dash(run.generation),
        ]
    });
    table(columns, "There was no run yet; `swarm run start TARGET` begins one.", rows)
}

fn shown(run: &Run) -> String {
    let mut rows = vec![
        ("run", run.id.to_string()),
        ("target", run.target.to_string()),
        ("state", run.state.to_string()),
        ("epoch", run.epoch.as_ref().map_or_else(|| "not known yet".to_owned(), short)),
        ("began", format!("{} UTC", moment(run.created_at))),
    ];
    if let Some(definition) = run.definition {
        rows.insert(3, ("definition", definition.to_string()));
    }
    if let Some(ended) = run.ended_at {
        rows.push(("ended", format!("{} UTC", moment(ended))));
        rows.push(("took", between(Some(run.created_at), run.ended_at)));
    }
    rows.extend(run.generation.map(|generation| ("generation", generation.to_string())));
    rows.extend(without(run).map(|without| ("without", without)));
    rows.extend(run.reason.clone().map(|reason| ("reason", reason)));
    rows.extend(resolving(run).map(|resolving| ("resolver", resolving)));
    rows.push(("packages", packages(&run.counts)));
    rows.push(("attempts", attempts(&run.counts)));
    let findings = run.findings.iter().map(|finding| format!("\n\n{}", found(finding)));
    format!("{}{}", fields(&rows), findings.collect::<String>())
}

/// What it does without, and where that stands in quarantine.
fn without(run: &Run) -> Option<String> {
    let names: Vec<_> = run.without.iter().map(ToString::to_string).collect();
    let since = run.mends.map(|mends| format!(", quarantined in run {mends}")).unwrap_or_default();
    (!names.is_empty()).then(|| format!("{}{since}", names.join(", ")))
}

/// Who resolves it, if it is being resolved.
pub(super) fn resolving(run: &Run) -> Option<String> {
    match (run.state, &run.resolver) {
        (_, Some(resolver)) => Some(format!("{} since {} UTC", resolver.drone, moment(resolver.since))),
        (RunState::Resolving, None) => Some("waits for a trusted drone".to_owned()),
        (_, None) => None,
    }
}

/// What Portage refused or remarked, with its own words indented.
fn found(finding: &Finding) -> String {
    let atom = finding.atom.as_ref().map(|atom| format!(": {atom}")).unwrap_or_default();
    let workstation = finding.workstation.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let by = match finding.wanted_by.as_slice() {
        [] => String::new(),
        names => format!("\n  wanted by {}", names.join(", wanted by ")),
    };
    format!("{workstation}{}{atom}{by}{}", kind(finding.kind), indented(finding.detail.lines(), 4))
}

const fn kind(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Masked => "masked",
        FindingKind::Unsatisfied => "unsatisfied",
        FindingKind::RequiredUse => "REQUIRED_USE does not hold",
        FindingKind::SlotConflict => "slot conflict",
        FindingKind::ConfigurationChange => "configuration change needed",
        FindingKind::Blocker => "blocker",
        FindingKind::SubSlot => "built against another sub-slot",
        FindingKind::Soname => "shared library missing",
        FindingKind::Cycle => "cycle",
        FindingKind::BaseAhead => "base root is ahead",
        FindingKind::BaseBehind => "base root is behind",
        FindingKind::FetchRestricted => "sources to be fetched by hand",
        FindingKind::Interactive => "interactive",
        FindingKind::Live => "live ebuild",
        FindingKind::Unredistributable => "not to be redistributed",
        FindingKind::NotInstallable => "no binary package",
        FindingKind::RebuildMissing => "binary package rejected",
        FindingKind::NotUpdated => "silently not updated",
        FindingKind::StaleIndex => "index not read",
        FindingKind::NotInstalled => "installation failed",
        FindingKind::Other => "finding",
    }
}

/// A run's packages, all counts in one line.
pub(super) fn packages(counts: &Counts) -> String {
    let Counts { total, needed, ready, delegated, received, kept, blocked, quarantined, .. } = counts;
    let kept = if *kept > 0 { format!(" ({kept} kept)") } else { String::new() };
    format!(
        "{total} total: {needed} needed ({ready} ready), {delegated} delegated, {received} received{kept}, \
         {blocked} blocked, {quarantined} quarantined"
    )
}

/// A run's attempts, all counts in one line.
pub(super) fn attempts(counts: &Counts) -> String {
    let Counts { attempted, succeeded, failed, .. } = counts;
    format!(
        "{attempted} attempted, {succeeded} succeeded, {failed} failed: success rate {}",
        success_rate(counts)
    )
}

/// Where a run stands, in a sentence that says what to do next.
pub(super) fn verdict(run: &Run) -> String {
    let Run { id, target, state, counts, .. } = run;
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let next = match state {
        RunState::Promoted => {
            let generation =
                run.generation.map(|number| format!(" as generation {number}")).unwrap_or_default();
            return format!(
                "Run {id} of {target} is promoted{generation}, {}.",
                count(counts.total, "package")
            );
        }
        RunState::Frozen => format!(
            "; `swarm quarantine list --run {id}` says why, then `swarm quarantine release PACKAGE`, \
             `swarm run thaw {id}` or `swarm run cancel {id}`"
        ),
        RunState::Failed if !run.findings.is_empty() => {
            let findings = count(i64::try_from(run.findings.len()).unwrap_or(i64::MAX), "finding");
            format!("; `swarm run show {id}` has the {findings}")
        }
        state if state.is_over() => String::new(),
        _ => format!("; `swarm run watch {id}` follows it"),
    };
    format!("Run {id} of {target} is {state}{reason}{next}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn runs_in_a_table() {
        insta::assert_snapshot!(listed(&[sample::building(), sample::frozen(), sample::promoted()]));
    }

    #[test]
    fn a_run_in_full() {
        insta::assert_snapshot!("a_building_run", shown(&sample::building()));
        insta::assert_snapshot!("a_promoted_run", shown(&sample::promoted()));
        insta::assert_snapshot!("a_run_that_portage_refuses", shown(&sample::refused()));
        insta::assert_snapshot!("a_run_that_is_resolved", shown(&sample::resolving()));
    }

    #[test]
    fn verdicts_say_what_to_do_next() {
        let runs = [
            sample::building(),
            sample::frozen(),
            sample::promoted(),
            sample::cancelled(),
            sample::refused(),
        ];
        insta::assert_snapshot!(runs.map(|run| verdict(&run)).join("\n"));
    }

    #[test]
    fn an_epoch_comes_alone_or_described() {
        let bare = sample::epoch();
        let described = serde_json::json!({"digest": bare.digest(), "epoch": bare});
        assert_eq!(epoch(&serde_json::to_string(&bare).unwrap()).unwrap(), bare);
        assert_eq!(epoch(&described.to_string()).unwrap(), bare);
        let wrong = serde_json::json!({"digest": Digest::of(b"other"), "epoch": bare});
        assert!(epoch(&wrong.to_string()).unwrap_err().starts_with("its digest is"));
        assert!(epoch("{\"base_root\": 3}").unwrap_err().contains("line 1 column"));
    }
}
