//! `swarm target history`, `swarm target diff`, `swarm target export`.

use super::changes::{self, Changes, short};
use super::push::revisions;
use crate::connection::Context;
use crate::failure::Failure;
use crate::table::{left, moment, prose, right, table};
use crate::transfer;
use crate::workstation::configuration::Configuration;
use crate::workstation::repositories;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use swarm_bundle::Limits;
use swarm_protocol::admin::DefinitionEntry;
use swarm_protocol::epoch::Repository;
use swarm_protocol::gentoo::{TargetName, WorldAtom};
use tempfile::TempDir;

pub(super) const EXAMPLES: &str = "Examples:
  swarm target diff desktop
  swarm target diff desktop --from 3
  swarm target diff desktop --from 3 --to 5";

/// What is compared.
#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// The target.
    name: TargetName,
    /// From this definition; else the newest.
    #[arg(long, value_name = "N")]
    from: Option<i32>,
    /// To this definition; else this workstation.
    #[arg(long, value_name = "N")]
    to: Option<i32>,
    /// The workstation's file system.
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "to")]
    root: PathBuf,
}

/// What is written, and where to.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The target.
    name: TargetName,
    /// The definition; else the newest.
    number: Option<i32>,
    /// The directory, which must not be there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// How two sides differ.
#[derive(Serialize)]
struct Compared {
    target: TargetName,
    from: i32,
    /// None is the workstation.
    to: Option<i32>,
    #[serde(flatten)]
    changes: Changes,
}

/// What was written.
#[derive(Serialize)]
struct Exported {
    target: TargetName,
    definition: i32,
    directory: PathBuf,
}

/// Lists a target's definitions.
pub(super) async fn history(context: &Context, name: &TargetName) -> Result<(), Failure> {
    super::named(context, name).await?;
    let history = context.ask(context.client.definitions(name)).await?;
    context.output.show(&history, |history| listed(history))
}

fn listed(history: &[DefinitionEntry]) -> String {
    let rows = history.iter().map(|entry| {
        let DefinitionEntry { definition, workstation, created_at } = entry;
        let repositories = definition.revisions().into_iter();
        let repositories =
            repositories.map(|repository| format!("{} {}", repository.name, short(&repository.revision)));
        let toolchain = definition.toolchain.iter().map(|package| package.cpv.to_string());
        [
            definition.number.to_string(),
            moment(*created_at),
            workstation.to_string(),
            crate::table::short(&definition.configuration.content),
            repositories.collect::<Vec<_>>().join(", "),
            toolchain.collect::<Vec<_>>().join(", "),
        ]
    });
    let columns = [
        right("definition"),
        left("pushed"),
        left("workstation"),
        left("/etc/portage"),
        prose("repositories"),
        prose("toolchain"),
    ];
    table(columns, "There is no definition yet; `swarm target push NAME` on a workstation makes one.", rows)
}

/// The definition of that number, or the newest.
async fn entry(
    context: &Context,
    name: &TargetName,
    number: Option<i32>,
) -> Result<DefinitionEntry, Failure> {
    super::named(context, name).await?;
    let history = context.ask(context.client.definitions(name)).await?;
    let newest = history.first().map(|entry| entry.definition.number);
    let mut history = history.into_iter();
    match (history.find(|entry| number.is_none_or(|number| entry.definition.number == number)), newest) {
        (Some(entry), _) => Ok(entry),
        (None, Some(newest)) => Err(Failure::not_found(format!(
            "{name} has no definition {}; the newest is {newest}",
            number.unwrap_or_default()
        ))),
        (None, None) => Err(Failure::not_found(format!(
            "{name} has no definition; `swarm target push {name}` on a workstation makes one"
        ))),
    }
}

/// A definition's configuration, as `tree` in a directory that ends with the answer.
pub(super) async fn configuration(
    context: &Context,
    name: &TargetName,
    entry: &DefinitionEntry,
) -> Result<TempDir, Failure> {
    let directory = TempDir::new()
        .map_err(|error| Failure::internal(format!("cannot make a temporary directory: {error}")))?;
    fetch(context, name, entry, &directory.path().join("tree")).await?;
    Ok(directory)
}

async fn fetch(
    context: &Context,
    name: &TargetName,
    entry: &DefinitionEntry,
    into: &Path,
) -> Result<(), Failure> {
    let definition = &entry.definition;
    let access = context.ask(context.client.read_definition(name, definition.number)).await?;
    transfer::fetch(&access, &definition.configuration, Limits::CONFIGURATION, into).await
}

