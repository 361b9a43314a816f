//! `swarm target push`: a workstation, or a world set alone.

use super::changes::{self, Changes, WorldChanges, section};
use crate::connection::Context;
use crate::failure::Failure;
use crate::table::size;
use crate::workstation::configuration::Configuration;
use crate::workstation::repositories::{self, Found};
use crate::workstation::{self, Packed, Remark, installed};
use crate::{output, provided, transfer, world};
use clap::Args;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use swarm_protocol::Code;
use swarm_protocol::admin::{
    DefinitionEntry, NewBundle, NewDefinition, NewTarget, NewWorkstation, Target, World,
};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::{Bundle, RepositorySource, Source};
use swarm_protocol::epoch::Repository;
use swarm_protocol::gentoo::{RepoName, TargetName, WorkstationName, WorldAtom};

pub(super) const EXAMPLES: &str = "Examples:
  swarm target push desktop
  swarm target push desktop --root /mnt/laptop --workstation laptop
  swarm target push desktop --snapshot-trees
  ssh laptop cat /var/lib/portage/world /var/lib/portage/world_sets | swarm target push laptop --world -";

/// What is pushed.
#[derive(Args, Debug)]
pub(crate) struct Push {
    /// The target's name, part of the binhost's URLs: 1 to 64 of [a-z0-9_-].
    name: TargetName,
    /// The workstation's file system.
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "world")]
    root: PathBuf,
    /// The workstation's name; else the host's.
    #[arg(long, value_name = "NAME", conflicts_with = "world")]
    workstation: Option<WorkstationName>,
    /// Send every repository as a snapshot, also where drones could clone it.
    #[arg(long, conflicts_with = "world")]
    snapshot_trees: bool,
    /// Do not send the database of installed packages: generations are then not checked against it.
    #[arg(long, conflicts_with = "world")]
    no_installed: bool,
    /// A file of atoms and sets: only the target's own world set is replaced by it, and no workstation is registered. May
    /// be given several times. - is standard input.
    #[arg(long, value_name = "FILE")]
    world: Vec<PathBuf>,
    /// A directory with `package.provided` and `soname.provided`, in place of the workstation's /etc/portage/profile.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
}

/// What the push of a world set has changed.
#[derive(Serialize)]
struct PushedWorld {
    target: TargetName,
    created: bool,
    atoms: usize,
    added: Vec<WorldAtom>,
    removed: Vec<WorldAtom>,
}

/// What the push of a workstation has changed.
#[derive(Serialize)]
struct Pushed {
    target: TargetName,
    created: bool,
    workstation: WorkstationName,
    definition: i32,
    /// Whether it is a new one.
    new: bool,
    /// How much the binhost lacked.
    sent_bytes: u64,
    /// Since the target's last definition; none of the first one, nor where its bundle is kept no longer.
    changes: Option<Changes>,
    /// Since the workstation's last push.
    world: WorldChanges,
    /// What is not sent as it is.
    remarks: Vec<Remark>,
}

/// Pushes.
pub(super) async fn push(context: &Context, what: &Push) -> Result<(), Failure> {
    let Context { output, .. } = context;
    if what.world.is_empty() {
        output.show(&push_workstation(context, what).await?, told)
    } else {
        output.show(&push_world(context, what).await?, told_of_world)
    }
}

/// Pushes this workstation as it is; what that changed, for people.
pub(super) async fn push_this(context: &Context, name: &TargetName) -> Result<String, Failure> {
    let what = Push {
        name: name.clone(),
        root: "/".into(),
        workstation: None,
        snapshot_trees: false,
        no_installed: false,
        world: Vec::new(),
        profile: None,
    };
    Ok(told(&push_workstation(context, &what).await?))
}

async fn target(context: &Context, name: &TargetName) -> Result<Option<Target>, Failure> {
    let targets = context.ask(context.client.targets()).await?;
    Ok(targets.into_iter().find(|target| target.name == *name))
}

async fn push_world(context: &Context, what: &Push) -> Result<PushedWorld, Failure> {
    let Context { client, .. } = context;
    let world = world::read(&what.root, &what.world)?;
    let former = target(context, &what.name).await?;
    let provided = match (&what.profile, &former) {
        (Some(directory), _) => provided::read(directory)?,
        (None, former) => former.as_ref().map(|target| target.provided.clone()).unwrap_or_default(),
    };
    if former.is_none() {
        let new = NewTarget { name: what.name.clone(), world: world.clone(), provided };
        context.ask(client.create_target(&new)).await?;
    } else {
        context.ask(client.set_world(&what.name, &World { world: world.clone(), provided })).await?;
    }
    let created = former.is_none();
    let former = former.map(|target| target.world).unwrap_or_default();
    let WorldChanges { entries: atoms, added, removed } = WorldChanges::between(&former, &world);
    Ok(PushedWorld { target: what.name.clone(), created, atoms, added, removed })
}

