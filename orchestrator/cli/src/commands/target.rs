//! `swarm target`.
//!
//! | module | what |
//! |---|---|
//! | [`push`] | a workstation becomes the target's definition |
//! | [`definition`] | history, diff, export |
//! | [`changes`] | what differs |
//! | [`workstations`] | who is registered |

mod changes;
mod definition;
mod push;
mod workstations;

use super::drone::cannot;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{fields, indented, left, or_dash, right, table};
use clap::Subcommand;
use swarm_protocol::admin::{NewTarget, Target};
use swarm_protocol::binhost::Provided;
use swarm_protocol::gentoo::{TargetName, WorkstationName};

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
    /// Make this workstation's configuration and repositories those of a target, and register what it wants.
    ///
    /// Whoever may do this runs code on every drone. Runs that begin later build for it. A target that is new is created.
    ///
    /// What is sent: /etc/portage; the repositories that repos.conf names, by their commit where drones can clone them,
    /// else as a snapshot; /var/lib/portage/world and `world_sets`; `package.provided` and `soname.provided` in
    /// /etc/portage/profile; the database of installed packages, against which generations are checked.
    ///
    /// What is left out of /etc/portage: binrepos.conf, gnupg, backups, private keys, variables that are named like
    /// secrets or hold a URI with credentials. -march=native and -mtune=native are written out as this machine's compiler
    /// understands them.
    #[command(after_help = push::EXAMPLES)]
    Push(push::Push),
    /// Show how this workstation, or a definition, differs from a target's definition, line by line.
    #[command(after_help = definition::EXAMPLES)]
    Diff(definition::Diff),
    /// List a target's definitions, newest first.
    History {
        /// The target.
        name: TargetName,
    },
    /// Write a definition's configuration and repositories, and the target's world set, to a new directory.
    #[command(allow_missing_positional = true)]
    Export(definition::Export),
    /// List a target's workstations.
    Workstations {
        /// The target.
        name: TargetName,
    },
    /// Forget a workstation: runs that begin later do not build what only it wants.
    Forget {
        /// The target.
        name: TargetName,
        /// The workstation.
        workstation: WorkstationName,
    },
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Context { client, output, .. } = context;
    match command {
        Command::List => {
            let targets = context.ask(client.targets()).await?;
            output.show(&targets, |targets| listed(targets))?;
        }
        Command::Show { name } => output.show(&named(context, name).await?, shown)?,
        Command::Create { name } => {
            let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
            let target = context.ask(client.create_target(&new)).await?;
            output.show(&target, |target| format!("There is a target {}.", target.name))?;
        }
        Command::Push(what) => push::push(context, what).await?,
        Command::Diff(what) => definition::diff(context, what).await?,
        Command::History { name } => definition::history(context, name).await?,
        Command::Export(what) => definition::export(context, what).await?,
        Command::Workstations { name } => workstations::list(context, name).await?,
        Command::Forget { name, workstation } => workstations::forget(context, name, workstation).await?,
    }
    Ok(Exit::Ok)
}

/// Pushes this workstation as it is; what that changed, for people.
pub(super) async fn push_this(context: &Context, name: &TargetName) -> Result<String, Failure> {
    push::push_this(context, name).await
}

/// The target of that name.
async fn named(context: &Context, name: &TargetName) -> Result<Target, Failure> {
    let mut targets = context.ask(context.client.targets()).await?;
    match targets.iter().position(|target| target.name == *name) {
        Some(index) => Ok(targets.swap_remove(index)),
        None => Err(names::unknown_target(name, &targets)),
    }
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
    let unbrought = match target.unbrought.as_slice() {
        [] => String::new(),
        all => format!("\n{}", indented(all.iter().map(cannot), 0)),
    };
    if target.world.is_empty() {
        let name = &target.name;
        return format!(
            "{head}\n\nIts world set is empty; `swarm target push {name}` fills it.{provided}{unbrought}"
        );
    }
    format!("{head}\n\nIts world set:{}{provided}{unbrought}", indented(&target.world, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::gentoo::WorldAtom;
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
            unbrought: vec![],
        }
    }

    #[test]
    fn targets_in_a_table() {
        let mut desktop = target("desktop", "@tools app-misc/jq", Some(12), Some(7));
        desktop.provided.packages.push("sys-kernel/gentoo-sources-6.12".parse().unwrap());
        desktop.provided.sonames.push("x86_64: libcuda.so.1".parse().unwrap());
        desktop.unbrought = sample::unbrought();
        let bare = target("arm64", "", None, None);
        insta::assert_snapshot!("a_target_with_a_world", shown(&desktop));
        insta::assert_snapshot!("a_target_without", shown(&bare));
        insta::assert_snapshot!(listed(&[desktop, bare]));
        insta::assert_snapshot!(listed(&[]), @"There is no target yet; `swarm target push NAME` makes one.");
    }
}
