//! `swarm packages`, `swarm package`, `swarm retry` and `swarm priority`.

use super::attempt;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{count, fields, left, moment, prose, right, size, span, table};
use clap::Args;
use swarm_protocol::admin::{Need, Neighbour, Package, PackageDetail};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::RunId;
use swarm_protocol::plan::About;
use swarm_protocol::state::PackageState;

/// How many neighbours are named.
const NAMED: usize = 12;

/// Which packages.
#[derive(Args, Debug)]
pub(crate) struct Listed {
    /// The run's id.
    run: RunId,
    /// Only those that are: needed, delegated, received, blocked, quarantined.
    #[arg(long, value_parser = state)]
    state: Option<PackageState>,
    /// Only those that this drone holds or has built.
    #[arg(long, value_name = "NAME")]
    drone: Option<String>,
}

/// Which package.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  swarm package 24\n  swarm package app-misc/jq\n  swarm package jq --run 7"
)]
pub(crate) struct Shown {
    /// Its id, or its name: category/name-version, category/name, or the name alone.
    #[arg(value_name = "PACKAGE")]
    package: String,
    /// The run in which a name is looked for; the open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
}

/// Which packages.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Ids, or names: category/name-version, category/name, or the name alone.
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
    /// The run in which names are looked for; the open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
}

/// Which package, and how urgent it is.
#[derive(Args, Debug)]
pub(crate) struct Prioritised {
    /// Its id, or its name: category/name-version, category/name, or the name alone.
    package: String,
    /// -100 to 100; 0 is nobody's wish. What has more goes first, whatever its rank.
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-100..=100))]
    priority: i16,
    /// The run in which a name is looked for; the open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
}

fn state(text: &str) -> Result<PackageState, String> {
    let state = PackageState::ALL.iter().find(|state| state.as_str() == text);
    state.copied().ok_or_else(|| {
        let all: Vec<_> = PackageState::ALL.iter().map(|state| state.as_str()).collect();
        format!("a package is one of {}", all.join(", "))
    })
}

/// `swarm packages`.
pub(crate) async fn list(context: &Context, which: &Listed) -> Result<Exit, Failure> {
    let mut packages = context.ask(context.client.packages(which.run)).await?;
    packages.retain(|package| {
        which.state.is_none_or(|state| package.state == state)
            && which.drone.as_ref().is_none_or(|drone| drone_of(package) == Some(drone))
    });
    context.output.show(&packages, |packages| listed(packages, which))?;
    Ok(Exit::Ok)
}

fn drone_of(package: &Package) -> Option<&String> {
    package.drone.as_ref().or(package.artifact.as_ref().map(|artifact| &artifact.drone))
}

/// `swarm package`.
pub(crate) async fn show(context: &Context, which: &Shown) -> Result<Exit, Failure> {
    let id = names::package(context, &which.package, which.run).await?;
    let package = context.ask(context.client.package(id)).await?;
    context.output.show(&package, shown)?;
    Ok(Exit::Ok)
}