/// Compares.
pub(super) async fn diff(context: &Context, what: &Diff) -> Result<(), Failure> {
    let from = entry(context, &what.name, what.from).await?;
    let old = configuration(context, &what.name, &from).await?;
    let old = old.path().join("tree");
    let (files, now) = match what.to {
        Some(_) => {
            let to = entry(context, &what.name, what.to).await?;
            let new = configuration(context, &what.name, &to).await?;
            (changes::files(&old, &new.path().join("tree"))?, to.definition.revisions())
        }
        None => of_workstation(&old, &what.root)?,
    };
    let repositories = changes::repositories(&from.definition.revisions(), &now);
    let compared = Compared {
        target: what.name.clone(),
        from: from.definition.number,
        to: what.to,
        changes: Changes { files, repositories },
    };
    context.output.show(&compared, said)
}

/// As it would be pushed. Whether drones could clone a repository does not matter: its commit is compared.
fn of_workstation(old: &Path, root: &Path) -> Result<(Vec<changes::File>, Vec<Repository>), Failure> {
    let found = repositories::find(root, false)?;
    let repos: Vec<_> = found.iter().map(|found| found.repo.clone()).collect();
    let configuration = Configuration::read(root, &repos)?;
    Ok((changes::files(old, configuration.path())?, revisions(&found)?))
}

fn said(compared: &Compared) -> String {
    let Compared { target, from, to, changes } = compared;
    if changes.is_empty() {
        let side = to.map_or_else(|| "this workstation".to_owned(), |to| format!("definition {to}"));
        return format!("{side} is as definition {from} of {target}.");
    }
    changes.in_full()
}

/// Writes a definition as the files of a workstation's root.
pub(super) async fn export(context: &Context, what: &Export) -> Result<(), Failure> {
    let Export { name, number, directory } = what;
    let target = super::named(context, name).await?;
    let entry = entry(context, name, *number).await?;
    let unwritten = |error| Failure::usage(format!("cannot write {}: {error}", directory.display()));
    fs::create_dir(directory).map_err(unwritten)?;
    fs::create_dir(directory.join("etc")).map_err(unwritten)?;
    fetch(context, name, &entry, &directory.join("etc/portage")).await?;
    let workstations = context.ask(context.client.workstations(name)).await?;
    let worlds = workstations.iter().flat_map(|workstation| &workstation.world);
    let world: BTreeSet<_> = target.world.iter().chain(worlds).collect();
    let portage = directory.join("var/lib/portage");
    fs::create_dir_all(&portage).map_err(unwritten)?;
    let (sets, atoms): (Vec<&WorldAtom>, Vec<_>) =
        world.into_iter().partition(|atom| atom.to_string().starts_with('@'));
    for (file, entries) in [("world", atoms), ("world_sets", sets)] {
        let lines: Vec<_> = entries.into_iter().map(|entry| format!("{entry}\n")).collect();
        fs::write(portage.join(file), lines.concat()).map_err(unwritten)?;
    }
    let repositories = serde_json::to_string_pretty(&entry.definition.repositories);
    let repositories = repositories.map_err(|error| Failure::internal(error.to_string()))?;
    fs::write(directory.join("repositories.json"), repositories + "\n").map_err(unwritten)?;
    let definition = entry.definition.number;
    let exported = Exported { target: name.clone(), definition, directory: directory.clone() };
    context.output.show(&exported, |exported| {
        let Exported { target, definition, directory } = exported;
        format!("Definition {definition} of {target} is in {}.", directory.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::Digest;
    use swarm_protocol::definition::{Bundle, Definition, RepositorySource, Source};
    use swarm_protocol::drone::Dependency;
    use swarm_protocol::id::{BuildId, DefinitionId};

    #[test]
    fn definitions_in_a_table() {
        let tree = Bundle { content: Digest::of(b"a"), bundle: Digest::of(b"b"), bytes: 9 };
        let git = Source::Git { uri: "https://host/gentoo".to_owned(), commit: "1".repeat(40) };
        let repository = |name: &str, source| RepositorySource {
            name: name.parse().unwrap(),
            location: format!("/var/db/repos/{name}"),
            source,
        };
        let Bundle { content, bundle, bytes } = tree;
        let repositories =
            vec![repository("gentoo", git), repository("local", Source::Tree { content, bundle, bytes })];
        let definition = Definition {
            id: DefinitionId(7),
            number: 2,
            configuration: tree,
            repositories,
            toolchain: vec![Dependency {
                cpv: "sys-devel/gcc-15".parse().unwrap(),
                build_id: BuildId(1),
                path: "sys-devel/gcc/gcc-15-1.gpkg.tar".to_owned(),
                published: Digest::of(b"c"),
                size: 9,
            }],
        };
        let created_at = "2025-11-21T08:00:00Z".parse().unwrap();
        let entry = DefinitionEntry { definition, workstation: "ws1".parse().unwrap(), created_at };
        insta::assert_snapshot!(listed(&[entry]));
        insta::assert_snapshot!(listed(&[]), @"There is no definition yet; `swarm target push NAME` on a workstation makes one.");
    }
}