/// A workstation as it is read, before anybody is asked.
struct Read {
    name: WorkstationName,
    world: Vec<WorldAtom>,
    provided: Provided,
    configuration: Configuration,
    packed: Packed,
    found: Vec<Found>,
    installed: Option<Packed>,
}

fn read(what: &Push) -> Result<Read, Failure> {
    let root = &what.root;
    let name = what.workstation.clone().map_or_else(workstation::host_name, Ok)?;
    let world = world::read(root, &[])?;
    let provided = provided::read(what.profile.as_deref().unwrap_or(&root.join(provided::DIRECTORY)))?;
    let found = repositories::find(root, what.snapshot_trees)?;
    let repos: Vec<_> = found.iter().map(|found| found.repo.clone()).collect();
    let configuration = Configuration::read(root, &repos)?;
    let packed = configuration.pack()?;
    let installed = if what.no_installed { None } else { installed::read(root)? };
    Ok(Read { name, world, provided, configuration, packed, found, installed })
}

/// Where drones get the repositories, and the snapshots that had to be packed for that.
async fn sources(
    context: &Context,
    found: &[Found],
    newest: Option<&DefinitionEntry>,
) -> Result<(Vec<RepositorySource>, Vec<Packed>), Failure> {
    let there = match newest {
        None => HashMap::new(),
        Some(newest) => snapshots_there(context, newest).await?,
    };
    let (mut repositories, mut snapshots) = (Vec::new(), Vec::new());
    for found in found {
        let (source, snapshot) = found.source(there.get(&found.repo.name).copied())?;
        repositories.push(source);
        snapshots.extend(snapshot);
    }
    Ok((repositories, snapshots))
}

/// The snapshots of a definition that the binhost has. Having been asked, it keeps them for a day at least.
async fn snapshots_there(
    context: &Context,
    entry: &DefinitionEntry,
) -> Result<HashMap<RepoName, Bundle>, Failure> {
    let snapshot = |repository: &RepositorySource| match repository.source {
        Source::Tree { content, bundle, bytes } => {
            Some((repository.name.clone(), Bundle { content, bundle, bytes }))
        }
        Source::Git { .. } => None,
    };
    let mut there: HashMap<_, _> = entry.definition.repositories.iter().filter_map(snapshot).collect();
    if !there.is_empty() {
        let asked = there.values().map(|it| NewBundle { digest: it.bundle, bytes: it.bytes }).collect();
        let missing = context.ask(context.client.offer_bundles(asked)).await?.missing;
        there.retain(|_, bundle| !missing.contains(&bundle.bundle));
    }
    Ok(there)
}

async fn push_workstation(context: &Context, what: &Push) -> Result<Pushed, Failure> {
    let client = &context.client;
    let read = read(what)?;
    let former = target(context, &what.name).await?;
    let created = former.is_none();
    let (mut newest, mut registered) = (None, None);
    if !created {
        newest = context.ask(client.definitions(&what.name)).await?.into_iter().next();
        let workstations = context.ask(client.workstations(&what.name)).await?;
        registered = workstations.into_iter().find(|workstation| workstation.name == read.name);
    }
    let (repositories, snapshots) = sources(context, &read.found, newest.as_ref()).await?;
    let changes = match &newest {
        None => None,
        Some(newest) => changes_since(context, &what.name, newest, (&read, &repositories)).await?,
    };
    let trees: Vec<_> = std::iter::once(&read.packed).chain(&snapshots).chain(&read.installed).collect();
    let sent_bytes = transfer::send(context, &trees).await?;
    if created {
        let new = NewTarget { name: what.name.clone(), world: vec![], provided: Provided::default() };
        context.ask(client.create_target(&new)).await?;
    }
    let workstation = NewWorkstation {
        name: read.name.clone(),
        world: read.world.clone(),
        provided: read.provided.clone(),
        installed: read.installed.as_ref().map(|installed| installed.bundle),
    };
    let configuration = read.packed.bundle;
    let expect = newest.map_or(0, |newest| newest.definition.number);
    let new = NewDefinition { workstation, configuration, repositories, expect };
    let pushed = context.ask(client.push_definition(&what.name, &new)).await?;
    let known = registered.map(|workstation| workstation.world).unwrap_or_default();
    Ok(Pushed {
        target: what.name.clone(),
        created,
        workstation: read.name,
        definition: pushed.newest.definition.number,
        new: pushed.new,
        sent_bytes,
        changes,
        world: WorldChanges::between(&known, &read.world),
        remarks: read.configuration.remarks,
    })
}

