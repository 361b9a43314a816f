//! What is made of the command line itself: completions for shells, and manual pages.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "Examples:
  swarm completions bash >/etc/bash_completion.d/swarm
  swarm completions zsh  >/usr/share/zsh/site-functions/_swarm
  swarm completions fish >/usr/share/fish/vendor_completions.d/swarm.fish";

/// For whom completions are.
#[derive(clap::Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Where manual pages go.
#[derive(clap::Args, Debug)]
pub(crate) struct Man {
    /// The directory; it is made where it is missing.
    directory: PathBuf,
}

/// `swarm completions`.
pub(crate) fn completions(what: &Completions) -> Result<Exit, Failure> {
    // Into memory first: clap panics when a reader has gone.
    let mut script = vec![];
    clap_complete::generate(what.shell, &mut Arguments::command(), "swarm", &mut script);
    output::raw(&script)?;
    Ok(Exit::Ok)
}

/// `swarm man`: one page for each command.
pub(crate) fn man(what: &Man) -> Result<Exit, Failure> {
    let directory = &what.directory;
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory))
        .map_err(|error| Failure::usage(format!("cannot write to {}: {error}", directory.display())))?;
    Ok(Exit::Ok)
}
