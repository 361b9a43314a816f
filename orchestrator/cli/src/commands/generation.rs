//! `swarm generations`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{left, moment, or_dash, prose, right, table};
use clap::Subcommand;
use std::time::Duration;
use swarm_protocol::admin::{Generation, Republish};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::kept::{Between, ChangeKind, Diff, Instance};
use swarm_protocol::state::GenerationState;

/// Between two looks at a generation that is on its way.
const POLL: Duration = Duration::from_millis(300);
/// How often it looks: the binhost needs seconds for the largest sets.
const LOOKS: u32 = 400;

/// What can be done with generations.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List the generations of a target, newest first.
    List {
        /// The target.
        target: TargetName,
    },
    /// Publish the set of an earlier generation again.
    ///
    /// Portage ignores an index that is older than the one it has, so the set gets a new number and a new TIMESTAMP;
    /// workstations then really downgrade. The same act undoes a rollback: name the generation to return to. The next
    /// run that is promoted replaces it: cancel that run, or mend what was wrong, before.
    #[command(
        after_help = "Examples:\n  swarm generations rollback desktop\n  swarm generations rollback desktop --to 7"
    )]
    Rollback {
        /// The target.
        target: TargetName,
        /// The generation whose set it is; the newest one before the current set where absent.
        #[arg(long, value_name = "NUMBER", value_parser = number)]
        to: Option<GenerationNumber>,
        /// Even if artifacts of it were withdrawn, or its C library is older than the current one.
        #[arg(long)]
        force: bool,
    },
    /// Keep a generation for good, whatever retention removes.
    Pin {
        /// The target.
        target: TargetName,
        /// The generation.
        #[arg(value_parser = number)]
        number: GenerationNumber,
    },
    /// Leave a generation to retention again.
    Unpin {
        /// The target.
        target: TargetName,
        /// The generation.
        #[arg(value_parser = number)]
        number: GenerationNumber,
    },
    /// Show what a workstation gets by going from one generation to another.
    #[command(
        after_help = "Examples:\n  swarm generations diff desktop\n  swarm generations diff desktop 7\n  swarm generations diff desktop 7 9"
    )]
    Diff {
        /// The target.
        target: TargetName,
        /// The earlier generation; the one that was current before the other where absent.
        #[arg(value_parser = number)]
        from: Option<GenerationNumber>,
        /// The later generation; the current one where absent.
        #[arg(value_parser = number)]
        to: Option<GenerationNumber>,
    },
}

fn number(text: &str) -> Result<GenerationNumber, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(GenerationNumber(number)),
        _ => Err("a generation's number is 1 or more".to_owned()),
    }
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::List { target } => {
            let generations = names::of_target(context, target, context.client.generations(target)).await?;
            context.output.show(&generations, |generations| listed(generations, target))?;
            Ok(Exit::Ok)
        }
        Command::Rollback { target, to, force } => {
            rollback(context, target, Republish { of: *to, force: *force }).await
        }
        Command::Pin { target, number } => pin(context, target, *number, true).await,
        Command::Unpin { target, number } => pin(context, target, *number, false).await,
        Command::Diff { target, from, to } => {
            let between = Between { from: *from, to: *to };
            let diff = context.client.diff_generations(target, between);
            let diff = names::of_target(context, target, diff).await?;
            context.output.show(&diff, |diff| difference(diff, target))?;
            Ok(Exit::Ok)
        }
    }
}

async fn pin(
    context: &Context,
    target: &TargetName,
    number: GenerationNumber,
    pinned: bool,
) -> Result<Exit, Failure> {
    let kept = context.client.pin_generation(target, number, pinned);
    let kept = names::of_target(context, target, kept).await?;
    let how_long = if kept.pinned { "for good" } else { "as long as retention says" };
    context.output.show(&kept, |_| format!("Generation {number} of {target} is kept {how_long}."))?;
    Ok(Exit::Ok)
}

fn difference(diff: &Diff, target: &TargetName) -> String {
    let Diff { from, to, changes } = diff;
    let from = from.map_or("nothing".to_owned(), |from| format!("generation {from}"));
    let way = format!("From {from} to generation {to} of {target}");
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let kinds = [ChangeKind::Added, ChangeKind::Updated, ChangeKind::Rebuilt, ChangeKind::Removed];
    let counts = kinds.map(|kind| (count(kind), kind)).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, kind)| format!("{count} {kind}")).collect();
    if counts.is_empty() {
        return format!("{way} nothing changes.");
    }
    let columns = [left("change"), left("package"), left("slot"), left("from"), left("to")];
    let rows = changes.iter().map(|change| {
        let version = |instance: &Option<Instance>| {
            or_dash(instance.as_ref().map(|instance| match change.kind {
                ChangeKind::Rebuilt => format!("{} (build {})", instance.cpv.version(), instance.build_id),
                _ => instance.cpv.version().to_owned(),
            }))
        };
        let (from, to) = (version(&change.from), version(&change.to));
        [change.kind.to_string(), change.package.clone(), change.slot.clone(), from, to]
    });
    format!("{way}: {}.\n\n{}", counts.join(", "), table(columns, "", rows))
}