/// What this push changes; nothing is known where the former bundle is kept no longer.
async fn changes_since(
    context: &Context,
    target: &TargetName,
    former: &DefinitionEntry,
    (read, repositories): (&Read, &[RepositorySource]),
) -> Result<Option<Changes>, Failure> {
    let revisions: Vec<_> = repositories.iter().map(revision).collect();
    let repositories = changes::repositories(&former.definition.revisions(), &revisions);
    if former.definition.configuration.content == read.packed.bundle.content {
        return Ok(Some(Changes { files: vec![], repositories }));
    }
    match super::definition::configuration(context, target, former).await {
        Ok(tree) => {
            let files = changes::files(&tree.path().join("tree"), read.configuration.path())?;
            Ok(Some(Changes { files, repositories }))
        }
        Err(Failure::Problem { problem, .. }) if matches!(problem.code, Code::NotFound | Code::Gone) => {
            output::say(
                "the configuration of the last push is kept no longer, so there is nothing to compare with",
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn revision(repository: &RepositorySource) -> Repository {
    Repository { name: repository.name.clone(), revision: repository.source.revision() }
}

/// The revisions of a workstation's repositories.
pub(super) fn revisions(found: &[Found]) -> Result<Vec<Repository>, Failure> {
    found.iter().map(Found::revision).collect()
}

fn told(pushed: &Pushed) -> String {
    let Pushed { target, workstation, definition, .. } = pushed;
    let head = match (pushed.created, pushed.new) {
        (true, _) => format!("The new target {target} has definition {definition}, from {workstation}."),
        (false, true) => format!("Definition {definition} of {target} is new, from {workstation}."),
        (false, false) => format!("Definition {definition} of {target} stands: {workstation} has the same."),
    };
    let sent = match pushed.sent_bytes {
        0 => String::new(),
        bytes => format!(" The binhost lacked {}.", size(i64::try_from(bytes).unwrap_or(i64::MAX))),
    };
    let changes = pushed.changes.as_ref().map(Changes::summary).unwrap_or_default();
    let world = &pushed.world;
    let title = format!("the world set of {workstation}, now of {}", entries(world.entries));
    let remarks = pushed.remarks.iter().map(|remark| format!("{}: {}", remark.path.display(), remark.what));
    format!(
        "{head}{sent}\n{changes}{}{}",
        section(&title, world.lines()),
        section("not sent as it is", remarks)
    )
}

fn told_of_world(pushed: &PushedWorld) -> String {
    let PushedWorld { target, created, atoms, added, removed } = pushed;
    let size = entries(*atoms);
    if added.is_empty() && removed.is_empty() {
        return format!("The world set of {target} has {size}: nothing changed.");
    }
    let lines = removed.iter().map(|atom| format!("−{atom}\n"));
    let lines = lines.chain(added.iter().map(|atom| format!("+{atom}\n")));
    let new = if *created { "new " } else { "" };
    format!(
        "{}The world set of the {new}target {target} has {size}: +{} −{}. `swarm run start {target}` builds it.",
        lines.collect::<String>(),
        added.len(),
        removed.len()
    )
}

fn entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(text: &str) -> Vec<WorldAtom> {
        text.split_whitespace().map(|atom| atom.parse().unwrap()).collect()
    }

    #[test]
    fn what_a_world_set_changes() {
        let pushed = |created, added: &str, removed: &str| PushedWorld {
            target: "desktop".parse().unwrap(),
            created,
            atoms: 3,
            added: atoms(added),
            removed: atoms(removed),
        };
        let texts = [
            told_of_world(&pushed(true, "app-misc/jq app-editors/nano @tools", "")),
            told_of_world(&pushed(false, "app-misc/jq", "sys-apps/tree app-editors/vim")),
            told_of_world(&pushed(false, "", "")),
        ];
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn what_a_push_says() {
        let moved = |revision: &str| {
            vec![Repository { name: "gentoo".parse().unwrap(), revision: revision.to_owned() }]
        };
        let pushed = |created, new| Pushed {
            target: "desktop".parse().unwrap(),
            created,
            workstation: "ws1".parse().unwrap(),
            definition: 3,
            new,
            sent_bytes: if new { 12_600 } else { 0 },
            changes: new.then(|| Changes {
                files: vec![],
                repositories: changes::repositories(&moved("git:1111111111111111"), &moved("tree:22")),
            }),
            world: WorldChanges::between(&atoms("a/b a/c"), &atoms(if new { "a/b" } else { "a/b a/c" })),
            remarks: vec![Remark { path: "make.conf".into(), what: "X_TOKEN is left out".to_owned() }],
        };
        let texts = [told(&pushed(true, true)), told(&pushed(false, true)), told(&pushed(false, false))];
        insta::assert_snapshot!(texts.join("\n--\n"));
    }
}