/// `swarm retry`.
pub(crate) async fn retry(context: &Context, which: &Named) -> Result<Exit, Failure> {
    let mut packages = Vec::new();
    for id in names::packages(context, &which.packages, which.run).await? {
        packages.push(context.ask(context.client.retry(id)).await?);
    }
    context.output.show(&packages, |packages| {
        let lines = packages.iter().map(|package| format!("{} may be tried again at once.", package.cpv));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Ok)
}

/// `swarm priority`.
pub(crate) async fn prioritise(context: &Context, which: &Prioritised) -> Result<Exit, Failure> {
    let id = names::package(context, &which.package, which.run).await?;
    let package = context.ask(context.client.prioritise(id, which.priority)).await?;
    context.output.show(&package, |package| {
        format!("{} has priority {}; what it waits for has as much at least.", package.cpv, package.priority)
    })?;
    Ok(Exit::Ok)
}

fn listed(packages: &[Package], which: &Listed) -> String {
    let columns = [
        right("id"),
        left("package"),
        left("slot"),
        left("state"),
        right("waits"),
        right("tries"),
        prose("note"),
    ];
    let rows = packages.iter().map(|package| {
        [
            package.id.to_string(),
            staged(&package.cpv, package.stage),
            package.slot.to_string(),
            package.state.to_string(),
            package.unmet.to_string(),
            package.attempts.to_string(),
            note(package),
        ]
    });
    let empty = match (which.state, &which.drone) {
        (None, None) => format!("Run {} has no package.", which.run),
        _ => format!("Run {} has no such package.", which.run),
    };
    table(columns, &empty, rows)
}

/// A cpv, with its stage where it is an early one.
fn staged(cpv: &Cpv, stage: i16) -> String {
    if stage == 0 { cpv.to_string() } else { format!("{cpv} (stage {stage})") }
}

fn note(package: &Package) -> String {
    if let Some(reason) = &package.reason {
        return reason.clone();
    }
    match (&package.artifact, &package.drone, package.not_before) {
        (Some(artifact), ..) => format!("{} from {}", size(artifact.size), artifact.drone),
        (_, Some(drone), _) => format!("on {drone}"),
        // A pause that was served is of no interest, and which ones were, only the server's clock knows.
        (.., Some(at)) if package.state == PackageState::Needed => format!("not before {}", moment(at)),
        _ => String::new(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, shown to people")]
fn shown(detail: &PackageDetail) -> String {
    let PackageDetail { package, tries, .. } = detail;
    let mut rows = vec![
        ("package", format!("{}:{}::{}", package.cpv, package.slot, detail.repository)),
        ("id", package.id.to_string()),
        ("run", format!("{} of {}, {}", detail.run, detail.target, detail.run_state)),
        ("state", state_of(detail)),
    ];
    if package.stage > 0 {
        let what = format!("{}, of packages that need each other; not in the generation", package.stage);
        rows.insert(1, ("stage", what));
    }
    if package.priority != 0 {
        rows.push(("priority", package.priority.to_string()));
    }
    let flags: Vec<_> = detail.use_flags.iter().map(ToString::to_string).collect();
    if !flags.is_empty() {
        rows.push(("USE", flags.join(" ")));
    }
    rows.extend(package.about.as_ref().map(about).unwrap_or_default());
    if !detail.needs.is_empty() {
        rows.push(("needs", needs(&detail.needs)));
    }
    rows.push(("takes about", span(detail.estimate_seconds as u64)));
    rows.push(("waits for", neighbours(&detail.waits_for)));
    rows.push(("awaited by", neighbours(&detail.awaited_by)));
    if let Some(artifact) = &package.artifact {
        rows.push((
            "artifact",
            format!("{}, {} from {}", artifact.path, size(artifact.size), artifact.drone),
        ));
        rows.push(("published", artifact.published.to_string()));
    }
    let next = match package.state {
        PackageState::Quarantined => {
            format!("\n\n`swarm quarantine release {}` lets it be tried again.", package.id)
        }
        _ => String::new(),
    };
    format!("{}\n\n{}{next}", fields(&rows), attempt::listed(tries, detail.now))
}

/// What it is, who wants it, and why it is built.
fn about(about: &About) -> Vec<(&'static str, String)> {
    let because = about.built_because.as_ref().map(|because| ("built since", because.replace('\n', "; ")));
    let fetched = about.fetch_bytes.map(|bytes| ("sources", size(i64::try_from(bytes).unwrap_or(i64::MAX))));
    let rows = [
        ("wanted by", about.wanted_by.join(", wanted by ")),
        ("KEYWORDS", about.keywords.join(" ")),
        ("LICENSE", about.license.clone()),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).chain(because).chain(fetched).collect()
}

/// Each with the kinds of its dependency.
fn needs(needs: &[Need]) -> String {
    let need = |need: &Need| {
        let kinds: Vec<_> = need.kinds.iter().map(|kind| kind.as_str()).collect();
        format!("{} ({})", need.cpv, kinds.join(", "))
    };
    needs.iter().map(need).collect::<Vec<_>>().join(", ")
}

fn state_of(detail: &PackageDetail) -> String {
    let package = &detail.package;
    let why = match (&package.reason, package.not_before) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(at)) if package.state == PackageState::Needed && at > detail.now => {
            format!(
                "; after its failure not before {} UTC (`swarm retry {}` ends the pause)",
                moment(at),
                package.id
            )
        }
        _ if package.state == PackageState::Needed && package.unmet > 0 => {
            format!(", waits for {} more", package.unmet)
        }
        _ if package.state == PackageState::Needed => ", ready".to_owned(),
        _ => String::new(),
    };
    format!("{}{why}", package.state)
}

/// Those that are not received first: they are what matters.
fn neighbours(all: &[Neighbour]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let (received, open): (Vec<_>, Vec<_>) =
        all.iter().partition(|neighbour| neighbour.state == PackageState::Received);
    let mut parts: Vec<_> = open
        .iter()
        .take(NAMED)
        .map(|neighbour| format!("{} ({})", staged(&neighbour.cpv, neighbour.stage), neighbour.state))
        .collect();
    if open.len() > NAMED {
        parts.push(format!("{} more", open.len() - NAMED));
    }
    if !received.is_empty() {
        let number = i64::try_from(received.len()).unwrap_or(i64::MAX);
        parts.push(format!("{} received", count(number, "package")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::id::PackageId;

    fn of_run(state: Option<PackageState>) -> Listed {
        Listed { run: RunId(7), state, drone: None }
    }

    #[test]
    fn packages_in_a_table() {
        insta::assert_snapshot!(listed(&sample::packages(), &of_run(None)));
    }

    #[test]
    fn no_packages() {
        assert_eq!(listed(&[], &of_run(None)), "Run 7 has no package.");
        assert_eq!(listed(&[], &of_run(Some(PackageState::Blocked))), "Run 7 has no such package.");
    }

    #[test]
    fn a_package_in_full() {
        for (name, id) in [("received", 21), ("pausing", 23), ("quarantined", 24)] {
            insta::assert_snapshot!(format!("a_{name}_package"), shown(&sample::detail(PackageId(id))));
        }
    }
}