async fn rollback(context: &Context, target: &TargetName, order: Republish) -> Result<Exit, Failure> {
    let begun = context.client.republish(target, &order);
    let mut generation = if order.of.is_some() {
        // What is not there may be the generation, and the orchestrator says so.
        context.ask(begun).await?
    } else {
        names::of_target(context, target, begun).await?
    };
    let mut looks = 0;
    while is_on_its_way(&generation) && looks < LOOKS {
        tokio::time::sleep(POLL).await;
        looks += 1;
        let generations = context.ask(context.client.generations(target)).await?;
        let news = generations.into_iter().find(|news| news.number == generation.number);
        generation = news.unwrap_or(generation);
    }
    context.output.show(&generation, |generation| outcome(generation, target))?;
    Ok(if generation.state == GenerationState::Refused { Exit::Failed } else { Exit::Ok })
}

fn is_on_its_way(generation: &Generation) -> bool {
    matches!(generation.state, GenerationState::Preparing | GenerationState::Prepared)
}

fn outcome(generation: &Generation, target: &TargetName) -> String {
    let Generation { number, state, .. } = generation;
    let set =
        generation.republishes.map(|of| format!(" with the set of generation {of}")).unwrap_or_default();
    let reason = generation.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match state {
        GenerationState::Preparing | GenerationState::Prepared => format!(
            "Generation {number} of {target}{set} is on its way; `swarm generations list {target}` says when it is \
             current."
        ),
        state => format!("Generation {number} of {target}{set} is {state}{reason}."),
    }
}

fn listed(generations: &[Generation], target: &TargetName) -> String {
    let columns = [
        right("generation"),
        left("state"),
        right("packages"),
        left("made by"),
        left("promoted (UTC)"),
        left("kept"),
        prose("note"),
    ];
    let origin = |generation: &Generation| match (generation.run, generation.republishes) {
        (Some(run), _) => format!("run {run}"),
        (None, Some(of)) => format!("rollback to {of}"),
        // It was learned from the binhost.
        (None, None) => "a lost database".to_owned(),
    };
    let rows = generations.iter().map(|generation| {
        [
            generation.number.to_string(),
            if generation.removed_at.is_some() { "removed".to_owned() } else { generation.state.to_string() },
            generation.packages.to_string(),
            origin(generation),
            or_dash(generation.promoted_at.map(moment)),
            or_dash(generation.pinned.map(|pinned| if pinned { "pinned" } else { "yes" })),
            generation.reason.clone().unwrap_or_default(),
        ]
    });
    let table = table(columns, &format!("Target {target} has no generation yet."), rows);
    let earlier = |one: &&Generation| one.state == GenerationState::Retired && one.removed_at.is_none();
    match generations.iter().find(earlier) {
        None => table,
        Some(_) => format!(
            "{table}\n\n`swarm generations diff {target}` shows what the current one changed, \
             `swarm generations rollback {target}` goes back."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::Digest;
    use swarm_protocol::id::BuildId;
    use swarm_protocol::kept::Change;

    #[test]
    fn generations_in_a_table() {
        let target = "amd64-v3".parse().unwrap();
        insta::assert_snapshot!(listed(&sample::generations(), &target));
        insta::assert_snapshot!(listed(&[], &target), @"Target amd64-v3 has no generation yet.");
    }

    #[test]
    fn differences_in_a_table() {
        let target = "amd64-v3".parse().unwrap();
        let instance = |cpv: &str, build_id| Instance {
            cpv: cpv.parse().unwrap(),
            build_id: BuildId(build_id),
            published: Digest::of(cpv.as_bytes()),
        };
        let change = |kind, package: &str, from, to| Change {
            kind,
            package: package.to_owned(),
            slot: "0".to_owned(),
            from,
            to,
        };
        let zlib = |version: &str| Some(instance(&format!("sys-libs/zlib-{version}"), 1));
        let expat = |build_id| Some(instance("dev-libs/expat-2.6.4", build_id));
        let changes = vec![
            change(ChangeKind::Rebuilt, "dev-libs/expat", expat(1), expat(2)),
            change(ChangeKind::Updated, "sys-libs/zlib", zlib("1.3.1"), zlib("1.3.1-r1")),
            change(ChangeKind::Removed, "app-arch/pigz", Some(instance("app-arch/pigz-2.8", 1)), None),
        ];
        let diff = Diff { from: Some(GenerationNumber(3)), to: GenerationNumber(4), changes };
        insta::assert_snapshot!(difference(&diff, &target));
        let none = Diff { changes: vec![], ..diff };
        insta::assert_snapshot!(difference(&none, &target), @"From generation 3 to generation 4 of amd64-v3 nothing changes.");
    }

    #[test]
    fn outcomes_of_a_rollback() {
        let target = "amd64-v3".parse().unwrap();
        let [mut refused, current, ..] = <[Generation; 5]>::try_from(sample::generations()).unwrap();
        let on_its_way = refused.clone();
        refused.state = GenerationState::Refused;
        refused.reason = Some("the binhost has no such artifact".to_owned());
        let lines = [on_its_way, current, refused].map(|generation| outcome(&generation, &target));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
