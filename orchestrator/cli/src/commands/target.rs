//! `swarm target`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{fields, indented, left, or_dash, right, table};
use crate::{names, provided, world};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use swarm_protocol::admin::{NewTarget, Target, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::gentoo::{TargetName, WorldAtom};

/// What can be done with targets.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List the targets.
    List,
    /// Show a target with its world set.
    Show {
        /// The target.
        name: TargetName,
    },
    /// Create a target without a world set; one that is there already stays as it is.
    Create {
        /// Its name, part of the binhost's URLs: 1 to 64 of [a-z0-9_-].
        name: TargetName,
    },
    /// Make a workstation's world set that of a target; runs that begin later resolve it.
    ///
    /// Reads /var/lib/portage/world and `world_sets`. A target that is new is created. What the workstation has from
    /// elsewhere, and the swarm need not build, is read from `package.provided` and `soname.provided` in
    /// /etc/portage/profile; with --world alone, what the target knows of that stays.
    #[command(after_help = PUSH_EXAMPLES)]
    Push(Push),
}

const PUSH_EXAMPLES: &str = "Examples:
  swarm target push desktop
  swarm target push laptop --root /mnt/laptop
  ssh laptop cat /var/lib/portage/world /var/lib/portage/world_sets | swarm target push laptop --world -";

/// What is pushed.
#[derive(Args, Debug)]
pub(crate) struct Push {
    /// The target's name, part of the binhost's URLs: 1 to 64 of [a-z0-9_-].
    name: TargetName,
    /// The workstation's file system.
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "world")]
    root: PathBuf,
    /// A file of atoms and sets, in place of the workstation's; may be given several times. - is standard input.
    #[arg(long, value_name = "FILE")]
    world: Vec<PathBuf>,
    /// A directory with `package.provided` and `soname.provided`, in place of the workstation's /etc/portage/profile.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
}

/// What a push has changed.
#[derive(Serialize)]
struct Pushed {
    target: TargetName,
    created: bool,
    atoms: usize,
    added: Vec<WorldAtom>,
    removed: Vec<WorldAtom>,
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Context { client, output } = context;
    match command {
        Command::List => {
            let targets = context.ask(client.targets()).await?;
            output.show(&targets, |targets| listed(targets))?;
        }
        Command::Show { name } => {
            let targets = context.ask(client.targets()).await?;
            match targets.iter().find(|target| target.name == *name) {
                Some(target) => output.show(target, shown)?,
                None => return Err(names::unknown_target(name, &targets)),
            }
        }
        Command::Create { name } => {
            let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
            let target = context.ask(client.create_target(&new)).await?;
            output.show(&target, |target| format!("There is a target {}.", target.name))?;
        }
        Command::Push(what) => output.show(&push(context, what).await?, told)?,
    }
    Ok(Exit::Ok)
}

async fn push(context: &Context, what: &Push) -> Result<Pushed, Failure> {
    let Context { client, .. } = context;
    let world = world::read(&what.root, &what.world)?;
    let targets = context.ask(client.targets()).await?;
    let former = targets.into_iter().find(|target| target.name == what.name);
    let provided = match (&what.profile, &former) {
        (Some(directory), _) => provided::read(directory)?,
        (None, _) if what.world.is_empty() => provided::read(&what.root.join(provided::DIRECTORY))?,
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
    let without = |these: &[WorldAtom], those: &[WorldAtom]| {
        these.iter().filter(|atom| !those.contains(atom)).cloned().collect()
    };
    Ok(Pushed {
        target: what.name.clone(),
        created,
        atoms: world.len(),
        added: without(&world, &former),
        removed: without(&former, &world),
    })
}

fn told(pushed: &Pushed) -> String {
    let Pushed { target, created, atoms, added, removed } = pushed;
    let size = if *atoms == 1 { "1 entry".to_owned() } else { format!("{atoms} entries") };
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

fn listed(targets: &[Target]) -> String {
    let rows = targets.iter().map(|target| {
        [
            target.name.to_string(),
            target.world.len().to_string(),
            or_dash(target.current),
            or_dash(target.open_run),
        ]
    });
    let columns = [left("target"), right("world entries"), right("current generation"), right("open run")];
    table(columns, "There is no target yet; `swarm target push NAME` makes one.", rows)
}

fn shown(target: &Target) -> String {
    let head = fields(&[
        ("target", target.name.to_string()),
        ("current generation", or_dash(target.current)),
        ("open run", or_dash(target.open_run)),
    ]);
    let Provided { packages, sonames } = &target.provided;
    let entries: Vec<_> =
        packages.iter().map(ToString::to_string).chain(sonames.iter().map(ToString::to_string)).collect();
    let provided = match entries.as_slice() {
        [] => String::new(),
        entries => format!("\n\nIts generations need not have:{}", indented(entries, 2)),
    };
    if target.world.is_empty() {
        let name = &target.name;
        return format!("{head}\n\nIts world set is empty; `swarm target push {name}` fills it.{provided}");
    }
    format!("{head}\n\nIts world set:{}{provided}", indented(&target.world, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::{GenerationNumber, RunId};

    fn atoms(text: &str) -> Vec<WorldAtom> {
        text.split_whitespace().map(|atom| atom.parse().unwrap()).collect()
    }

    fn target(name: &str, world: &str, current: Option<i64>, open_run: Option<i64>) -> Target {
        Target {
            name: name.parse().unwrap(),
            world: atoms(world),
            provided: Provided::default(),
            current: current.map(GenerationNumber),
            open_run: open_run.map(RunId),
        }
    }

    #[test]
    fn targets_in_a_table() {
        let mut desktop = target("desktop", "@tools app-misc/jq", Some(12), Some(7));
        desktop.provided.packages.push("sys-kernel/gentoo-sources-6.12".parse().unwrap());
        desktop.provided.sonames.push("x86_64: libcuda.so.1".parse().unwrap());
        let bare = target("arm64", "", None, None);
        insta::assert_snapshot!("a_target_with_a_world", shown(&desktop));
        insta::assert_snapshot!("a_target_without", shown(&bare));
        insta::assert_snapshot!(listed(&[desktop, bare]));
        insta::assert_snapshot!(listed(&[]), @"There is no target yet; `swarm target push NAME` makes one.");
    }

    #[test]
    fn what_a_push_changes() {
        let pushed = |created, added: &str, removed: &str| Pushed {
            target: "desktop".parse().unwrap(),
            created,
            atoms: 3,
            added: atoms(added),
            removed: atoms(removed),
        };
        let texts = [
            told(&pushed(true, "app-misc/jq app-editors/nano @tools", "")),
            told(&pushed(false, "app-misc/jq", "sys-apps/tree app-editors/vim")),
            told(&pushed(false, "", "")),
        ];
        insta::assert_snapshot!(texts.join("\n\n"));
    }
}
