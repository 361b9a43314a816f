//! `swarm fleet`: the machines of the swarm, over SSH.
//!
//! | module | what |
//! |---|---|
//! | [`deploy`] | brings machines to what they shall be |
//! | [`confirm`] | asks before drones are reset |
//! | [`look`] | `check` and `status`: what is there, whether it is fit, how it differs |
//! | [`topology`] | `list` and `import`: the file itself |

mod confirm;
mod deploy;
mod look;
mod topology;

use super::repair;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use clap::Subcommand;
use std::path::PathBuf;
use swarm_fleet::ssh::Ssh;
use swarm_fleet::topology::{Node, Topology};

/// What can be done with the fleet.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List the machines of the topology.
    List(File),
    /// Make a topology of a list of servers in JSON, and print it.
    Import {
        /// The list; `-` is standard input.
        list: PathBuf,
    },
    /// Look whether machines are fit for what is to be deployed there; nothing is changed.
    Check(Which),
    /// Show how machines differ from what shall be there; nothing is changed.
    Status(Which),
    /// Bring machines to what they shall be: what differs is sent, drones finish what they build, and what does not come up is
    /// taken back.
    #[command(after_help = deploy::EXAMPLES)]
    Deploy(deploy::Arguments),
    /// List what the swarm has done to revive silent drones, and what it asks a person about.
    Repairs(repair::Of),
    /// Confirm that the machine of a silent drone is rebooted.
    Confirm(super::drone::Named),
}

/// The topology.
#[derive(clap::Args, Debug)]
pub(crate) struct File {
    /// The topology.
    #[arg(long, env = "SWARM_FLEET", value_name = "FILE", default_value = "fleet.toml")]
    topology: PathBuf,
}

/// Which machines.
#[derive(clap::Args, Debug)]
pub(crate) struct Which {
    #[command(flatten)]
    file: File,
    /// Their names; all of the topology, where none is given.
    nodes: Vec<String>,
}

/// What needs no orchestrator, and so no token; `None` for what does.
pub(crate) fn without_swarm(output: Output, command: &Command) -> Option<Result<Exit, Failure>> {
    match command {
        Command::List(file) => Some(topology::list(output, file)),
        Command::Import { list } => Some(topology::import(output, list)),
        Command::Check(_)
        | Command::Status(_)
        | Command::Deploy(_)
        | Command::Repairs(_)
        | Command::Confirm(_) => None,
    }
}

/// `swarm fleet`.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::List(file) => topology::list(context.output, file),
        Command::Import { list } => topology::import(context.output, list),
        Command::Check(which) => look::check(context, which).await,
        Command::Status(which) => look::status(context, which).await,
        Command::Deploy(arguments) => deploy::deploy(context, arguments).await,
        Command::Repairs(of) => repair::list(context, of).await,
        Command::Confirm(drone) => repair::confirm(context, drone).await,
    }
}

impl File {
    fn load(&self) -> Result<Topology, Failure> {
        Topology::load(&self.topology).map_err(|error| Failure::usage(error.to_string()))
    }
}

impl Which {
    /// The topology, and those of its machines that are meant.
    fn load(&self) -> Result<(Topology, Vec<Node>), Failure> {
        let topology = self.file.load()?;
        let node = |name: &String| {
            let names: Vec<_> = topology.nodes.iter().map(|node| node.name.as_str()).collect();
            topology.node(name).cloned().ok_or_else(|| names::unknown("node", name, &names))
        };
        let nodes = match self.nodes.as_slice() {
            [] => topology.nodes.clone(),
            names => names.iter().map(node).collect::<Result<_, _>>()?,
        };
        Ok((topology, nodes))
    }
}

fn ssh(topology: &Topology) -> Result<Ssh, Failure> {
    Ssh::new(topology.known_hosts.as_deref())
        .map_err(|error| Failure::internal(format!("cannot prepare for ssh: {error}")))
}

/// Of so many machines, so many are not as they should be.
fn exit(all: usize, bad: usize) -> Exit {
    match bad {
        0 => Exit::Ok,
        bad if bad == all => Exit::Failed,
        _ => Exit::Partial,
    }
}

fn unavailable(trouble: swarm_fleet::trouble::Trouble) -> Failure {
    Failure::unavailable(trouble.says)
}
